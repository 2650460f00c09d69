import Synchronization
import SystemPackage

/// Counts a signal's events in an eventfd that another process holds.
///
/// That process may have made it blocking and filled it. What the kernel adds without ever waiting
/// (`EventCounter.signal`) is added at once; the rest is left to the thread of the holder's own
/// connection, which may wait for him.
final class EventCounterListener: SignalListener {
    private let counter: EventCounter
    private let pending = Atomic<UInt64>(0)
    private let later: @Sendable (@escaping @Sendable () -> Void) -> Void

    /// - Parameter later: does something on the thread of the counter's holder.
    init(
        _ counter: EventCounter,
        later: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
    ) {
        self.counter = counter
        self.later = later
    }

    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64) {
        let count = counter.signal(numbers.length)
        if count == 0 { return }
        // Whoever finds some pending has left them to the one who came before.
        guard pending.add(count, ordering: .acquiringAndReleasing).oldValue == 0 else { return }
        later { [self] in
            counter.add(pending.exchange(0, ordering: .acquiringAndReleasing))
        }
    }

    func ended() {}
}
