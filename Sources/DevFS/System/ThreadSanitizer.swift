import CFuse
import Glibc

/// What the kernel orders, told to ThreadSanitizer: an open's reply comes before all else that is
/// asked of its number, whichever thread that is served by. Nothing in other builds.
enum KernelOrder {
    @inline(__always)
    static func handedOut(_ number: UInt64) {
        #if DEVFS_TSAN
            cfuse_tsan_release(number)
        #endif
    }

    @inline(__always)
    static func cameBack(_ number: UInt64) {
        #if DEVFS_TSAN
            cfuse_tsan_acquire(number)
        #endif
    }
}

#if DEVFS_TSAN

    /// A mutex in place of Synchronization's in builds for ThreadSanitizer (`Tests/Fuzz/sanitize`).
    ///
    /// The standard library's waits by futex(2) in code that is not instrumented, so that the
    /// sanitizer takes all that it guards for a race. It knows pthread_mutex_lock(3).
    ///
    /// *Safety*: `value` is used under `lock` alone, and both live as long as the mutex.
    @safe struct Mutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
        private let lock: UnsafeMutablePointer<pthread_mutex_t>
        private let value: UnsafeMutablePointer<Value>

        init(_ initial: consuming sending Value) {
            unsafe lock = .allocate(capacity: 1)
            unsafe lock.initialize(to: pthread_mutex_t())
            unsafe pthread_mutex_init(lock, nil)
            unsafe value = .allocate(capacity: 1)
            unsafe value.initialize(to: initial)
        }

        deinit {
            unsafe value.deinitialize(count: 1)
            unsafe value.deallocate()
            unsafe pthread_mutex_destroy(lock)
            unsafe lock.deallocate()
        }

        borrowing func withLock<Result: ~Copyable, E: Error>(
            _ body: (inout sending Value) throws(E) -> sending Result
        ) throws(E) -> sending Result {
            unsafe pthread_mutex_lock(lock)
            defer { unsafe pthread_mutex_unlock(lock) }
            return try unsafe body(&value.pointee)
        }
    }
#endif
