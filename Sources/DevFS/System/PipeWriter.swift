import CFuse
import Glibc
import SystemPackage

/// The writer's end of a pipe, which never waits. `pipe(7)`
final class PipeWriter: Sendable {
    private let descriptor: Descriptor

    /// - Returns: the two ends. That of the reader blocks.
    /// - Throws: EMFILE, ENFILE.
    static func make(size: Int) throws(Errno) -> (reader: SharedDescriptor, writer: PipeWriter) {
        var (reader, writer): (CInt, CInt) = (-1, -1)
        try check { unsafe cfuse_pipe(&reader, &writer, CInt(clamping: size)) }
        return (SharedDescriptor(Descriptor(owning: reader)), PipeWriter(writer))
    }

    private init(_ raw: CInt) { descriptor = Descriptor(owning: raw) }

    var raw: CInt { descriptor.raw }

    /// Somebody has the other end.
    var isRead: Bool { cfuse_is_read(raw) }

    /// How many bytes the pipe took; 0 where it is full. On a thread that has SIGPIPE blocked.
    /// - Throws: EPIPE where nobody reads any more.
    func write(_ bytes: ArraySlice<UInt8>) throws(Errno) -> Int {
        let count = unsafe bytes.withUnsafeBytes {
            unsafe Glibc.write(raw, $0.baseAddress, $0.count)
        }
        if count >= 0 { return count }
        let error = lastError
        guard error == .resourceTemporarilyUnavailable || error == .interrupted else { throw error }
        return 0
    }
}
