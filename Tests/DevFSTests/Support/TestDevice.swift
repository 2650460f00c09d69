import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

/// The two shapes a memory device has.
enum MemoryForm: String, Sendable, CaseIterable, CustomTestStringConvertible {
    /// Root's: a tmpfs of its own keeps the limit.
    case privateTmpfs
    /// An ordinary user's: a directory on a tmpfs, the server keeps the limit.
    case directory

    var testDescription: String {
        switch self {
        case .privateTmpfs: "a tmpfs of its own"
        case .directory: "a directory on a tmpfs"
        }
    }

    /// Those that this machine can have.
    static var available: [MemoryForm] { Machine.isRoot ? allCases : [.directory] }
}

/// A memory device for one test, `unit-PID-N`. Opening it again is a restart of the server.
final class TestDevice: ConformanceDevice {
    static let size: UInt64 = 4 << 20
    private static let numbers = Atomic(0)

    let name: Name
    let form: MemoryForm
    let size: UInt64
    let kind = BackendKind.memory

    fileprivate init(_ form: MemoryForm, size: UInt64) throws {
        let number = Self.numbers.add(1, ordering: .relaxed).newValue
        name = try #require(Name("unit-\(getpid())-\(number)"))
        self.form = form
        self.size = size
        guard form == .directory && Machine.isRoot else { return }
        // Root's devices are under /run/devfs, which need not be a tmpfs: put one there, larger
        // than the limit, so that the limit is the store's own.
        let device = MemoryDevice(name)
        try device.makeDirectories()
        try Syscalls.mount(
            "devfs-unit", on: device.path, type: "tmpfs", flags: 0, options: "size=1G,mode=0755")
    }

    var path: String { MemoryDevice(name).path }

    func open() throws -> any Backend { try backend() }

    func backend(size: UInt64? = nil) throws -> MemoryBackend {
        if form == .directory && Machine.isRoot {
            return try Machine.withoutSystemAdministration {
                try MemoryBackend(name, size: size ?? self.size, huge: nil)
            }
        }
        return try MemoryBackend(name, size: size ?? self.size, huge: nil)
    }

    /// The backend of a server that starts again.
    func reopened() throws -> MemoryBackend {
        // A process that is just being spawned has the lock of the one before until its exec.
        var result = Result { try backend() }
        _ = holds(within: .seconds(0.5)) {
            guard case .failure(let error as SetupError) = result, error.errno == .resourceBusy
            else { return true }
            result = Result { try backend() }
            return false
        }
        return try result.get()
    }

    /// Takes all away; whatever still holds the device is a leak and fails the test.
    fileprivate func remove() {
        let place = path
        do {
            if form == .directory && Machine.isRoot {
                // A process that is just being spawned has our descriptors until its exec.
                _ = holds(within: .seconds(0.5)) { (try? Syscalls.unmount(place)) != nil }
                try Syscalls.removeDirectory("\(place)/data")
                try Syscalls.removeDirectory(place)
            } else {
                var failure: SetupError?
                _ = holds(within: .seconds(0.5)) {
                    do throws(SetupError) {
                        failure = nil
                        try MemoryDevices.remove(name.text)
                    } catch {
                        failure = error
                    }
                    return failure?.errno != .resourceBusy
                }
                if let failure { throw failure }
            }
        } catch {
            Issue.record("\(name) can't be removed, something holds it: \(error)")
            try? Syscalls.unmount("\(place)/data", lazily: true)
            try? Syscalls.unmount(place, lazily: true)
            _ = Spawn.run(["rm", "-rf", "--one-file-system", place])
        }
    }
}

/// Listing devices takes every device's lock for a moment, so nothing else may be under way.
///
/// *Safety*: a lock of the C library, initialised once and never moved or freed.
@safe private final class Gate: @unchecked Sendable {
    static let shared = Gate()
    private let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)

    private init() { unsafe pthread_rwlock_init(lock, nil) }

    func enter(alone: Bool) {
        if alone { unsafe pthread_rwlock_wrlock(lock) } else { unsafe pthread_rwlock_rdlock(lock) }
    }
    func leave() { unsafe pthread_rwlock_unlock(lock) }
}

/// Runs with a fresh device and takes it away.
/// - Parameter alone: no other test of this process has a device meanwhile.
func withDevice(
    _ form: MemoryForm = MemoryForm.available[0], size: UInt64 = TestDevice.size,
    alone: Bool = false, _ body: (TestDevice) throws -> Void
) throws {
    Gate.shared.enter(alone: alone)
    defer { Gate.shared.leave() }
    let device = try TestDevice(form, size: size)
    defer { device.remove() }
    try body(device)
}
