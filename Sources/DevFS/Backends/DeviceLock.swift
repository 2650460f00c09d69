import CFuse
import Glibc
import Synchronization
import SystemPackage

/// The lock that the server of a device holds as long as it runs, and gives up when it goes.
final class DeviceLock: Sendable {
    /// How long a server that is ending is waited for: with 100,000 buffers it takes a second.
    private static let patience = Duration.seconds(10)
    /// Between two looks at it, microseconds.
    private static let interval: UInt32 = 20_000
    /// A server that ends is not always seen to: one that was not in so many looks is alive.
    private static let looks = 4

    private let held: Mutex<SharedDescriptor?>

    /// Takes it; waits for a server that is ending.
    ///
    /// - Parameters:
    ///   - directory: the device's own, which outlives the server.
    ///   - source: what is mounted, for the error.
    /// - Throws: EBUSY where another server runs.
    init(in directory: String, of source: String) throws(SetupError) {
        var reason = ""
        do throws(Errno) {
            let lock = try Syscalls.open(
                "\(directory)/lock", flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            if try Self.claim(lock.raw) {
                held = Mutex(SharedDescriptor(lock))
                return
            }
            reason = Self.reason(source, lock.raw)
        } catch {
            throw SetupError("locking \(directory)/lock", error)
        }
        throw SetupError("locking \(source)", .resourceBusy, hint: reason)
    }

    /// Goes on with that of the server before this one.
    /// - Parameter descriptor: of the open file that has it.
    init(adopting descriptor: SharedDescriptor) throws(Errno) {
        try Syscalls.claim(descriptor.raw)
        held = Mutex(descriptor)
    }

    /// For a keeper.
    var descriptor: SharedDescriptor? { held.withLock { $0 } }

    /// False where a server has it that goes on.
    private static func claim(_ lock: CInt) throws(Errno) -> Bool {
        let end = ContinuousClock.now + patience
        var looks = 0
        while looks < Self.looks && ContinuousClock.now < end {
            do throws(Errno) {
                try Syscalls.claim(lock)
                return true
            } catch .wouldBlock {
                looks = isEnding(lock) ? 0 : looks + 1
                Syscalls.pause(microseconds: interval)
            }
        }
        return false
    }

    /// The server will end now: who mounts the device next waits for that.
    func announceEnd() {
        held.withLock { lock in
            if let lock { try? Syscalls.announceEnd(lock.raw) }
        }
    }

    /// The server does nothing with the device any more: the next one may have it, even if this
    /// process, a thread of which waits for a client, goes on. Also when the device was removed.
    func letGo() {
        held.withLock { held in
            // A keeper has the open file, too.
            if let held { Syscalls.unclaim(held.raw) }
            held = nil
        }
    }

    /// The process that has the lock is on its way out.
    private static func isEnding(_ lock: CInt) -> Bool {
        let (process, ends) = Syscalls.holder(of: lock)
        return ends || process.map(ProcessHandle.isEnding) ?? false
    }

    /// Who has it, and where it is mounted.
    private static func reason(_ source: String, _ lock: CInt) -> String {
        if let place = (try? MemoryDevices.mounts(of: source))?.first {
            return "it is mounted at \(place.mountpoint); use it there or unmount it"
        }
        let holders = MountHolder.of(source: source)
        if !holders.isEmpty {
            return "it is mounted in another mount namespace, of \(MountHolder.list(holders))"
        }
        guard let process = Syscalls.holder(of: lock).process?.number else {
            return "another process has it, which can't be seen from here"
        }
        let name = MountHolder.name(of: process).shellQuoted
        return "process \(process) (\(name)) serves it, but it is mounted nowhere that can be "
            + "seen: kill \(process) ends it"
    }
}
