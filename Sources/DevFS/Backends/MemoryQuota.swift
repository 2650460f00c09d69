/// The limit of a memory device that has no tmpfs of its own, kept by the server.
///
/// A change of a file's memory may wait for a client who holds the file's lock: what it may take is
/// set aside for the time, and no lock is held over it.
struct MemoryQuota {
    var limit: UInt64 = 0
    /// Bytes that each file has, open ones without a name included.
    private var charged: [UInt64: UInt64] = [:]
    /// The file of each buffer.
    private var inodes: [BufferID: UInt64] = [:]
    private(set) var used: UInt64 = 0
    /// Bytes that changes under way may take.
    private var reserved: UInt64 = 0

    var free: UInt64 { limit - min(limit, used + reserved) }

    mutating func note(_ inode: UInt64, of buffer: BufferID) { inodes[buffer] = inode }

    /// The file of a buffer is gone.
    mutating func forget(_ buffer: BufferID) {
        if let inode = inodes.removeValue(forKey: buffer) { forget(inode) }
    }

    mutating func charge(_ file: FileStatus) {
        forget(file.inode)
        charged[file.inode] = file.allocated
        used += file.allocated
    }

    private mutating func forget(_ inode: UInt64) {
        used -= charged.removeValue(forKey: inode) ?? 0
    }

    /// Sets aside what a file may take at the most.
    /// - Returns: bytes that it can have in all, and how many are set aside until `settle`.
    mutating func reserve(_ growth: UInt64, for inode: UInt64) -> (room: UInt64, share: UInt64) {
        let room = (charged[inode] ?? 0) + free
        let share = min(growth, free)
        reserved += share
        return (room, share)
    }

    mutating func settle(_ share: UInt64, _ file: FileStatus?) {
        reserved -= share
        if let file { charge(file) }
    }
}
