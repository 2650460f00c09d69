import SystemPackage

/// Who asks for a buffer without having it open: the kernel has not checked the mode then.
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

    /// The caller of a FUSE request.
    init(_ caller: Caller) {
        self.init(uid: caller.uid, gid: caller.gid, groups: ProcessHandle.groups(of: caller.pid))
    }

    /// The kernel's rule for a file's mode, `generic_permission` in fs/namei.c.
    func may(reads: Bool = true, writes: Bool, _ status: FileStatus) -> Bool {
        if uid == 0 { return true }
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
    /// A command on a buffer needs the rights that opening it would.
    /// - Throws: ENOENT, EACCES.
    func buffer(
        _ name: Name, for caller: Caller, reads: Bool = true, writes: Bool
    ) throws(Refusal) -> Buffer {
        try buffer(name, for: Credentials(caller), reads: reads, writes: writes)
    }

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
