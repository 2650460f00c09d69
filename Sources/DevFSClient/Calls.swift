import CDevFSBase
import DevFSBase
import Glibc
import SystemPackage

/// Every raw call of the library; each throws the errno of its call.
package enum Calls {
    private static var lastErrno: Errno { Errno(rawValue: errno) }

    /// Throws where `call` gives -1. EINTR is tried again.
    @discardableResult
    private static func check<T: SignedInteger>(_ call: () -> T) throws(Errno) -> T {
        while true {
            let result = call()
            if result != -1 { return result }
            if lastErrno != .interrupted { throw lastErrno }
        }
    }

    /// An offset as the kernel takes it. One beyond 63 bits becomes negative, which is EINVAL.
    private static func position(_ offset: UInt64) -> off_t { off_t(truncatingIfNeeded: offset) }

    /// `open(2)`, always close-on-exec.
    static func open(_ path: String, flags: CInt) throws(Errno) -> Descriptor {
        Descriptor(owning: try check { unsafe Glibc.open(path, flags | O_CLOEXEC, 0o666) })
    }

    /// `read(2)`, once: EINTR and EAGAIN are thrown.
    static func read(
        _ descriptor: CInt, into room: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> Int {
        let count = unsafe Glibc.read(descriptor, room.baseAddress, room.count)
        if count < 0 { throw lastErrno }
        return count
    }

    /// `pread(2)`
    static func read(
        _ descriptor: CInt, into room: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        try check { unsafe pread(descriptor, room.baseAddress, room.count, position(offset)) }
    }

    /// `pwrite(2)`, once.
    static func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        try check { unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, position(offset)) }
    }

    /// `write(2)`, once, as command files want it.
    static func write(_ text: String, to descriptor: CInt) throws(Errno) {
        let bytes = Array(text.utf8)
        try check { unsafe Glibc.write(descriptor, bytes, bytes.count) }
    }

    /// `fstat(2)`: bytes.
    static func size(of descriptor: CInt) throws(Errno) -> UInt64 {
        var status = stat()
        try check { unsafe fstat(descriptor, &status) }
        return UInt64(bitPattern: Int64(status.st_size))
    }

    /// `mmap(2)`, MAP_SHARED; `count` is not 0, `offset` a multiple of the page.
    static func map(
        _ descriptor: CInt, at offset: UInt64, count: Int, isWritable: Bool
    ) throws(Errno) -> UnsafeMutableRawPointer {
        guard
            let base = unsafe devfs_map(descriptor, position(offset), count, isWritable ? 1 : 0)
        else { throw lastErrno }
        return unsafe base
    }

    static func unmap(_ base: UnsafeMutableRawPointer, count: Int) {
        unsafe _ = munmap(base, count)
    }

    static func unlink(_ path: String) throws(Errno) { try check { unsafe Glibc.unlink(path) } }

    /// `getcwd(3)`
    package static func currentDirectory() throws(Errno) -> String {
        guard let path = unsafe getcwd(nil, 0) else { throw lastErrno }
        defer { unsafe free(path) }
        return unsafe String(cString: path)
    }

    /// The path without symbolic links and dots. `realpath(3)`
    static func realPath(_ path: String) throws(Errno) -> String {
        guard let resolved = unsafe realpath(path, nil) else { throw lastErrno }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    /// The names in a directory, sorted, without `.` and `..`. `readdir(3)`
    static func names(in path: String) throws(Errno) -> [String] {
        guard let stream = unsafe opendir(path) else { throw lastErrno }
        defer { unsafe closedir(stream) }
        return unsafe DirectoryEntries.names(in: stream).sorted()
    }

    /// Whether stat(2) of a path comes back in time, with whatever answer.
    package static func answers(_ path: String, within milliseconds: Int32) -> Bool {
        unsafe devfs_answers(path, milliseconds) != 0
    }

    /// Waits for `descriptor` or for `other` to be readable; the events of `descriptor`, and 0 where
    /// a signal or the time-out (milliseconds, negative is none) ended the wait.
    package static func poll(
        _ descriptor: CInt, _ events: Int32, or other: CInt = -1, timeout: Int32
    ) throws(Errno) -> Int32 {
        var entries = [
            pollfd(fd: descriptor, events: Int16(events), revents: 0),
            pollfd(fd: other, events: Int16(POLLIN), revents: 0),
        ]
        if unsafe Glibc.poll(&entries, nfds_t(entries.count), timeout) < 0 {
            if lastErrno == .interrupted { return 0 }
            throw lastErrno
        }
        return Int32(entries[0].revents)
    }

    /// `epoll_create1(2)`, close-on-exec.
    static func makeEpoll() throws(Errno) -> Descriptor {
        Descriptor(owning: try check { devfs_epoll() })
    }

    /// Has one event of `descriptor` told: that it is readable, or at its end.
    static func wish(_ epoll: CInt, _ descriptor: CInt, number: UInt64) throws(Errno) {
        try check { devfs_epoll_wish(epoll, descriptor, number) }
    }

    static func forget(_ epoll: CInt, _ descriptor: CInt) {
        devfs_epoll_forget(epoll, descriptor)
    }

    /// Waits for events, without a limit: their numbers.
    static func events(_ epoll: CInt) -> [UInt64] {
        var numbers = [UInt64](repeating: 0, count: 16)
        let count = unsafe devfs_epoll_wait(epoll, &numbers, 16)
        return Array(numbers.prefix(Int(max(count, 0))))
    }

    /// Starts a thread that nobody waits for. `pthread_create(3)`
    static func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
        final class Box {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        let box = unsafe Unmanaged.passRetained(Box(body))
        var thread = pthread_t()
        let error = unsafe pthread_create(
            &thread, nil,
            { raw in
                guard let raw = unsafe raw else { return nil }
                unsafe Unmanaged<Box>.fromOpaque(raw).takeRetainedValue().body()
                return nil
            }, unsafe box.toOpaque())
        if error != 0 {
            unsafe box.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}

/// An open file descriptor, closed when its owner goes.
struct Descriptor: ~Copyable, Sendable {
    /// The number. Not to be closed.
    let raw: CInt

    /// Takes ownership of `raw`, which must be open.
    init(owning raw: CInt) { self.raw = raw }

    deinit {
        // EBADF here means that someone closed a descriptor that is ours: our own bug, and the
        // number may already be someone else's.
        precondition(close(raw) == 0 || errno != EBADF, "descriptor \(raw) was closed twice")
    }

    /// Gives the number up without closing it.
    consuming func take() -> CInt {
        let raw = self.raw
        discard self
        return raw
    }
}
