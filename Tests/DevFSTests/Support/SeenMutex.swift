#if DEVFS_TSAN
    @testable import DevFS

    /// In builds for ThreadSanitizer, a mutex that it sees.
    typealias Mutex<Value: ~Copyable> = DevFS.Mutex<Value>
#endif
