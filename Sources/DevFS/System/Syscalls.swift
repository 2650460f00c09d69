import CFuse
import Glibc
import Synchronization
import SystemPackage

/// Every raw call on files, with its errno thrown. Paths are relative to a directory descriptor;
/// `AT_FDCWD` and an absolute path is fine.
enum Syscalls {
    static let currentDirectory: CInt = AT_FDCWD

    /// An offset or a length as the kernel takes it. One beyond 63 bits becomes negative, which is EINVAL.
    @inline(__always)
    private static func position(_ bytes: UInt64) -> off_t { off_t(truncatingIfNeeded: bytes) }

    /// `openat(2)`, always close-on-exec.
    static func open(
        _ path: String, at directory: CInt = currentDirectory, flags: CInt, mode: mode_t = 0
    ) throws(Errno) -> Descriptor {
        let raw = try check { unsafe cfuse_openat(directory, path, flags, mode) }
        return Descriptor(owning: raw)
    }

    /// Opens the same inode anew, with its own flags and position. `proc(5)`, /proc/self/fd
    static func reopen(_ descriptor: CInt, flags: CInt) throws(Errno) -> Descriptor {
        try open("/proc/self/fd/\(descriptor)", flags: flags)
    }

    /// `fstat(2)`
    static func status(of descriptor: CInt) throws(Errno) -> FileStatus {
        var status = stat()
        try check { unsafe fstat(descriptor, &status) }
        return FileStatus(status)
    }

