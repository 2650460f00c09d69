import CFuse
import Glibc
import Synchronization
import SystemPackage

/// A thread of our own, with all signals blocked, so that they reach the main thread.
final class Worker: Sendable {
    private let thread: pthread_t

    /// `name` is what top(1) shows, 15 bytes at the most. `pthread_create(3)`
    init(_ name: String, _ body: @escaping @Sendable () -> Void) throws(Errno) {
        final class Box: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var all = sigset_t()
        var before = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
        var thread = pthread_t()
        let box = unsafe Unmanaged.passRetained(Box(body))
        let failure = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
        guard failure == 0 else {
            unsafe box.release()
            throw Errno(rawValue: failure)
        }
        unsafe cfuse_name_thread(thread, name)
        self.thread = thread
    }

    /// Waits for its end. To be called once, or `detach`.
    func join() {
        pthread_join(thread, nil)
    }

    /// Nobody waits for its end.
    func detach() {
        pthread_detach(thread)
    }
}

/// Watches descriptors from one thread: timers, ended processes, the socket. `epoll(7)`
final class EventLoop: Sendable {
    /// A watched descriptor.
    struct Watch: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private struct State {
        var handlers: [UInt64: @Sendable () -> Void] = [:]
        var next: UInt64 = 1
        /// What others want done on this thread.
        var tasks: [@Sendable () -> Void] = []
        var isEnding = false
    }

    private let epoll: Descriptor
    private let wake: Descriptor
    private let state = Mutex(State())
    private let worker = Mutex<Worker?>(nil)

    init(_ name: String = "devfs-events") throws(Errno) {
        epoll = Descriptor(owning: try check { epoll_create1(CInt(EPOLL_CLOEXEC)) })
        wake = Descriptor(owning: try check { eventfd(0, CInt(EFD_CLOEXEC | EFD_NONBLOCK)) })
        try add(wake.raw, number: 0)
        let started = try Worker(name) { [self] in run() }
        worker.withLock { $0 = started }
    }

    private func add(
        _ descriptor: CInt, number: UInt64, writes: Bool = false
    ) throws(Errno) {
        try check {
            writes
                ? cfuse_epoll_add_writer(epoll.raw, descriptor, number)
                : cfuse_epoll_add(epoll.raw, descriptor, number)
        }
    }

    /// Calls `handler` on the loop's thread as long as the descriptor is readable.
    /// - Parameter writes: calls it when there is room again after a write found none, and when nobody
    ///   reads any more.
    func watch(
        _ descriptor: CInt, writes: Bool = false, _ handler: @escaping @Sendable () -> Void
    ) throws(Errno) -> Watch {
        let number = state.withLock { state in
            let number = state.next
            state.next += 1
            state.handlers[number] = handler
            return number
        }
        do throws(Errno) {
            try add(descriptor, number: number, writes: writes)
        } catch {
            _ = state.withLock { $0.handlers.removeValue(forKey: number) }
            throw error
        }
        return Watch(number: number)
    }

    /// Stops watching. The handler may be running for the last time.
    func stop(_ watch: Watch, _ descriptor: CInt) {
        _ = state.withLock { $0.handlers.removeValue(forKey: watch.number) }
        epoll_ctl(epoll.raw, EPOLL_CTL_DEL, descriptor, nil)
    }

    private func run() {
        while true {
            // One at a time: a handler may end the watch of the next.
            var number: UInt64 = 0
            let count = unsafe cfuse_epoll_wait(epoll.raw, &number)
            guard count >= 0 || lastError == .interrupted else { return }
            guard count == 1 else { continue }
            if number > 0 {
                state.withLock { $0.handlers[number] }?()
                continue
            }
            var rings: UInt64 = 0
            unsafe eventfd_read(wake.raw, &rings)
            let (tasks, isEnding) = state.withLock { state in
                defer { state.tasks.removeAll() }
                return (state.tasks, state.isEnding)
            }
            for task in tasks { task() }
            if isEnding { return }
        }
    }

    /// Does something on the loop's thread; nothing where it has ended.
    func perform(_ task: @escaping @Sendable () -> Void) {
        state.withLock { if !$0.isEnding { $0.tasks.append(task) } }
        _ = eventfd_write(wake.raw, 1)
    }

    /// Ends the thread; handlers are dropped.
    /// - Parameter waits: false for the loop of one who may keep it waiting.
    func shutDown(waits: Bool = true) {
        state.withLock { $0.isEnding = true }
        _ = eventfd_write(wake.raw, 1)
        let worker = worker.withLock { $0.take() }
        if waits { worker?.join() } else { worker?.detach() }
        state.withLock { $0.handlers.removeAll() }
    }
}

/// A counter that a reader can poll. `eventfd(2)`
final class EventCounter: Sendable {
    private let descriptor: Descriptor

    /// - Parameter isSemaphore: `take` takes one at a time.
    init(isSemaphore: Bool = false) throws(Errno) {
        let flags = EFD_CLOEXEC | EFD_NONBLOCK | (isSemaphore ? EFD_SEMAPHORE : 0)
        descriptor = Descriptor(owning: try check { eventfd(0, CInt(flags)) })
    }

    var raw: CInt { descriptor.raw }

    /// Adds, where this process alone has the counter.
    func add(_ count: UInt64) {
        _ = eventfd_write(raw, count)
    }

    /// Adds where others have it as well, who may have made it block: never waits.
    /// - Returns: what was not added, as there are too many, or no asynchronous I/O can be had.
    func signal(_ count: UInt64) -> UInt64 {
        count - cfuse_eventfd_signal(raw, min(count, Self.atOnce))
    }

    /// Each is an operation of the kernel's.
    private static let atOnce: UInt64 = 64

    /// Takes the count; 0 where there is none.
    func take() -> UInt64 {
        var count: UInt64 = 0
        return unsafe eventfd_read(raw, &count) == 0 ? count : 0
    }

    /// Waits for a count until a moment of CLOCK_MONOTONIC in ns; nil is for ever. `ppoll(2)`
    func wait(until deadline: UInt64?) {
        let now = Clock.monotonic
        guard let deadline else {
            cfuse_wait_readable(raw, -1)
            return
        }
        if deadline > now { cfuse_wait_readable(raw, Int64(clamping: deadline - now)) }
    }
}

/// A periodic timer on CLOCK_MONOTONIC. `timerfd_create(2)`
final class PeriodicTimer: Sendable {
    private let descriptor: Descriptor

    init() throws(Errno) {
        descriptor = Descriptor(
            owning: try check {
                timerfd_create(
                    CLOCK_MONOTONIC, CInt(TFD_CLOEXEC | TFD_NONBLOCK))
            })
    }

    var raw: CInt { descriptor.raw }

    /// `nanoseconds` 0 stops it.
    func set(period nanoseconds: UInt64) throws(Errno) {
        let time = timespec(
            tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        var setting = itimerspec(it_interval: time, it_value: time)
        try check { unsafe timerfd_settime(raw, 0, &setting, nil) }
    }

    /// Its first end, CLOCK_MONOTONIC in ns, may be past: ends since then count.
    func set(first: UInt64, period: UInt64) throws(Errno) {
        try check { cfuse_set_timer(raw, max(first, 1), period) }
    }

    /// Expirations since the last call.
    func take() -> UInt64 {
        var count: UInt64 = 0
        return unsafe read(raw, &count, 8) == 8 ? count : 0
    }
}
