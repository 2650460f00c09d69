import CFuse
import Glibc
import SystemPackage

/// Raw calls on this process and its threads.
extension Syscalls {
    /// Waits so long: for a thread that serves nobody else meanwhile. `usleep(3)`
    static func pause(microseconds: UInt32) { usleep(microseconds) }

    /// Lets another thread run. `sched_yield(2)`
    static func yield() { sched_yield() }

    /// To the kernel, what is free. `malloc_trim(3)`
    static func giveBackMemory() { cfuse_give_back_memory() }

    /// This thread's number in /proc/self/task. `gettid(2)`
    static func thread() -> Int32 { cfuse_thread() }

    /// Descriptors that this process can have. `getrlimit(2)`, RLIMIT_NOFILE
    static func descriptorLimit() throws(Errno) -> UInt64 {
        var limit = rlimit()
        try check { unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) }
        return UInt64(limit.rlim_cur)
    }

    /// Raises it as far as that can be done. `setrlimit(2)`
    static func raiseDescriptorLimit() throws(Errno) {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        try check { unsafe getrlimit(resource, &limit) }
        limit.rlim_cur = limit.rlim_max
        try check { unsafe setrlimit(resource, &limit) }
    }

    /// Bytes that this process may pin; nil where nothing limits it. `getrlimit(2)`, RLIMIT_MEMLOCK
    static func pinLimit() -> UInt64? {
        let limit = cfuse_pin_limit()
        return Capability.isHeld(Capability.memoryLock) || limit == .max ? nil : limit
    }

    /// `signal(2)`, SIG_IGN
    package static func ignore(signal number: Int32) { _ = Glibc.signal(number, SIG_IGN) }

    /// `umask(2)`
    static func setUmask(_ mask: UInt32) { umask(mask) }

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

    // MARK: What it gives up

    /// Drops all capabilities of this thread, and of those that it starts from now on, but `kept`,
    /// numbers of linux/capability.h. `capabilities(7)`
    static func keepCapabilities(_ kept: [Int]) throws(Errno) {
        let set = kept.reduce(0 as UInt64) { $0 | 1 << UInt64($1) }
        try check { cfuse_keep_capabilities(set) }
    }

    /// `prctl(2)`, PR_SET_NO_NEW_PRIVS
    static func takeNoNewPrivileges() throws(Errno) {
        try check { cfuse_no_new_privileges() }
    }

    /// There is a list of system calls for this architecture.
    static var canFilterCalls: Bool { cfuse_can_filter_calls() }

    /// Denies every call that the server does not need, to all threads. `seccomp(2)`
    static func filterCalls(ioUring: Bool, vfio: Bool) throws(Errno) {
        try check { cfuse_filter_calls(ioUring, vfio) }
    }
}
