import Glibc

/// State under a lock, and threads that wait until it changes. `pthread_cond_timedwait(3)`
///
/// *Safety*: the state is touched with the lock held alone; the lock and the condition stay where
/// they are until nobody has the monitor any more.
@safe final class Monitor<State: Sendable>: @unchecked Sendable {
    /// What a look at the state came to.
    enum Look<Result> {
        case done(Result)
        /// Until somebody wakes, or a moment of CLOCK_MONOTONIC in ns; nil is for ever.
        case wait(until: UInt64?)
    }

    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State

    init(_ state: State) {
        self.state = state
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_mutex_init(lock, nil)
        unsafe pthread_cond_init(change, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(change)
        unsafe pthread_mutex_destroy(lock)
        unsafe change.deallocate()
        unsafe lock.deallocate()
    }

    func withLock<Result, Failure>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        return try body(&state)
    }

    /// Looks at the state until it is what the caller waits for.
    func wait<Result>(_ look: (inout State) -> Look<Result>) -> Result {
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        while true {
            switch look(&state) {
            case .done(let result): return result
            case .wait(nil): unsafe pthread_cond_wait(change, lock)
            case .wait(let deadline?):
                var time = timespec(
                    tv_sec: Int(clamping: deadline / 1_000_000_000),
                    tv_nsec: Int(clamping: deadline % 1_000_000_000))
                unsafe pthread_cond_timedwait(change, lock, &time)
            }
        }
    }

    /// Has all who wait look again.
    func wake() { unsafe pthread_cond_broadcast(change) }
}
