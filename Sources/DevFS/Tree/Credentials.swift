import Glibc
import SystemPackage

/// Who asks for something that the kernel has not checked the mode of: by a command, by the socket.
struct Credentials: Sendable {
    var uid: UInt32
    var gid: UInt32
    /// Supplementary groups.
    var groups: [UInt32]

    init(uid: UInt32, gid: UInt32, groups: [UInt32]) {
        self.uid = uid
        self.gid = gid
        self.groups = groups
    }

    init(_ opener: Opener) {
        self.init(uid: opener.uid, gid: opener.caller.gid, groups: opener.groups)
    }

    /// The kernel's rule for a file's mode, `generic_permission` in fs/namei.c.
    func may(reads: Bool = true, writes: Bool, _ status: FileStatus) -> Bool {
        uid == 0 || isGiven(reads: reads, writes: writes, status)
    }

    /// The mode itself gives the right: no capability is needed.
    func isGiven(reads: Bool, writes: Bool, _ status: FileStatus) -> Bool {
        let wanted: UInt32 = (reads ? 4 : 0) | (writes ? 2 : 0)
        let shift: UInt32 =
            if uid == status.uid {
                6
            } else if gid == status.gid || groups.contains(status.gid) {
                3
            } else {
                0
            }
        return status.mode >> shift & wanted == wanted
    }
}

extension FileSystem {
    /// Root, the user of the server, and the owner of the mount.
    func isAdministrator(_ uid: UInt32) -> Bool {
        uid == 0 || uid == options.uid || uid == geteuid()
    }

    /// A user may take away what is his. Where all belongs to the mount's owner, whoever makes it,
    /// the modes of the tree alone decide.
    func mayManage(_ owner: UInt32, _ uid: UInt32) -> Bool {
        options.forcesUID || uid == owner || isAdministrator(uid)
    }

    /// Who frees or renames a buffer must be its owner, as in a directory with the sticky bit. The bit
    /// itself would make the kernel refuse O_CREAT of others' buffers (`fs.protected_regular`).
    /// - Throws: EPERM.
    func checkOwner(of buffer: Buffer, _ uid: UInt32) throws(Errno) {
        if options.forcesUID || isAdministrator(uid) { return }
        try checkOwner(of: try buffers.status(of: buffer), uid)
    }

    func checkOwner(of status: FileStatus, _ uid: UInt32) throws(Errno) {
        guard mayManage(status.uid, uid) else { throw .notPermitted }
    }

    /// A command on a buffer needs the rights that opening it would. What is given is what was
    /// checked: the name is not looked up again.
    /// - Throws: ENOENT, EACCES.
    func buffer(
        _ name: Name, for user: Credentials, reads: Bool = true, writes: Bool
    ) throws(Refusal) -> Buffer {
        guard let buffer = buffers[name] else {
            throw Refusal(.noSuchFileOrDirectory, "no buffer \(name)")
        }
        do throws(Errno) {
            let status = try buffers.status(of: buffer)
            guard user.may(reads: reads, writes: writes, status) else {
                throw .permissionDenied
            }
        } catch {
            throw Refusal(error, "uid \(user.uid) may not open \(name) for that")
        }
        return buffer
    }
}
