import CFuse
import Glibc
import SystemPackage

/// Raw calls on UNIX sockets, none of which waits. `unix(7)`
extension Syscalls {
    /// A stream socket that listens at a path, which must not be there.
    /// - Throws: ENAMETOOLONG beyond 107 bytes.
    static func listen(
        at path: String, uid: UInt32, gid: UInt32, mode: UInt32
    ) throws(Errno) -> Descriptor {
        let socket = Descriptor(owning: try check { cfuse_unix_socket() })
        try check { unsafe cfuse_bind(socket.raw, path) }
        try check { unsafe chown(path, uid, gid) }
        try check { unsafe chmod(path, mode) }
        try check { Glibc.listen(socket.raw, 64) }
        return socket
    }

    /// The next connection. `accept4(2)`
    static func accept(_ listener: CInt) throws(Errno) -> Descriptor {
        Descriptor(owning: try check { cfuse_accept(listener) })
    }

    /// Lets everybody connect but these users, where the file system has access control lists.
    /// `acl(5)`
    static func deny(_ path: String, to users: [UInt32]) {
        _ = unsafe cfuse_deny(path, users, users.count)
    }

    /// Who connected, as the kernel noted it then, and his supplementary groups. SO_PEERCRED,
    /// SO_PEERGROUPS
    static func peer(of socket: CInt) throws(Errno) -> (caller: Caller, groups: [UInt32]) {
        var pid: pid_t = 0
        var uid: uid_t = 0
        var gid: gid_t = 0
        try check { unsafe cfuse_peer(socket, &pid, &uid, &gid) }
        var groups = [gid_t](repeating: 0, count: 1024)
        let count = unsafe cfuse_peer_groups(socket, &groups, CInt(groups.count))
        return (
            Caller(pid: ProcessID(pid), uid: uid, gid: gid),
            Array(groups.prefix(Int(max(count, 0))))
        )
    }

    /// At most so many bytes as there is room for, and the first descriptor that came with them:
    /// -1 where none did, or none is wanted. 0 bytes at the end. `recvmsg(2)`, SCM_RIGHTS
    static func receive(
        _ socket: CInt, into room: inout [UInt8], wantsDescriptor: Bool
    ) throws(Errno) -> (count: Int, given: CInt) {
        var given: CInt = -1
        let count = unsafe cfuse_receive_fd(socket, &room, room.count, &given, wantsDescriptor)
        if count < 0 { throw lastError }
        return (count, given)
    }

    /// Sends all, with a descriptor where it is not -1; false where the peer did not take it.
    /// `sendmsg(2)`, SCM_RIGHTS
    static func send(_ bytes: [UInt8], descriptor: CInt = -1, to socket: CInt) -> Bool {
        unsafe cfuse_send_fd(socket, bytes, bytes.count, descriptor) == bytes.count
    }

    /// A regular file on a tmpfs (a memfd, too) or hugetlbfs, whose pages need nobody to come: only
    /// these have seals. `fcntl(2)`, F_GET_SEALS
    static func isSharedMemory(_ descriptor: CInt) -> Bool { cfuse_is_shared_memory(descriptor) }
}
