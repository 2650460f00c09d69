import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// The module's device, where the environment names one that nothing else uses. Everything on it
/// is removed: `DEVFS_TEST_DEVICE=/dev/devfs/host`, as Tests/VM/root does in its guest.
struct KernelDevice: ConformanceDevice {
    static let path = unsafe getenv("DEVFS_TEST_DEVICE").map { unsafe String(cString: $0) }
    static let whyNone: Comment =
        "wants a device of the kernel module: DEVFS_TEST_DEVICE=/dev/devfs/host"

    private static let limit = "/sys/module/devfs_dma/parameters/limit_bytes"

    let path: String
    let kind = BackendKind.kernel
    let size: UInt64 = 4 << 20

    func open() throws -> any Backend { try KernelBackend(path) }

    private func clear() throws {
        let backend = try KernelBackend(path)
        for buffer in try backend.buffers() { try backend.remove(buffer) }
        try #require(
            try holds { try backend.space().free == backend.space().size },
            "memory of removed buffers does not come back: something holds it")
    }

    private static func put(_ bytes: [UInt8]) throws {
        let file = try Syscalls.open(limit, flags: O_WRONLY)
        let count = unsafe bytes.withUnsafeBytes {
            unsafe write(file.raw, $0.baseAddress, $0.count)
        }
        try #require(count == bytes.count, "\(limit) is not written: \(lastError)")
    }

    /// Runs with an empty device that has `size` bytes, and leaves it empty.
    static func with(_ body: (KernelDevice) throws -> Void) throws {
        let device = KernelDevice(path: try #require(path))
        let before = try Syscalls.contents(of: limit)
        try device.clear()
        try put(Array("\(device.size)".utf8))
        defer {
            do {
                try put(before)
                try device.clear()
            } catch {
                Issue.record(error)
            }
        }
        try body(device)
    }
}

/// One after the other: there is one device.
@Suite(
    "The backend over the kernel module", .serialized,
    .enabled(if: KernelDevice.path != nil, KernelDevice.whyNone), .timeLimit(.minutes(5)))
struct KernelBackendTests {
    @Test(arguments: Conformance.rules(for: .kernel)) func `holds what every backend holds`(
        rule: Conformance.Rule
    ) throws {
        try KernelDevice.with { device in try rule.check(device) }
    }
}
