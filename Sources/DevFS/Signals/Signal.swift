import Synchronization
import SystemPackage

/// A signal's number in its mount.
package struct SignalID: Hashable, Sendable, Comparable {
    let number: UInt64

    package static func < (left: SignalID, right: SignalID) -> Bool { left.number < right.number }
}

/// Someone who wants to know of a signal's events: a reader, a notification, a stream.
/// Called without any of the signal's locks held.
protocol SignalListener: AnyObject, Sendable {
    /// The events of `numbers`, one batch, happened at `time` (CLOCK_MONOTONIC, ns). What it costs
    /// does not grow with how many they are.
    func happened(_ numbers: ClosedRange<UInt64>, at time: UInt64)
    /// The signal is gone.
    func ended()
}

/// A source of events that counts them from 1 and keeps the times of the newest 1,024.
final class Signal: Sendable {
    /// The device that makes the events, and which of its sources does.
    struct Origin: Sendable {
        var device: any EventDevice
        var id: SourceID
    }

    /// What is to be said of it now.
    struct Summary: Equatable {
        var count: UInt64
        var missed: UInt64
        var isEnabled: Bool
        /// It came too fast and was masked.
        var isStorm = false
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
        var isStorm = false
        /// When the timer ends next, and whose command made the newest events: for the next server.
        var due: UInt64 = 0
        var request: UInt64 = 0
        var command: UInt64 = 0
        /// The first event whose time is known: a device may have dropped some.
        var oldest: UInt64 = 1
        /// Times of the newest events, event N at (N-1) % depth.
        var times: [UInt64] = []
        /// Those that are told of each batch.
        var listeners: [ObjectIdentifier: any SignalListener] = [:]
        /// Those that are told of the next one alone: readers, while they wait.
        var waiting: [ObjectIdentifier: any SignalListener] = [:]
        /// Streams that it drives, by their owner's uid.
        var streams: [UInt32: Int] = [:]

        /// Who is to be told of a batch now.
        mutating func audience() -> Audience {
            defer { waiting.removeAll() }
            return Audience(listeners: Array(listeners.values), waiting: Array(waiting.values))
        }

        mutating func keep(_ time: UInt64, of number: UInt64) {
            let slot = Int((number - 1) % Signal.depth)
            // The ring grows to its depth as events come: most signals have few.
            while times.count <= slot { times.append(0) }
            times[slot] = time
        }
    }

    /// Who is to be told of a batch of events.
    struct Audience: Sendable {
        var listeners: [any SignalListener]
        var waiting: [any SignalListener]
    }

    let id: SignalID
    let name: Name
    let source: SignalSource
    /// The uid that made it: who may remove it.
    let owner: UInt32
    /// Nil where the server itself makes the events.
    let origin: Origin?
    let wakeUps: WakeUps
    /// Where it outlives the server.
    let kept: KeptSignal?
    private let state: Mutex<State>

    /// - Parameter count: events that there were before anybody listened.
    init(
        _ id: SignalID, _ name: Name, _ source: SignalSource, owner: UInt32 = 0,
        origin: Origin? = nil,
        count: UInt64 = 0, wakeUps: WakeUps = WakeUps(), kept: KeptSignal? = nil
    ) {
        self.kept = kept
        self.wakeUps = wakeUps
        self.owner = owner
        self.id = id
        self.name = name
        self.source = source
        self.origin = origin
        guard let kept else {
            state = Mutex(State(count: count, oldest: count + 1))
            return
        }
        let before = kept.state
        var now = State(
            count: before.count, missed: before.missed, isEnabled: before.isEnabled,
            due: before.due, request: before.request, command: before.command)
        let known = min(before.count, Signal.depth)
        for number in before.count - known..<before.count {
            now.keep(kept.time(of: number + 1), of: number + 1)
        }
        state = Mutex(now)
    }

    /// With the lock held, after each change.
    private func keep(_ state: State) {
        kept?.set(
            KeptSignal.State(
                count: state.count, missed: state.missed, isEnabled: state.isEnabled,
                due: state.due, request: state.request, command: state.command))
    }

    /// When a timer ends next.
    var due: UInt64 { state.withLock { $0.due } }

    /// What the device says; what is known here, where the server makes the events.
    /// - Throws: ENODEV where the source or its device is gone.
    func summary() throws(Errno) -> Summary {
        let own = state.withLock {
            Summary(count: $0.count, missed: $0.missed, isEnabled: $0.isEnabled)
        }
        guard let origin else { return own }
        let status: SourceStatus
        do throws(Errno) {
            status = try origin.device.status(of: origin.id)
        } catch .noSuchFileOrDirectory {
            throw .noDevice
        }
        guard status.name == name else { throw .noDevice }
        return Summary(
            count: status.count, missed: status.missed &+ own.missed, isEnabled: status.isEnabled,
            isStorm: status.isStorm)
    }

    /// The same, and what was known last where the source is gone.
    var latest: Summary {
        (try? summary())
            ?? state.withLock { Summary(count: $0.count, missed: $0.missed, isEnabled: false) }
    }

    /// True where that is news.
    func note(isStorm: Bool) -> Bool {
        state.withLock { state in
            defer { state.isStorm = isStorm }
            return isStorm && !state.isStorm
        }
    }

