import CFuse
import Glibc
import SystemPackage

/// A point in time, as file systems keep it: seconds and nanoseconds since 1970.
package struct Timestamp: Sendable, Equatable {
    package var seconds: Int
    package var nanoseconds: Int

    package init(seconds: Int, nanoseconds: Int) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    init(_ time: timespec) {
        self.init(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
    }

    /// Nanoseconds that mean "now" and "as it is", from linux/stat.h. `utimensat(2)`
    static let currentTime = (1 << 30) - 1
    static let unchanged = (1 << 30) - 2

    var timespec: timespec { .init(tv_sec: seconds, tv_nsec: nanoseconds) }

    /// `2026-11-24T01:48:56.123Z`
    var utc: String {
        var text = [CChar](repeating: 0, count: 32)
        unsafe cfuse_utc(seconds, &text, text.count)
        let whole = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        return "\(whole).\(String(1000 + nanoseconds / 1_000_000).dropFirst())Z"
    }

    /// CLOCK_REALTIME.
    static func now() -> Timestamp { Timestamp(Clock.read(CLOCK_REALTIME)) }
}

/// The kernel's clocks. `clock_gettime(2)`
enum Clock {
    static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return time
    }

    /// CLOCK_MONOTONIC in nanoseconds, the clock of every event.
    static var monotonic: UInt64 {
        let time = read(CLOCK_MONOTONIC)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// What `stat(2)` tells of a file.
package struct FileStatus: Sendable, Equatable {
    /// Inode number.
    package var inode: UInt64
    /// Type and permission bits, as in `st_mode`.
    package var mode: UInt32
    package var links: UInt32 = 1
    package var uid: UInt32
    package var gid: UInt32
    /// Bytes.
    package var size: UInt64 = 0
    /// Allocated, in units of 512 bytes.
    package var blocks: UInt64 = 0
    /// Bytes that are good to read at a time.
    package var blockSize: UInt32 = 4096
    package var accessed: Timestamp
    package var modified: Timestamp
    package var changed: Timestamp
    /// Seconds for which the kernel may take it for true: see `FileSystem+Lifetimes`.
    var lifetime = 0.0
    /// The same of the name that it was looked up by.
    var nameLifetime = 0.0

    init(
        inode: UInt64, mode: UInt32, links: UInt32 = 1, uid: UInt32, gid: UInt32, at time: Timestamp
    ) {
        self.inode = inode
        self.mode = mode
        self.links = links
        self.uid = uid
        self.gid = gid
        accessed = time
        modified = time
        changed = time
    }

    mutating func setTimes(_ time: Timestamp) {
        accessed = time
        modified = time
        changed = time
    }

    init(_ status: stat) {
        inode = UInt64(status.st_ino)
        mode = status.st_mode
        links = UInt32(truncatingIfNeeded: status.st_nlink)
        uid = status.st_uid
        gid = status.st_gid
        size = UInt64(clamping: status.st_size)
        blocks = UInt64(clamping: status.st_blocks)
        blockSize = UInt32(clamping: status.st_blksize)
        accessed = Timestamp(status.st_atim)
        modified = Timestamp(status.st_mtim)
        changed = Timestamp(status.st_ctim)
    }

    /// The same as libfuse and the kernel take it.
    var stat: stat {
        var status = CFuse.stat()
        status.st_ino = UInt(inode)
        status.st_mode = mode
        status.st_nlink = UInt(links)
        status.st_uid = uid
        status.st_gid = gid
        status.st_size = Int(clamping: size)
        status.st_blocks = Int(clamping: blocks)
        status.st_blksize = Int(blockSize)
        status.st_atim = accessed.timespec
        status.st_mtim = modified.timespec
        status.st_ctim = changed.timespec
        return status
    }

    /// Bytes that it really has.
    var allocated: UInt64 { blocks.multipliedClamped(by: 512) }
    /// Of its size, the part that has memory: a client can make a file of any length.
    var taken: UInt64 { min(size.wholePages, allocated) }
    /// It has holes: bytes without memory.
    var isSparse: Bool { allocated < size }

    package var isRegular: Bool { mode & S_IFMT == S_IFREG }
    package var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
}

/// What `statvfs(2)` tells of a file system, in bytes.
package struct SpaceStatus: Sendable, Equatable {
    package var size: UInt64
    package var free: UInt64
    /// Where many change at once, the kernel's count of what is free can be above the size.
    package var used: UInt64 { size - min(size, free) }
    /// Files that exist, and that can be made.
    package var files: UInt64
    /// Files that can still be made.
    package var freeFiles = UInt64.max
    /// Bytes that the file system below has, where it has less than is free.
    package var below: UInt64?

    /// The most that can be had now.
    package var available: UInt64 { min(free, below ?? free) }
}
