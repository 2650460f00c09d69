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

    /// Copies all of it to the start of `path`, a file that exists.
    ///
    /// - Parameters:
    ///   - limit: bytes at most; a source that has more is an error.
    ///   - check: called after each chunk and each signal; ends the copy by throwing.
    func copy(to path: String, limit: UInt64, check: () throws -> Void) throws {
        let target = try attempting("opening \(path)") {
            try Files.open(path, .writeOnly)
        }
        defer { try? target.close() }
        let what = "copying \(name)"
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.chunk, alignment: Int(getpagesize()))
        defer { unsafe memory.deallocate() }
        var progress = Progress()
        defer { progress.clear() }
        var done: UInt64 = 0
        while true {
            let count: Int
            do {
                unsafe count = try file.read(into: memory, retryOnInterrupt: false)
            } catch Errno.interrupted {
                try check()
                continue
            } catch let errno as Errno {
                throw Failure(what, errno)
            }
            if count == 0 { break }
            guard UInt64(count) <= limit - done else {
                throw Failure(what, "it has more than \(limit) bytes")
            }
            try attempting(what) {
                try unsafe write(
                    UnsafeRawBufferPointer(rebasing: memory[..<count]), to: target, at: done)
            }
            done += UInt64(count)
            try check()
            progress.show { "\(what): \(Self.describe(done, of: size ?? limit, $0))" }
        }
        // The device sees it from here on, whatever becomes of this process.
        try attempting(what) { try Syscalls.synchronize(target) }
    }

    private func write(
        _ bytes: UnsafeRawBufferPointer, to target: FileDescriptor, at offset: UInt64
    ) throws {
        var rest = unsafe bytes
        var position = Int64(offset)
        while unsafe !rest.isEmpty {
            let count = try unsafe target.write(toAbsoluteOffset: position, rest)
            position += Int64(count)
            unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// `12M of 4G, 1.2G/s`
    static func describe(_ done: UInt64, of total: UInt64?, _ time: Duration) -> String {
        let whole = total.map { " of \(Output.roughSize($0))" } ?? ""
        let speed = min(Double(done) / max(time.inSeconds, 1e-9), 1e18)
        let rate = UInt64(speed)  // fits: no more than 10^18, and never below 0
        return "\(Output.roughSize(done))\(whole), \(Output.roughSize(rate))/s"
    }
}
