import Glibc

/// An open descriptor with the calls the tests make on it.
final class OpenFile {
    private(set) var descriptor: Int32

    /// Opens `path`. open(2).
    init(_ path: String, _ flags: Int32 = O_RDONLY, mode: mode_t = 0o666) throws {
        descriptor = try checked { unsafe Glibc.open(path, flags | O_CLOEXEC, mode) }
    }

    deinit {
        close()
    }

    /// Closes it now. Tests that need it open for as long as a block runs say `defer { x.close() }`.
    func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }

    /// Closes it, with what close(2) reports.
    func end() throws {
        defer { descriptor = -1 }
        _ = try checked { Glibc.close(descriptor) }
    }

    /// Reads up to `count` bytes. read(2).
    func read(_ count: Int) throws -> [UInt8] {
        try unsafe fill(count) { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
    }

    /// Reads up to `count` bytes at `offset`. pread(2).
    func read(_ count: Int, at offset: Int) throws -> [UInt8] {
        try unsafe fill(count) { unsafe pread(descriptor, $0.baseAddress, $0.count, offset) }
    }

    /// Writes `bytes`; how many were taken. write(2).
    @discardableResult
    func write(_ bytes: [UInt8]) throws -> Int {
        try checked {
            unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
        }
    }

    @discardableResult
    func write(_ text: String) throws -> Int {
        try write(Array(text.utf8))
    }

    /// Writes `bytes` at `offset`; how many were taken. pwrite(2).
    @discardableResult
    func write(_ bytes: [UInt8], at offset: Int) throws -> Int {
        try checked {
            unsafe bytes.withUnsafeBytes {
                unsafe pwrite(descriptor, $0.baseAddress, $0.count, offset)
            }
        }
    }

    @discardableResult
    func seek(_ offset: Int, _ whence: Int32 = SEEK_SET) throws -> Int {
        try checked { lseek(descriptor, offset, whence) }
    }

    func truncate(_ size: Int) throws {
        _ = try checked { ftruncate(descriptor, size) }
    }

    func sync() throws {
        _ = try checked { fsync(descriptor) }
    }

    func status() throws -> stat {
        var status = stat()
        _ = try checked { unsafe fstat(descriptor, &status) }
        return status
    }

    /// An ioctl that carries one u64. ioctl(2).
    func ioctl(_ request: UInt, _ value: UInt64) throws {
        var value = value
        _ = try checked { unsafe Glibc.ioctl(descriptor, request, &value) }
    }

    private func fill(
        _ count: Int, _ call: (UnsafeMutableRawBufferPointer) -> Int
    ) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = try checked { unsafe bytes.withUnsafeMutableBytes { unsafe call($0) } }
        return Array(bytes.prefix(got))
    }
}

extension [OpenFile] {
    func closeAll() {
        for file in self { file.close() }
    }
}
