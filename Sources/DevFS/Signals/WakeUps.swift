import Synchronization

/// Tells of events: those that keep count at once, and readers that wait as many at a time as keeps
/// nobody else waiting. Who makes the event (the event loop, a trigger) wakes the first of them, a
/// thread of its own the rest.
final class WakeUps: Sendable {
    /// Readers that the maker of an event wakes himself.
    static let atOnce = 64

    private struct Rest {
        var listeners: ArraySlice<any SignalListener>
        var numbers: ClosedRange<UInt64>
        var time: UInt64
    }

    private struct State {
        var queue: [Rest] = []
        var isRunning = false
    }

    private let state = Mutex(State())

    func tell(
        _ audience: Signal.Audience, _ numbers: ClosedRange<UInt64>, at time: UInt64
    ) {
        for listener in audience.listeners { listener.happened(numbers, at: time) }
        for listener in audience.waiting.prefix(Self.atOnce) {
            listener.happened(numbers, at: time)
        }
        guard audience.waiting.count > Self.atOnce else { return }
        let rest = Rest(
            listeners: audience.waiting.dropFirst(Self.atOnce), numbers: numbers, time: time)
        let starts = state.withLock { state in
            state.queue.append(rest)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard starts else { return }
        if let worker = try? Worker("devfs-wake", { [self] in run() }) {
            worker.detach()
        } else {
            // No thread can be had: late is better than never.
            run()
        }
    }

    /// Wakes whom others have left, signal by signal in turn.
    private func run() {
        while true {
            let next: Rest? = state.withLock { state in
                guard !state.queue.isEmpty else {
                    state.isRunning = false
                    return nil
                }
                return state.queue.removeFirst()
            }
            guard var rest = next else { return }
            for listener in rest.listeners.prefix(Self.atOnce) {
                listener.happened(rest.numbers, at: rest.time)
            }
            rest.listeners = rest.listeners.dropFirst(Self.atOnce)
            if !rest.listeners.isEmpty {
                let left = rest
                state.withLock { $0.queue.append(left) }
            }
        }
    }
}
