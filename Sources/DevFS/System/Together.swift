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
        /// Everybody up to this number is served by `value`, or was.
        var served: UInt64 = 0
        var value: Value?
        /// Who has not come for it yet.
        var left: UInt64 = 0
    }

    private let arrivals = Atomic<UInt64>(0)
    /// The arrivals that the last one, perhaps under way, serves.
    private let begun = Atomic<UInt64>(0)
    private let state = Mutex(State())

    /// How many have asked since the last one was begun.
    var waiting: UInt64 {
        arrivals.load(ordering: .sequentiallyConsistent)
            - begun.load(ordering: .sequentiallyConsistent)
    }

    func get(_ make: () -> Value) -> Value {
        let number = arrivals.add(1, ordering: .sequentiallyConsistent).newValue
        return state.withLock { state in
            if let value = state.value, state.served >= number {
                state.left -= 1
                if state.left == 0 { state.value = nil }
                return value
            }
            let all = arrivals.load(ordering: .sequentiallyConsistent)
            // All of these wait for the lock.
            state.left = all - state.served - 1
            state.served = all
            begun.store(all, ordering: .sequentiallyConsistent)
            let value = make()
            state.value = state.left > 0 ? value : nil
            return value
        }
    }
}
