import DevFS
import Glibc
import SystemPackage

/// A file whose bytes go into a buffer.
struct CopySource {
    /// Enough for the cost of a call to vanish, little enough for the cache and for progress.
    private static let chunk = 4 << 20

    let name: String
    /// Bytes; nil of a pipe or a device.
    let size: UInt64?
    private let file: FileDescriptor

    /// Opens `path`; `-` is the standard input.
    init(_ path: String) throws {
        name = path == "-" ? "the standard input" : path
        let name = name
        file = try attempting("opening \(name)") {
            path == "-"
                ? .standardInput
                : try Files.open(path, .readOnly)
        }
        let status = try attempting("opening \(name)") { [file] in try file.stat() }
        size = status.type == .regular ? UInt64(max(0, status.size)) : nil
    }

    func close() throws {
        if file != .standardInput { try file.close() }
    }

    /// Copies all of it to `path`, a file that exists and is empty or to be overwritten.
    ///
    /// - Parameter limit: bytes at most; a source that has more is an error.
    func copy(to path: String, limit: UInt64, _ interrupts: borrowing Interrupts) throws {
        let target = try attempting("opening \(path)") {
            try Files.open(path, .writeOnly)
        }
        defer { try? target.close() }
        let what = "copying \(name)"
        let loop = Copying(
            source: file, sink: target, what: what, writing: what, chunk: Self.chunk)
        let (done, end) = loop.run(
            limit: limit, of: size ?? limit, deadline: Deadline(after: nil), interrupts)
        switch end {
        case .complete, .timedOut: break
        case .failed(let failure): throw failure
        case .refused(let errno): throw Failure(what, errno)
        }
        if done == limit, try attempting(what, { try loop.hasMore(interrupts) }) {
            throw Failure(what, "it has more than \(limit) bytes")
        }
        // The device sees it from here on, whatever becomes of this process.
        try attempting(what) { try Syscalls.synchronize(target) }
    }
}
