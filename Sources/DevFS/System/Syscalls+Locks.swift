import CFuse
import Glibc
import SystemPackage

/// Raw calls that tell who uses a file, none of which waits.
extension Syscalls {
    /// Takes the lock of a server's own file; EAGAIN where another server has it.
    /// Unlike flock(2) it can be asked for without being taken. `fcntl(2)`, F_OFD_SETLK
    static func claim(_ descriptor: CInt) throws(Errno) {
        try check { cfuse_lock(descriptor) }
    }

    /// Somebody else has claimed it.
    static func isClaimed(_ descriptor: CInt) throws(Errno) -> Bool {
        try check { cfuse_is_locked(descriptor) } == 1
    }

    /// Says that who has claimed it will end soon.
    static func announceEnd(_ descriptor: CInt) throws(Errno) {
        try check { cfuse_lock_ends(descriptor) }
    }

    /// Who has claimed it, nil where it can't be told, and whether he said that he will end.
    /// `fcntl(2)`, F_GETLK
    static func holder(of descriptor: CInt) -> (process: ProcessID?, ends: Bool) {
        var ends = false
        let process = unsafe cfuse_lock_holder(descriptor, &ends)
        return (process > 0 ? ProcessID(process) : nil, ends)
    }

    /// Takes one byte of a file; EAGAIN where another has it. `fcntl(2)`, F_OFD_SETLK
    static func claim(_ descriptor: CInt, byte offset: off_t) throws(Errno) {
        try check { cfuse_lock_byte(descriptor, offset) }
    }

    /// Somebody has a block device for his own, as file systems, swap, LVM and RAID do; false where
    /// it can't be told. It is open for a moment: udev looks after writers alone, and no medium is
    /// asked for. `open(2)`, O_EXCL without O_CREAT; block/bdev.c
    static func isClaimed(blockDevice path: String) -> Bool {
        do throws(Errno) {
            _ = try open(path, flags: O_RDONLY | O_EXCL | O_NONBLOCK)
            return false
        } catch {
            return error == .resourceBusy
        }
    }

    /// Takes the whole-file lock; EWOULDBLOCK where another has it. `flock(2)`
    static func lock(_ descriptor: CInt) throws(Errno) {
        try check { flock(descriptor, LOCK_EX | LOCK_NB) }
    }

    /// Marks the open file description, whoever it is given to, until its last copy and mapping
    /// is gone. `flock(2)`, LOCK_SH
    static func mark(_ descriptor: CInt) throws(Errno) {
        try check { flock(descriptor, LOCK_SH | LOCK_NB) }
    }

    /// True where the descriptor's is the only open file description of its inode, mappings
    /// included: a write lease is given then alone. `fcntl(2)`, F_SETLEASE; fs/locks.c
    static func isSoleUser(_ descriptor: CInt) -> Bool {
        // Not every file system has leases: only EAGAIN says that there is another one.
        cfuse_try_lease(descriptor) == 0 || lastError != .resourceTemporarilyUnavailable
    }
}