    /// Events that readers can have, or could have had.
    var count: UInt64 { state.withLock { $0.count } }
    var missed: UInt64 { state.withLock { $0.missed } }
    var isEnabled: Bool { state.withLock { $0.isEnabled } }
    var isRemoved: Bool { state.withLock { $0.isRemoved } }
    /// Streams of a user that it drives.
    func streams(of uid: UInt32) -> Int { state.withLock { $0.streams[uid] ?? 0 } }

    /// - Parameter due: when its timer ends next.
    func setEnabled(_ isEnabled: Bool, due: UInt64 = 0) {
        state.withLock { state in
            state.isEnabled = isEnabled
            state.due = due
            keep(state)
        }
    }

    func addMissed(_ count: UInt64) {
        state.withLock { state in
            state.missed &+= count
            keep(state)
        }
    }

    func addStream(_ change: Int, of uid: UInt32) {
        state.withLock { state in
            let count = (state.streams[uid] ?? 0) + change
            state.streams[uid] = count > 0 ? count : nil
        }
    }

    /// False where the signal is gone.
    func add(_ listener: some SignalListener) -> Bool {
        state.withLock { state in
            guard !state.isRemoved else { return false }
            state.listeners[ObjectIdentifier(listener)] = listener
            return true
        }
    }

    /// Tells of the next batch after `position` alone. False where there is one already, or the
    /// signal is gone: then there is nothing to wait for.
    func tellOnce(_ listener: some SignalListener, after position: UInt64) -> Bool {
        state.withLock { state in
            guard !state.isRemoved, state.count <= position else { return false }
            state.waiting[ObjectIdentifier(listener)] = listener
            return true
        }
    }

    func remove(_ listener: some SignalListener) {
        state.withLock { state in
            state.listeners.removeValue(forKey: ObjectIdentifier(listener))
            state.waiting.removeValue(forKey: ObjectIdentifier(listener))
        }
    }

    /// Makes events; a disabled or removed source makes none.
    /// - Parameters:
    ///   - missed: ends of its timer that came too late to be told of.
    ///   - time: by which its timer ends later the next time.
    @discardableResult
    func post(
        _ events: UInt64, at time: UInt64 = Clock.monotonic, missed: UInt64 = 0,
        later: UInt64 = 0
    ) -> Bool {
        let undertaking = kept == nil ? nil : Undertaking.current
        var isDone = false
        let result: (ClosedRange<UInt64>, Audience)? = state.withLock { state in
            let command = undertaking.map { UInt64($0.done + 1) } ?? 0
            if let undertaking, undertaking.isResent, state.request == undertaking.unique,
                state.command == command
            {
                // By the server before this one.
                isDone = true
                return nil
            }
            let (count, overflow) = state.count.addingReportingOverflow(events)
            guard state.isEnabled, !state.isRemoved, events > 0, !overflow else { return nil }
            let numbers = state.count + 1...count
            state.count = count
            for number in numbers.suffix(Int(min(events, Signal.depth))) {
                state.keep(time, of: number)
                kept?.set(time, of: number)
            }
            state.missed &+= missed
            state.due &+= later
            if let undertaking {
                (state.request, state.command) = (undertaking.unique, command)
            }
            keep(state)
            // While nobody else makes events, which would be the newest.
            undertaking?.finish(Int(clamping: command) - 1)
            return (numbers, state.audience())
        }
        if isDone { return true }
        guard let (numbers, audience) = result else { return false }
        wakeUps.tell(audience, numbers, at: time)
        return true
    }

    /// Takes the device's event `number`, and with it those before it that were not taken: which ones
    /// they are, and who is to be told. Nil where it was taken already.
    /// - Parameter before: times of the events before it, as far as the device has them.
    func take(
        _ number: UInt64, at time: UInt64, before: [UInt64] = []
    ) -> (ClosedRange<UInt64>, Audience)? {
        state.withLock { state in
            guard number > state.count, !state.isRemoved else { return nil }
            let numbers = state.count + 1...number
            state.count = number
            let known =
                before.suffix(Int(min(numbers.length - 1, Signal.depth - 1))) + [time]
            let first = number - UInt64(known.count) + 1
            if first > numbers.lowerBound { state.oldest = first }
            for (offset, time) in known.enumerated() {
                state.keep(time, of: first + UInt64(offset))
            }
            return (numbers, state.audience())
        }
    }

    /// The first event after `position` that is still kept; nil where there is none yet.
    /// - Throws: ENODEV where the signal is gone.
    func event(after position: UInt64) throws(Errno) -> Event? {
        let (event, isRemoved): (Event?, Bool) = state.withLock { state in
            guard state.count > position else { return (nil, state.isRemoved) }
            let oldest = max(
                state.count > Signal.depth ? state.count - Signal.depth + 1 : 1, state.oldest)
            let number = max(position + 1, oldest)
            let skipped = number - position - 1
            if skipped > 0 {
                state.missed &+= skipped
                keep(state)
            }
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
            let audience = state.audience()
            state.listeners.removeAll()
            return audience.listeners + audience.waiting
        }
        for listener in listeners { listener.ended() }
    }
}
