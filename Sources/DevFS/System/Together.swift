import Synchronization

/// Makes what takes long once for all who ask for it at the same time.
///
/// Sixteen readers of a list of 14,000 buffers would keep every thread of libfuse's busy for ten
/// seconds, each with a list of its own and all with the same locks. Whoever comes while one is made
/// waits for the next, which serves all who have come by then: two of them are the longest wait, and
/// nobody gets one that was begun before he asked.
///
/// Waits for whoever makes it, so what is made must wait for no client.
final class Together<Value: Sendable>: Sendable {
    private struct State {
        /// Everybody up to this number is served by `value`.
        var served: UInt64 = 0
        var value: Value?
    }

    private let arrivals = Atomic<UInt64>(0)
    /// Who makes it or waits; the last of them drops it.
    private let inside = Atomic(0)
    private let state = Mutex(State())

    func get<Failure: Error>(_ make: () throws(Failure) -> Value) throws(Failure) -> Value {
        let number = arrivals.add(1, ordering: .sequentiallyConsistent).newValue
        inside.add(1, ordering: .sequentiallyConsistent)
        return try state.withLock { (state) throws(Failure) in
            defer {
                if inside.subtract(1, ordering: .sequentiallyConsistent).newValue == 0 {
                    state.value = nil
                }
            }
            if let value = state.value, state.served >= number { return value }
            state.served = arrivals.load(ordering: .sequentiallyConsistent)
            let value = try make()
            state.value = value
            return value
        }
    }
}
