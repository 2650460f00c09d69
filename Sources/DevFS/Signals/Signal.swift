import Synchronization
import SystemPackage

/// A signal's number in its mount.
public struct SignalID: Hashable, Sendable, Comparable {
    let number: UInt64

    public static func < (left: SignalID, right: SignalID) -> Bool { left.number < right.number }
}

/// Someone who wants to know of a signal's events: a reader, a notification, a stream.
/// Called without any of the signal's locks held.
protocol SignalListener: AnyObject, Sendable {
    /// The events of `numbers` happened at `time` (CLOCK_MONOTONIC, ns).
    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64)
    /// The signal is gone.
    func ended()
}

/// A source of events that counts them from 1 and keeps the times of the newest 1,024.
final class Signal: Sendable {
    enum Source: Sendable, Equatable {
        case software
        /// Nanoseconds.
        case timer(period: UInt64)
    }

    /// An event as a reader gets it.
    struct Event: Equatable {
        var number: UInt64
        /// All events so far.
        var count: UInt64
        /// CLOCK_MONOTONIC, ns.
        var time: UInt64
        /// Events between the reader's position and this one, which are no longer kept.
        var skipped: UInt64
    }

    /// How many events are kept for readers.
    static let depth: UInt64 = 1024

    private struct State {
        var count: UInt64 = 0
        var missed: UInt64 = 0
        var isEnabled = true
        var isRemoved = false
        /// Times of the newest events, event N at (N-1) % depth.
        var times: [UInt64] = []
        var listeners: [ObjectIdentifier: any SignalListener] = [:]
        var streams = 0
    }

    let id: SignalID
    let name: Name
    let source: Source
    private let state = Mutex(State())

    init(_ id: SignalID, _ name: Name, _ source: Source) {
        self.id = id
        self.name = name
        self.source = source
    }

    var count: UInt64 { state.withLock { $0.count } }
    var missed: UInt64 { state.withLock { $0.missed } }
    var isEnabled: Bool { state.withLock { $0.isEnabled } }
    var isRemoved: Bool { state.withLock { $0.isRemoved } }
    /// Streams that it drives.
    var streams: Int { state.withLock { $0.streams } }

    func setEnabled(_ isEnabled: Bool) {
        state.withLock { $0.isEnabled = isEnabled }
    }

    func addMissed(_ count: UInt64) {
        state.withLock { $0.missed &+= count }
    }

    func addStream(_ change: Int) {
        state.withLock { $0.streams += change }
    }

    /// False where the signal is gone.
    func add(_ listener: some SignalListener) -> Bool {
        state.withLock { state in
            guard !state.isRemoved else { return false }
            state.listeners[ObjectIdentifier(listener)] = listener
            return true
        }
    }

    func remove(_ listener: some SignalListener) {
        _ = state.withLock { $0.listeners.removeValue(forKey: ObjectIdentifier(listener)) }
    }

    /// Makes events; a disabled or removed source makes none.
    @discardableResult
    func post(_ events: UInt64, at time: UInt64 = Clock.monotonic) -> Bool {
        let result: (ClosedRange<UInt64>, [any SignalListener])? = state.withLock { state in
            guard state.isEnabled, !state.isRemoved, events > 0 else { return nil }
            let numbers = state.count + 1...state.count + events
            state.count += events
            for number in numbers.suffix(Int(min(events, Signal.depth))) {
                let slot = Int((number - 1) % Signal.depth)
                // The ring grows to its depth as events come: most signals have few.
                while state.times.count <= slot { state.times.append(0) }
                state.times[slot] = time
            }
            return (numbers, Array(state.listeners.values))
        }
        guard let (numbers, listeners) = result else { return false }
        for listener in listeners { listener.happened(numbers, at: time) }
        return true
    }

    /// The first event after `position` that is still kept; nil where there is none yet.
    /// - Throws: ENODEV where the signal is gone.
    func event(after position: UInt64) throws(Errno) -> Event? {
        let (event, isRemoved): (Event?, Bool) = state.withLock { state in
            guard state.count > position else { return (nil, state.isRemoved) }
            let oldest = state.count > Signal.depth ? state.count - Signal.depth + 1 : 1
            let number = max(position + 1, oldest)
            let skipped = number - position - 1
            state.missed += skipped
            return (
                Event(
                    number: number, count: state.count,
                    time: state.times[Int((number - 1) % Signal.depth)], skipped: skipped),
                state.isRemoved
            )
        }
        if event == nil && isRemoved { throw .noDevice }
        return event
    }

    /// Ends it: readers get what they have not read yet, then ENODEV.
    func end() {
        let listeners = state.withLock { state in
            state.isRemoved = true
            defer { state.listeners.removeAll() }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.ended() }
    }
}
