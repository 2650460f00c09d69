import Synchronization
import SystemPackage

/// Fills the streams of all pattern generators of a mount from one thread, which is there as long as
/// there is a generator.
///
/// Those that are due take turns of 64 KiB, in the order in which they became due. A write can hang,
/// though: whoever writes the same buffer from a page that never comes holds its inode's lock. A turn
/// that takes longer than `patience` keeps its thread to itself, until it ends, and another thread
/// has the others. The mount's event loop looks after that.
///
/// Lock order: `watchdog`, the monitor. The stream's locks are not taken with the monitor's.
final class PatternEngine: Sendable {
    typealias Progress = PatternGenerator.Progress

    /// How long a turn may take before another thread goes on with the others, in nanoseconds.
    static let patience: UInt64 = 50_000_000

    private enum Phase {
        /// Waits for room, or for the start.
        case asleep
        /// Waits for its time, or for its turn.
        case queued
        /// A thread fills it. `wasWoken`: there may be room again.
        case busy(wasWoken: Bool)
    }

    private struct Entry {
        var progress: Progress
        var phase = Phase.asleep
    }

    private struct State {
        var entries: [StreamID: Entry] = [:]
        /// Those that wait for their time, the next one last.
        var waiting: [(due: UInt64, id: StreamID)] = []
        /// Those that are due, in their order.
        var ready: ArraySlice<StreamID> = []
        /// The thread that has the loop; others that still run have one stream each. 0 is none.
        var thread: UInt64 = 0
        var threads: UInt64 = 0
        /// The turn of that thread, and when it began.
        var turn: (id: StreamID, began: UInt64)?
        var timer: PeriodicTimer?
        var isTicking = false

        mutating func queue(_ id: StreamID, until due: UInt64) {
            entries[id]?.phase = .queued
            var low = 0
            var high = waiting.count
            while low < high {
                let middle = (low + high) / 2
                if waiting[middle].due > due { low = middle + 1 } else { high = middle }
            }
            waiting.insert((due, id), at: low)
        }

        /// The time that it stood still is not made up for.
        mutating func restart(_ id: StreamID) {
            guard let time = entries[id]?.progress.time else { return }
            let due = Clock.monotonic + time
            entries[id]?.progress.due = due
            queue(id, until: due)
        }
    }

    private struct Watchdog {
        let timer: PeriodicTimer
        let watch: EventLoop.Watch
    }

    private let loop: EventLoop
    private let write: PatternGenerator.Write
    private let monitor = Monitor(State())
    /// Held while the watchdog comes and goes with the first and the last stream.
    private let watchdog = Mutex<Watchdog?>(nil)

    init(
        _ loop: EventLoop,
        write: @escaping PatternGenerator.Write = { (bytes, descriptor, offset) throws(Errno) in
            try Syscalls.write(bytes, to: descriptor, at: offset)
        }
    ) {
        self.loop = loop
        self.write = write
    }

    // MARK: Streams

    func add(_ progress: Progress) throws(Errno) {
        do throws(Errno) {
            try watchdog.withLock { (watchdog) throws(Errno) in
                if watchdog == nil { watchdog = try watch() }
                try start(progress, timer: watchdog?.timer)
            }
        } catch {
            rest()
            throw error
        }
    }

    private func start(_ progress: Progress, timer: PeriodicTimer?) throws(Errno) {
        try monitor.withLock { (state) throws(Errno) in
            state.timer = timer
            if state.thread == 0 { try startThread(&state) }
            state.entries[progress.stream.id] = Entry(progress: progress)
        }
    }

    /// With the lock held, so that nobody sees a loop without a thread.
    private func startThread(_ state: inout State) throws(Errno) {
        let number = state.threads + 1
        try Worker("devfs-pattern") { [self] in run(number) }.detach()
        state.threads = number
        state.thread = number
    }

