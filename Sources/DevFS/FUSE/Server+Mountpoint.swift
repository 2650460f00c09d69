import CFuse
import Glibc
import Logging
import SystemPackage

/// The directory to mount on: found, freed of what a server that died left, and claimed.
extension Server {
    /// A place that no other server of this user takes, as long as this lives.
    struct Claim: Sendable {
        let place: Place
        private let lock: SharedDescriptor

        fileprivate init(_ place: Place, _ lock: SharedDescriptor) {
            (self.place, self.lock) = (place, lock)
        }
    }

    /// - Parameter path: absolute.
    /// - Throws: what leads elsewhere, what is mounted there, who else is mounting there.
    static func claim(
        _ path: String, source: String, _ log: Logger
    ) throws(SetupError) -> Claim {
        // The device's lock is ours, so a mount of it has no server.
        try DeadMounts(of: source).remove(for: "mounting on \(path)", onto: path) { mount in
            Self.tell(mount, log)
        }
        // Once for each dead mount that lies there, and for each server that was quicker.
        for _ in 0..<20 {
            guard let place = try vacant(path, log) else { continue }
            let (lock, key) = try lock(place, path)
            // Whoever had it before may have mounted.
            guard let again = try vacant(path, log), (try? self.key(of: again)) == key else {
                continue
            }
            try checkDirectory(again, path)
            return Claim(again, lock)
        }
        throw SetupError("mounting on \(path)", .resourceBusy, hint: "it changes all the time")
    }

    private static func checkDirectory(_ place: Place, _ path: String) throws(SetupError) {
        do throws(Errno) {
            guard try Syscalls.status(of: place.directory.raw).isDirectory else {
                throw .notDirectory
            }
        } catch {
            throw SetupError("mounting on \(path)", error)
        }
    }

    /// The directory; nil where a dead mount was on it, which is gone now.
    private static func vacant(_ path: String, _ log: Logger) throws(SetupError) -> Place? {
        let place = try find(path)
        guard let mount = try MountEntry.table().first(where: { $0.id == place.mount }),
            place.isMountRoot ?? (mount.mountpoint == place.path)
        else { return place }
        if mount.isStrangers {
            throw SetupError(
                "mounting on \(path)", .resourceBusy,
                hint: "user \(mount.user ?? 0) has mounted there: umount \(path.shellQuoted)")
        }
        guard mount.isOurs else { return place }
        if mount.isDead {
            try remove(mount, log)
            return nil
        }
        throw SetupError(
            "mounting on \(path)", .resourceBusy,
            hint: "\(mount.source) is mounted there; devfs unmount \(path.shellQuoted)")
    }

    private static func find(_ path: String) throws(SetupError) -> Place {
        do throws(Place.Failure) {
            return try Place.find(path)
        } catch {
            throw SetupError(
                "mounting on \(path)", error.errno,
                hint: error.errno == .noSuchFileOrDirectory
                    ? "mkdir -p \(path.shellQuoted)" : error.why)
        }
    }

    private static func remove(_ mount: MountEntry, _ log: Logger) throws(SetupError) {
        tell(mount, log)
        try mount.unmountDead()
    }

    private static func tell(_ mount: MountEntry, _ log: Logger) {
        log.notice("cleaning up the dead mount \(mount.mountpoint.printable) of \(mount.source)")
    }

    /// A byte of a file for each directory: a lock on the directory itself could be held by anybody
    /// who can read it.
    private static func lock(
        _ place: Place, _ path: String
    ) throws(SetupError) -> (SharedDescriptor, off_t) {
        try OwnDirectory.make(MemoryDevice.base())
        let attempt = "mounting on \(path)"
        do throws(Errno) {
            let file = try Syscalls.open(
                MemoryDevice.mountingLock, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
            let key = try key(of: place)
            try Syscalls.claim(file.raw, byte: key)
            return (SharedDescriptor(file), key)
        } catch .wouldBlock {
            throw SetupError(attempt, .resourceBusy, hint: "another mount is being made there")
        } catch {
            throw SetupError(attempt, error)
        }
    }

    private static func key(of place: Place) throws(Errno) -> off_t {
        let inode = try Syscalls.status(of: place.directory.raw).inode
        return off_t((place.mount << 40 ^ inode) & UInt64(off_t.max >> 1))
    }
}
