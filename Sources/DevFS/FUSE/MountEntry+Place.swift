import CFuse
import Glibc
import SystemPackage

/// A mount that is in the table, found again by descriptor: its path there is one that a user may
/// have given to something else meanwhile.
extension MountEntry {
    /// All mounts, for who sets something up.
    static func table() throws(SetupError) -> [MountEntry] {
        do throws(Errno) {
            return try all()
        } catch {
            throw SetupError("reading /proc/self/mountinfo", error)
        }
    }

    /// - Throws: EBUSY where it is covered by another mount; what the way to it gives.
    private func place() throws(Errno) -> Place {
        do throws(Place.Failure) {
            let place = try Place.find(mountpoint, followsLinks: false)
            if place.mount == id { return place }
        } catch {
            throw error.errno
        }
        throw .resourceBusy
    }

    /// True where the server is gone; false where that can't be told, too. Servers of other users
    /// are not asked.
    package var isDead: Bool {
        guard user != nil, !isStrangers, let place = try? place() else { return false }
        return withExtendedLifetime(place) {
            do throws(Errno) {
                // The status of the root may be known to the kernel.
                _ = try Syscalls.space(of: place.directory.raw)
                return false
            } catch {
                // The second is that of a server which ended as it was asked.
                return error == .socketNotConnected || error == .connectionAbort
            }
        }
    }

    /// Takes it away; lazily, even if it is in use. `umount2(2)`
    /// - Throws: EPERM to an ordinary user, EBUSY, EINVAL where another is there by now.
    package func unmount(lazily: Bool) throws(Errno) {
        if lazily { return try Syscalls.detach(place().directory) }
        // A descriptor of the mount itself would keep it busy.
        guard let (parent, name) = try parent() else { throw .resourceBusy }
        try withExtendedLifetime(parent) { () throws(Errno) in
            try Syscalls.unmount("/proc/self/fd/\(parent.raw)/\(name)")
        }
    }

    /// Gives it and its file system the kernel's flags, `ro` and the like, that a mount with these
    /// options has. `mount(2)`, MS_REMOUNT
    /// - Throws: EBUSY for `ro` while a file is open for writing; EPERM to an ordinary user.
    package func remount(_ options: MountOptions) throws(Errno) {
        let flags = MountFlags.applying(options.kernelOptions)
        let directory = try place().directory
        try withExtendedLifetime(directory) { () throws(Errno) in
            try Syscalls.mount(
                source, on: "/proc/self/fd/\(directory.raw)", type: type,
                flags: UInt(MS_REMOUNT) | MountFlags.bits(flags), options: "")
        }
    }

    /// Has its server look how much memory there is. `statfs(2)`
    package func askSpace() throws(Errno) {
        let directory = try place().directory
        try withExtendedLifetime(directory) { () throws(Errno) in
            _ = try Syscalls.space(of: "/proc/self/fd/\(directory.raw)/.")
        }
    }

    private func parent() throws(Errno) -> (SharedDescriptor, String)? {
        let place = try place()
        return place.parent.map { ($0, place.name) }
    }

    /// The same by umount2(2), or by fusermount3 where that is not permitted.
    func unmountDead() throws(SetupError) {
        let attempt = "unmounting the dead mount \(mountpoint)"
        do throws(Errno) {
            try unmount(lazily: true)
        } catch .notPermitted {
            guard Spawn.run(["fusermount3", "-u", "-z", "--", mountpoint]) == 0 else {
                // fusermount3 asks it who has mounted; a new system of debootstrap has none.
                let isListed = (try? Syscalls.status(of: "/etc/mtab")) != nil
                throw SetupError(
                    attempt, .notPermitted,
                    hint: isListed
                        ? "fusermount3 -u -z -- \(mountpoint.shellQuoted)"
                        : "fusermount3 needs /etc/mtab: sudo ln -s /proc/self/mounts /etc/mtab")
            }
        } catch {
            throw SetupError(attempt, error)
        }
    }

    /// The text of a file on it.
    package func text(of file: String) throws(Errno) -> String {
        let place = try place()
        return try withExtendedLifetime(place) { () throws(Errno) in
            let path = "/proc/self/fd/\(place.directory.raw)/\(file)"
            return String(decoding: try Syscalls.contents(of: path), as: UTF8.self)
        }
    }
}