    /// A file's length in bytes, and whether it has holes. `fstat(2)`
    static func extent(of descriptor: CInt) throws(Errno) -> (size: UInt64, isSparse: Bool) {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw lastError }
        return (UInt64(bitPattern: Int64(status.st_size)), status.st_blocks &* 512 < status.st_size)
    }

    /// The file system that a descriptor is on: its `st_dev`.
    static func fileSystem(of descriptor: CInt) throws(Errno) -> dev_t {
        var status = stat()
        try check { unsafe fstat(descriptor, &status) }
        return status.st_dev
    }

    /// `fstatat(2)`, not following a symbolic link.
    static func status(
        of path: String, at directory: CInt = currentDirectory
    ) throws(Errno) -> FileStatus {
        var status = stat()
        try check { unsafe fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW) }
        return FileStatus(status)
    }

    /// `pread(2)`: how many bytes were there.
    static func read(
        _ descriptor: CInt, into bytes: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        try check { unsafe pread(descriptor, bytes.baseAddress, bytes.count, position(offset)) }
    }

    /// `pread(2)` of at most `count` bytes into a new array.
    static func bytes(
        of descriptor: CInt, at offset: UInt64, count: Int
    ) throws(Errno) -> [UInt8] {
        var failure: Errno?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { room, filled in
            do throws(Errno) {
                filled = unsafe try read(
                    descriptor, into: UnsafeMutableRawBufferPointer(room), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Writes zeros over a range.
    static func zero(_ descriptor: CInt, _ range: Range<UInt64>) throws(Errno) {
        let zeros = [UInt8](
            repeating: 0, count: Int(clamping: min(range.upperBound - range.lowerBound, 1 << 16)))
        var offset = range.lowerBound
        while offset < range.upperBound {
            let count = Int(clamping: min(UInt64(zeros.count), range.upperBound - offset))
            offset += UInt64(
                try check {
                    unsafe zeros.withUnsafeBytes { bytes in
                        unsafe pwrite(descriptor, bytes.baseAddress, count, position(offset))
                    }
                })
        }
    }

    /// Writes zeros over the data of a range; holes stay holes. `lseek(2)`, SEEK_DATA
    static func zeroData(_ descriptor: CInt, _ range: Range<UInt64>) throws(Errno) {
        // A position of its own: the descriptor is shared.
        let file = try reopen(descriptor, flags: O_RDWR | O_NONBLOCK)
        var offset = range.lowerBound
        while offset < range.upperBound {
            let start = cfuse_seek_data(file.raw, position(offset))
            guard start >= 0, UInt64(start) < range.upperBound else { return }
            let end = cfuse_seek_hole(file.raw, start)
            guard end > start else { throw lastError }
            offset = min(UInt64(end), range.upperBound)
            try zero(file.raw, UInt64(start)..<offset)
        }
    }

    /// `pwrite(2)` until all is written: the bytes that were, or the errno if none was.
    @inline(__always)
    static func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        let done = unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, position(offset))
        if done == bytes.count { return done }
        return unsafe try finish(writing: bytes, done, to: descriptor, at: offset)
    }

    /// The same, of bytes that are lent.
    static func write(
        _ bytes: RawSpan, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        try unsafe bytes.withUnsafeBytes { (bytes) throws(Errno) in
            unsafe try write(bytes, to: descriptor, at: offset)
        }
    }

    /// The rest of a write whose first call gave `first`.
    @inline(never)
    private static func finish(
        writing bytes: UnsafeRawBufferPointer, _ first: Int, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        var done = first
        if done < 0 {
            guard lastError == .interrupted else { throw lastError }
            done = 0
        }
        while done < bytes.count {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
            let step = unsafe pwrite(
                descriptor, rest.baseAddress, rest.count, position(offset) &+ done)
            if step > 0 {
                done += step
            } else if step == 0 {
                break
            } else if lastError != .interrupted {
                if done > 0 { break }
                throw lastError
            }
        }
        return done
    }

    /// `ftruncate(2)`
    static func truncate(_ descriptor: CInt, to size: UInt64) throws(Errno) {
        try check { ftruncate(descriptor, position(size)) }
    }

    /// Makes sure that the memory of a range is there; the file grows to its end.
    /// `fallocate(2)`, mode 0
    static func allocate(_ descriptor: CInt, _ range: Range<UInt64>) throws(Errno) {
        try check {
            cfuse_allocate(
                descriptor, position(range.lowerBound),
                position(range.upperBound - range.lowerBound))
        }
    }

    /// `fsync(2)`
    static func sync(_ descriptor: CInt) throws(Errno) {
        try check { fsync(descriptor) }
    }

    /// Gives an unnamed file (O_TMPFILE) its name; EEXIST where the name is taken. `linkat(2)`
    static func link(
        _ descriptor: CInt, as name: String, at directory: CInt
    ) throws(Errno) {
        try check {
            unsafe linkat(
                AT_FDCWD, "/proc/self/fd/\(descriptor)", directory, name, AT_SYMLINK_FOLLOW)
        }
    }

    /// `unlinkat(2)`
    static func unlink(_ name: String, at directory: CInt) throws(Errno) {
        try check { unsafe unlinkat(directory, name, 0) }
    }

    /// `renameat2(2)` within one directory.
    static func rename(
        _ old: String, to new: String, at directory: CInt, flags: RenameFlags
    ) throws(Errno) {
        try check { unsafe cfuse_renameat2(directory, old, directory, new, flags.rawValue) }
    }

    /// `mkdirat(2)`; a directory that is there already is fine.
    static func makeDirectory(
        _ path: String, at directory: CInt = currentDirectory, mode: mode_t
    ) throws(Errno) {
        do throws(Errno) {
            try check { unsafe mkdirat(directory, path, mode) }
        } catch .fileExists {
            guard try status(of: path, at: directory).isDirectory else { throw .notDirectory }
        }
    }

    /// `rmdir(2)`
    static func removeDirectory(_ path: String) throws(Errno) {
        try check { unsafe rmdir(path) }
    }

    /// Makes the name of a fresh link one of its own.
    private static let linkNumber = Atomic<UInt64>(0)

    /// Makes or replaces a symbolic link in one step. `symlinkat(2)`, `renameat(2)`
    static func setLink(_ name: String, to text: String, at directory: CInt) throws(Errno) {
        let fresh = ".\(name).\(linkNumber.add(1, ordering: .relaxed).newValue)"
        do throws(Errno) {
            try check { unsafe symlinkat(text, directory, fresh) }
        } catch .fileExists {
            try unlink(fresh, at: directory)
            try check { unsafe symlinkat(text, directory, fresh) }
        }
        try rename(fresh, to: name, at: directory, flags: [])
    }

    /// The text of a symbolic link, at most 4,095 bytes. `readlinkat(2)`
    static func link(_ name: String, at directory: CInt) throws(Errno) -> String {
        var text = [CChar](repeating: 0, count: 4096)
        let count = try check { unsafe readlinkat(directory, name, &text, text.count) }
        return unsafe text.withUnsafeBytes { bytes in
            unsafe String(decoding: bytes[..<count], as: UTF8.self)
        }
    }

    /// The names in a directory, without `.` and `..`. `readdir(3)`
    static func names(in directory: CInt) throws(Errno) -> [String] {
        let fresh = try open(".", at: directory, flags: O_RDONLY | O_DIRECTORY)
        guard let stream = unsafe fdopendir(fresh.raw) else { throw lastError }
        _ = fresh.take()
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { bytes in
                unsafe bytes.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// `fchmod(2)`
    static func setMode(_ descriptor: CInt, _ mode: mode_t) throws(Errno) {
        try check { fchmod(descriptor, mode) }
    }

    /// `fchown(2)`; -1 (`UInt32.max`) leaves one as it is.
    static func setOwner(_ descriptor: CInt, uid: uid_t, gid: gid_t) throws(Errno) {
        try check { fchown(descriptor, uid, gid) }
    }

    /// `futimens(3)`; nanoseconds may be UTIME_NOW or UTIME_OMIT.
    static func setTimes(
        _ descriptor: CInt, accessed: Timestamp, modified: Timestamp
    ) throws(Errno) {
        let times = [accessed.timespec, modified.timespec]
        try check { unsafe futimens(descriptor, times) }
    }

    /// `statvfs(3)`
    static func space(of path: String) throws(Errno) -> SpaceStatus {
        // One that nobody has would be closed before it is asked.
        let directory = SharedDescriptor(try open(path, flags: O_RDONLY | O_DIRECTORY))
        return try withExtendedLifetime(directory) { () throws(Errno) in
            try space(of: directory.raw)
        }
    }

    /// `fstatvfs(3)`
    static func space(of descriptor: CInt) throws(Errno) -> SpaceStatus {
        var status = statvfs()
        try check { unsafe fstatvfs(descriptor, &status) }
        let unit = UInt64(status.f_frsize)
        return SpaceStatus(
            size: UInt64(status.f_blocks).multipliedClamped(by: unit),
            free: UInt64(status.f_bavail).multipliedClamped(by: unit),
            files: UInt64(status.f_files), freeFiles: UInt64(status.f_favail))
    }

    /// Takes the lock of a server's own file without waiting; EAGAIN where another server has it.
    /// Unlike flock(2) it can be asked for without being taken. `fcntl(2)`, F_OFD_SETLK
    static func claim(_ descriptor: CInt) throws(Errno) {
        try check { cfuse_lock(descriptor) }
    }

    /// Somebody else has claimed it.
    static func isClaimed(_ descriptor: CInt) throws(Errno) -> Bool {
        try check { cfuse_is_locked(descriptor) } == 1
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

    /// Does `body` to its end: SIGHUP, SIGINT and SIGTERM of this thread come afterwards.
    /// `pthread_sigmask(3)`
    static func uninterrupted<Result, Failure>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var waiting = sigset_t()
        var before = sigset_t()
        unsafe sigemptyset(&waiting)
        for signal in [SIGHUP, SIGINT, SIGTERM] { unsafe sigaddset(&waiting, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &waiting, &before)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
        return try body()
    }

    /// Takes the whole-file lock without waiting; EWOULDBLOCK where another has it. `flock(2)`
    static func lock(_ descriptor: CInt) throws(Errno) {
        try check { flock(descriptor, LOCK_EX | LOCK_NB) }
    }

    /// A short write would not wait. `poll(2)`
    static func canWrite(_ descriptor: CInt) -> Bool {
        var wish = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return unsafe poll(&wish, 1, 0) == 1 && wish.revents & Int16(POLLOUT) != 0
    }

    /// All of a file of the kernel's, however long it is. `read(2)`
    static func contents(
        of path: String, at directory: CInt = currentDirectory
    ) throws(Errno) -> [UInt8] {
        let file = try open(path, at: directory, flags: O_RDONLY)
        var all: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = try check {
                unsafe room.withUnsafeMutableBytes {
                    unsafe CFuse.read(file.raw, $0.baseAddress, $0.count)
                }
            }
            if count == 0 { return all }
            all += room[..<count]
        }
    }

    /// True where the descriptor's is the only open file description of its inode, mappings
    /// included: a write lease is given then alone. `fcntl(2)`, F_SETLEASE; fs/locks.c
    static func isSoleUser(_ descriptor: CInt) -> Bool {
        // Not every file system has leases: only EAGAIN says that there is another one.
        cfuse_try_lease(descriptor) == 0 || lastError != .resourceTemporarilyUnavailable
    }

    /// `fcntl(2)`, F_SETFL: O_NONBLOCK, O_APPEND and the like.
    static func setFlags(_ descriptor: CInt, _ flags: CInt) throws(Errno) {
        try check { cfuse_fcntl(descriptor, F_SETFL, flags) }
    }

    /// Marks the open file description, whoever it is given to, until its last copy and mapping
    /// is gone. `flock(2)`, LOCK_SH
    static func mark(_ descriptor: CInt) throws(Errno) {
        try check { flock(descriptor, LOCK_SH | LOCK_NB) }
    }
}

/// Flags of `renameat2(2)`, from linux/fs.h.
struct RenameFlags: OptionSet, Sendable {
    let rawValue: UInt32

    static let noReplace = RenameFlags(rawValue: 1)
    static let exchange = RenameFlags(rawValue: 2)
}