    /// There may be room again, or the stream was started.
    func wake(_ id: StreamID) {
        let isNews = monitor.withLock { state in
            switch state.entries[id]?.phase {
            case .asleep:
                state.restart(id)
                return true
            case .busy:
                state.entries[id]?.phase = .busy(wasWoken: true)
                return false
            case .queued, nil: return false
            }
        }
        if isNews { monitor.wake() }
    }

    /// Waits for the stream's turn to end, but not for a write that hangs.
    func remove(_ id: StreamID) {
        monitor.withLock { state in
            state.entries[id] = nil
            state.waiting.removeAll { $0.id == id }
            state.ready.removeAll { $0 == id }
        }
        monitor.wake()
        monitor.wait { state -> Monitor<State>.Look<Void> in
            guard let turn = state.turn, turn.id == id else { return .done(()) }
            let end = turn.began + Self.patience
            return Clock.monotonic < end ? .wait(until: end) : .done(())
        }
        rest()
    }

    // MARK: The thread

    private func run(_ number: UInt64) {
        var room = [UInt32](repeating: 0, count: Progress.slice)
        while var progress = next(number) {
            let isQueued = progress.fill(&room, write)
            end(progress, isQueued, number)
        }
    }

    /// The next turn; nil ends the thread.
    private func next(_ number: UInt64) -> Progress? {
        monitor.wait { state in
            guard state.thread == number else { return .done(nil) }
            if state.turn != nil {
                state.turn = nil
                // Somebody may wait for it.
                monitor.wake()
            }
            guard !state.entries.isEmpty else {
                state.thread = 0
                return .done(nil)
            }
            let now = Clock.monotonic
            while let first = state.waiting.last, first.due <= now {
                state.waiting.removeLast()
                state.ready.append(first.id)
            }
            guard let id = state.ready.popFirst(), let progress = state.entries[id]?.progress
            else { return .wait(until: state.waiting.last?.due) }
            state.entries[id]?.phase = .busy(wasWoken: false)
            state.turn = (id, now)
            if !state.isTicking {
                // timerfd_settime(2) waits for nobody.
                state.isTicking = (try? state.timer?.set(period: Self.patience / 2)) != nil
            }
            return .done(progress)
        }
    }

    private func end(_ progress: Progress, _ isQueued: Bool, _ number: UInt64) {
        let id = progress.stream.id
        let isLate = monitor.withLock { state in
            guard case .busy(let wasWoken)? = state.entries[id]?.phase else { return false }
            state.entries[id]?.progress = progress
            if isQueued {
                state.queue(id, until: progress.due)
            } else if wasWoken {
                state.restart(id)
            } else {
                state.entries[id]?.phase = .asleep
            }
            return state.thread != number
        }
        // Another thread has the loop meanwhile.
        if isLate { monitor.wake() }
    }

    // MARK: The watchdog, on the event loop's thread

    private func watch() throws(Errno) -> Watchdog {
        let timer = try PeriodicTimer()
        let watch = try loop.watch(timer.raw) { [weak self] in self?.tick(timer) }
        return Watchdog(timer: timer, watch: watch)
    }

    private func tick(_ timer: PeriodicTimer) {
        _ = timer.take()
        monitor.withLock { state in
            guard let turn = state.turn else {
                state.isTicking = false
                try? timer.set(period: 0)
                return
            }
            if Clock.monotonic > turn.began + Self.patience { takeOver(&state) }
        }
        monitor.wake()
        rest()
    }

    /// The thread whose turn it is keeps its stream alone.
    private func takeOver(_ state: inout State) {
        if state.entries.isEmpty {
            state.thread = 0
        } else {
            // Where no thread is to be had it is tried again.
            do throws(Errno) { try startThread(&state) } catch { return }
        }
        state.turn = nil
    }

    /// Without a stream there is nothing to look after.
    private func rest() {
        watchdog.withLock { watchdog in
            guard let old = watchdog,
                monitor.withLock({ state in
                    guard state.entries.isEmpty, state.turn == nil else { return false }
                    state.timer = nil
                    state.isTicking = false
                    return true
                })
            else { return }
            loop.stop(old.watch, old.timer.raw)
            watchdog = nil
        }
    }
}
