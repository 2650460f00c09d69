import CFuse
import Glibc
import SystemPackage

/// The lock that the server of a device holds as long as it runs.
enum DeviceLock {
    /// How long a server that is ending is waited for: with 100,000 buffers it takes a second.
    private static let patience = Duration.seconds(10)
    /// Between two looks at it, microseconds.
    private static let interval: UInt32 = 20_000
    /// A server that ends is not always seen to: one that was not in so many looks is alive.
    private static let looks = 4

    /// Takes it; waits for a server that is ending.
    ///
    /// - Parameters:
    ///   - directory: the device's own, which outlives the server.
    ///   - source: what is mounted, for the error.
    /// - Throws: EBUSY where another server runs.
    static func take(in directory: String, of source: String) throws(SetupError) -> Descriptor {
        var reason = ""
        do throws(Errno) {
            let lock = try Syscalls.open(
                "\(directory)/lock", flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            if try claim(lock.raw) { return lock }
            reason = Self.reason(source, lock.raw)
        } catch {
            throw SetupError("locking \(directory)/lock", error)
        }
        throw SetupError("locking \(source)", .resourceBusy, fix: reason)
    }

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
                usleep(interval)
            }
        }
        return false
    }

    /// Says to who waits for the lock that this server is about to end.
    static func announceEnd(_ lock: CInt) { _ = cfuse_lock_ends(lock) }

    /// The process that has the lock is on its way out.
    private static func isEnding(_ lock: CInt) -> Bool {
        var ends = false
        let process = unsafe cfuse_lock_holder(lock, &ends)
        return ends || (process > 0 && ProcessHandle.isEnding(ProcessID(process)))
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
        var ends = false
        let process = unsafe cfuse_lock_holder(lock, &ends)
        guard process > 0 else { return "another process has it, which can't be seen from here" }
        let name = MountHolder.name(of: process).shellQuoted
        return "process \(process) (\(name)) serves it, but it is mounted nowhere that can be "
            + "seen: kill \(process) ends it"
    }
}
