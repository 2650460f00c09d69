import Glibc

/// A file without a name in /tmp.
package final class Scratch: Sendable {
    package let descriptor: Int32

    package init() throws {
        let path = "/tmp/devfs-test-output-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor < 0 { throw CommandFailure.ofCall(path) }
        _ = unsafe unlink(path)
    }

    deinit {
        close(descriptor)
    }

    package func contents() -> [UInt8] {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        let got = unsafe bytes.withUnsafeMutableBytes {
            unsafe pread(descriptor, $0.baseAddress, $0.count, 0)
        }
        return Array(bytes.prefix(max(got, 0)))
    }
}
