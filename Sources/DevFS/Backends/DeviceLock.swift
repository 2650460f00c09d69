import Glibc
import SystemPackage

/// The lock that the server of a device holds as long as it runs.
enum DeviceLock {
    /// - Parameters:
    ///   - directory: the device's own, which outlives the server.
    ///   - source: what is mounted, for the error.
    /// - Throws: EBUSY where another server runs.
    static func take(in directory: String, of source: String) throws(SetupError) -> Descriptor {
        do throws(Errno) {
            let lock = try Syscalls.open(
                "\(directory)/lock", flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            try Syscalls.claim(lock.raw)
            return lock
        } catch .wouldBlock {
            // Only to say where.
            let place = (try? MemoryDevices.mounts(of: source))?.first
                .map { " at \($0.mountpoint)" }
            throw SetupError(
                "locking \(source)", .resourceBusy,
                fix: "it is mounted\(place ?? ""); use it there or unmount it")
        } catch {
            throw SetupError("locking \(directory)/lock", error)
        }
    }
}
