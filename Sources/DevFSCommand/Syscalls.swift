import CFuse
import DevFS
import DevFSClient
import Glibc
import SystemPackage

/// The command's own raw calls, which swift-system does not have. Each throws the `Errno` of its call.
extension Syscalls {
    private static var lastErrno: Errno { Errno(rawValue: errno) }

    @discardableResult
    private static func check(_ result: Int32) throws -> Int32 {
        if result < 0 { throw lastErrno }
        return result
    }

    static func changeDirectory(_ path: String) throws { try check(unsafe chdir(path)) }

    static func unmount(_ path: String, flags: Int32) throws {
        try check(unsafe umount2(path, flags))
    }

    static func unlink(_ path: String) throws { try check(unsafe Glibc.unlink(path)) }

    /// The corresponding C function is `fsync`.
    static func synchronize(_ file: FileDescriptor) throws { try check(fsync(file.rawValue)) }

    /// CLOCK_MONOTONIC, nanoseconds, as events have it.
    static var monotonic: UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
    }

    /// True if the caller may use the file so; `mode` as of `access`.
    static func isAccessible(_ path: String, _ mode: Int32) -> Bool {
        unsafe access(path, mode) == 0
    }

    /// Release of the running kernel, such as `6.12.4-amd64`. The corresponding C function is `uname`.
    static func kernelRelease() -> String {
        var name = utsname()
        guard unsafe uname(&name) == 0 else { return "" }
        return unsafe withUnsafeBytes(of: &name.release) {
            unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    static func setCloseOnExec(_ descriptor: FileDescriptor) throws {
        try check(cfuse_fcntl(descriptor.rawValue, F_SETFD, FD_CLOEXEC))
    }

    static func setNonBlocking(_ descriptor: FileDescriptor) throws {
        let flags = try check(cfuse_fcntl(descriptor.rawValue, F_GETFL, 0))
        try check(cfuse_fcntl(descriptor.rawValue, F_SETFL, flags | O_NONBLOCK))
    }

    /// Installs a handler without SA_RESTART. The corresponding C function is `sigaction`.
    static func handle(_ signal: Int32, _ handler: @escaping @convention(c) (Int32) -> Void) {
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = handler
        unsafe _ = sigaction(signal, &action, nil)
    }

    /// Signals a process by its number. Async-signal-safe.
    static func kill(_ pid: pid_t, _ signal: Int32) { _ = Glibc.kill(pid, signal) }

    /// Begins a session of its own; the leader of a process group stays in its. `setsid(2)`
    static func leaveSession() { _ = setsid() }

    /// SIGALRM after so many seconds; 0 is never.
    static func alarm(after seconds: UInt32) { _ = Glibc.alarm(seconds) }

    /// Writes a byte to a pipe. Async-signal-safe.
    static func ring(_ pipe: Int32) {
        var byte: UInt8 = 0
        _ = unsafe write(pipe, &byte, 1)
    }

    /// Bytes that may wait in a socket for its peer. `socket(7)`, SO_SNDBUF
    static func setRoom(_ socket: FileDescriptor, _ bytes: CInt) {
        var bytes = bytes
        unsafe _ = setsockopt(
            socket.rawValue, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<CInt>.size))
    }

    /// Waits for `descriptor` or for `other` to be readable; the events of `descriptor`, and 0 where
    /// a signal or the time-out (milliseconds, negative is none) ended the wait.
    static func poll(
        _ descriptor: FileDescriptor, _ events: Int32, or other: FileDescriptor? = nil,
        timeout: Int32
    ) throws -> Int32 {
        try Calls.poll(
            descriptor.rawValue, events, or: other?.rawValue ?? -1, timeout: timeout)
    }

    /// The process at the other end of a connected UNIX socket.
    static func peer(of socket: FileDescriptor) throws -> pid_t {
        var (pid, uid, gid) = (pid_t(0), uid_t(0), gid_t(0))
        try check(unsafe cfuse_peer(socket.rawValue, &pid, &uid, &gid))
        return pid
    }

    /// Connects to a UNIX stream socket.
    /// - Parameter waits: for room in a full queue of the listener.
    static func connect(to path: String, waits: Bool = true) throws -> FileDescriptor {
        let flags = waits ? 0 : SOCK_NONBLOCK.rawValue
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < capacity else { throw Errno.fileNameTooLong }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let descriptor = FileDescriptor(
            rawValue: try check(
                socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | flags), 0)))
        let result = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(
                    descriptor.rawValue, $0,
                    socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let error = lastErrno
            try? descriptor.close()
            throw error
        }
        return descriptor
    }

    /// A descriptor that is readable once the process has ended. The corresponding C function is
    /// `pidfd_open`.
    static func openProcess(_ pid: pid_t) throws -> FileDescriptor {
        FileDescriptor(rawValue: try check(cfuse_pidfd_open(pid)))
    }

    /// Signals a process by its descriptor. `pidfd_send_signal(2)`
    static func signal(_ process: FileDescriptor, _ signal: CInt) throws {
        try check(cfuse_pidfd_sigqueue(process.rawValue, signal, 0))
    }

    /// Version of the libfuse that is linked, and of the one whose headers were compiled in.
    static func fuseVersions() -> (linked: String, compiled: String) {
        unsafe (String(cString: fuse_pkgversion()), String(cString: cfuse_header_version()))
    }
}
