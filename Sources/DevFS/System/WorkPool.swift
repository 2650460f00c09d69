import CFuse
import Glibc
import Synchronization
import SystemPackage

/// Threads for what may take long, or wait for somebody: no thread that serves everyone does that.
///
/// Work on one buffer is done one after the other, in its *lane*: who keeps the buffer's file locked
/// (a write from a page that never comes holds the inode's lock in the kernel) keeps those waiting who
/// want that buffer, and nobody else. A user has a bounded number of threads at a time. What does not
/// get on for `patience` is told so, once, and its lane takes nothing more until it does.
final class WorkPool: Sendable {
    struct Limits: Sendable {
        /// Threads of one user, and of one without limits.
        var threadsOfUser = 4
        var threadsOfAdministrator = 16
        /// Threads of all users that have limits; administrators' come on top.
        var threadsInAll = 64
        /// Threads of one user that are stuck: beyond that nothing of his is begun. Where all users
        /// together have so many, that holds for each who has some.
        var stuckOfUser = 64
        var stuckInAll = 512
        /// Seconds after which something that does not get on is given up.
        var patience = 5
    }

    /// Threads that stay when there is nothing to do.
    private static let idle = 2
    /// A piece of work.
    struct Item: Sendable {
        /// Whose it is.
        var uid: UInt32
        /// The buffer that it may have to wait for.
        var lane: BufferID?
        var body: @Sendable () -> Void
        /// It does not get on, or was never begun.
        var stalled: @Sendable () -> Void = {}
    }

    private struct Running {
        var item: Item
        /// 0 until one has taken it.
        var thread: Int32 = 0
        /// Looks of the watchdog that it has outlasted, and those in a row that found it asleep.
        var age = 0
        var asleep = 0
        var isStuck = false
    }

    private struct State {
        var queues: [UInt32: [(number: UInt64, item: Item)]] = [:]
        /// Users whose turn it is next.
        var turns: [UInt32] = []
        var running: [UInt64: Running] = [:]
        /// Admitted, but no thread has taken it yet.
        var ready: [UInt64] = []
        var threads: [UInt32: Int] = [:]
        var limited = 0
        /// Stuck threads, of users with limits.
        var stuck: [UInt32: Int] = [:]
        var stuckInAll = 0
        /// Lanes in which something is under way; true where it is stuck.
        var lanes: [BufferID: Bool] = [:]
        var next: UInt64 = 1
        var sleepers = 0
        var isWatched = false
        var isShutDown = false
    }

    private let limits: Limits
    private let isLimited: @Sendable (UInt32) -> Bool
    private let state = Mutex(State())
    /// Wakes threads that have nothing to do.
    private let bell: EventCounter
    private let watchdog: PeriodicTimer

    /// - Parameter isLimited: a user has limits.
    init(
        _ loop: EventLoop, _ limits: Limits = Limits(),
        isLimited: @escaping @Sendable (UInt32) -> Bool
    ) throws(Errno) {
        self.limits = limits
        self.isLimited = isLimited
        bell = try EventCounter(isSemaphore: true)
        watchdog = try PeriodicTimer()
        _ = try loop.watch(watchdog.raw) { [weak self] in self?.look() }
    }

    /// Does something on a thread of the pool; its number, by which it can be withdrawn.
    @discardableResult
    func run(_ item: Item) -> UInt64 {
        let (number, threads): (UInt64, Threads?) = state.withLock { state in
            let number = state.next
            state.next += 1
            let isClosed = item.lane.map { state.lanes[$0] == true } ?? false
            if state.isShutDown || isClosed || isStuck(item.uid, state) { return (number, nil) }
            if state.queues[item.uid] == nil { state.turns.append(item.uid) }
            state.queues[item.uid, default: []].append((number, item))
            return (number, admit(&state))
        }
        if let threads { provide(threads) } else { item.stalled() }
        return number
    }

    /// Takes back what was not begun yet; false where it was.
    func withdraw(_ number: UInt64, of uid: UInt32) -> Bool {
        state.withLock { state in
            guard let index = state.queues[uid]?.firstIndex(where: { $0.number == number }) else {
                return false
            }
            state.queues[uid]?.remove(at: index)
            return true
        }
    }

    /// So much of a user's is stuck that nothing more is begun, which could get stuck as well.
    private func isStuck(_ uid: UInt32, _ state: State) -> Bool {
        guard isLimited(uid), let own = state.stuck[uid] else { return false }
        return own >= limits.stuckOfUser || state.stuckInAll >= limits.stuckInAll
    }

    private func count(stuck change: Int, of uid: UInt32, _ state: inout State) {
        guard isLimited(uid) else { return }
        state.stuck.count(change, for: uid)
        state.stuckInAll += change
    }

    private func canBegin(_ item: Item, _ state: State) -> Bool {
        if let lane = item.lane, state.lanes[lane] != nil { return false }
        let own = state.threads[item.uid] ?? 0
        guard isLimited(item.uid) else { return own < limits.threadsOfAdministrator }
        return own < limits.threadsOfUser && state.limited < limits.threadsInAll
    }

    /// Threads that are needed for what was admitted.
    private struct Threads {
        var awake = 0
        var fresh = 0
        var watches = false
    }

    /// Admits what can begin: users in turn, each one's in order as far as lanes let them.
    private func admit(_ state: inout State, byThread isThread: Bool = false) -> Threads {
        var threads = Threads()
        var count = 0
        while let (number, item) = next(&state) {
            if let lane = item.lane { state.lanes[lane] = false }
            state.threads.count(1, for: item.uid)
            if isLimited(item.uid) { state.limited += 1 }
            state.running[number] = Running(item: item)
            state.ready.append(number)
            count += 1
        }
        guard count > 0 else { return threads }
        threads.watches = !state.isWatched
        state.isWatched = true
        // The thread that asks takes one itself.
        if isThread { count -= 1 }
        threads.awake = min(count, state.sleepers)
        threads.fresh = count - threads.awake
        state.sleepers -= threads.awake
        return threads
    }

    private func next(_ state: inout State) -> (number: UInt64, item: Item)? {
        for _ in 0..<state.turns.count {
            let uid = state.turns.removeFirst()
            guard let queue = state.queues[uid], !queue.isEmpty else {
                state.queues[uid] = nil
                continue
            }
            state.turns.append(uid)
            if let index = queue.firstIndex(where: { canBegin($0.item, state) }) {
                return state.queues[uid]?.remove(at: index)
            }
        }
        return nil
    }

    private func provide(_ threads: Threads) {
        if threads.watches { try? watchdog.set(period: 1_000_000_000) }
        if threads.awake > 0 { bell.add(UInt64(threads.awake)) }
        for _ in 0..<threads.fresh {
            if let worker = try? Worker("devfs-work", { [self] in work() }) {
                worker.detach()
            } else {
                // Without a thread it is done here: late for others is better than never.
                work(once: true)
            }
        }
    }

    private func leave(_ uid: UInt32, _ state: inout State) {
        state.threads.count(-1, for: uid)
        if isLimited(uid) { state.limited -= 1 }
    }

    private func end(_ number: UInt64, _ state: inout State) {
        guard let running = state.running.removeValue(forKey: number) else { return }
        if let lane = running.item.lane { state.lanes[lane] = nil }
        if running.isStuck {
            count(stuck: -1, of: running.item.uid, &state)
        } else {
            leave(running.item.uid, &state)
        }
    }

    /// A thread's life.
    private func work(once: Bool = false) {
        let thread = Syscalls.thread()
        while true {
            let taken: (UInt64, Item)? = state.withLock { state in
                guard !state.ready.isEmpty else { return nil }
                let number = state.ready.removeFirst()
                state.running[number]?.thread = thread
                return state.running[number].map { (number, $0.item) }
            }
            guard let (number, item) = taken else {
                let stays = state.withLock { state in
                    guard !once, !state.isShutDown, state.sleepers < Self.idle else { return false }
                    state.sleepers += 1
                    return true
                }
                guard stays else { return }
                while bell.take() == 0 { bell.wait(until: nil) }
                continue
            }
            item.body()
            let threads = state.withLock { state in
                end(number, &state)
                return admit(&state, byThread: true)
            }
            provide(threads)
        }
    }

    /// Once a second while something is under way: finds what does not get on.
    private func look() {
        _ = watchdog.take()
        var stalled: [Item] = []
        state.withLock { state in
            for (number, var running) in state.running where !running.isStuck {
                running.age += 1
                if running.age >= limits.patience {
                    running.asleep = Self.isAsleep(running.thread) ? running.asleep + 1 : 0
                }
                if running.asleep >= 2 {
                    running.isStuck = true
                    count(stuck: 1, of: running.item.uid, &state)
                    leave(running.item.uid, &state)
                    stalled.append(running.item)
                    if let lane = running.item.lane {
                        state.lanes[lane] = true
                        stalled += Self.takeAll(of: lane, &state)
                    }
                    // What he has queued meanwhile could get stuck as well.
                    if isStuck(running.item.uid, state) {
                        // Not nil: his turn is in the list.
                        stalled += (state.queues[running.item.uid] ?? []).map(\.item)
                        state.queues[running.item.uid] = []
                    }
                }
                state.running[number] = running
            }
            guard !state.running.contains(where: { !$0.value.isStuck }) else { return }
            state.isWatched = false
            // With the lock held: whoever admits something next sets it going again afterwards.
            try? watchdog.set(period: 0)
        }
        for item in stalled { item.stalled() }
        if !stalled.isEmpty { provide(state.withLock { admit(&$0) }) }
    }

    /// Those who wait in a lane.
    private static func takeAll(of lane: BufferID, _ state: inout State) -> [Item] {
        var taken: [Item] = []
        for (uid, queue) in state.queues {
            taken += queue.filter { $0.item.lane == lane }.map(\.item)
            state.queues[uid] = queue.filter { $0.item.lane != lane }
        }
        return taken
    }

    /// The thread waits for something.
    private static func isAsleep(_ thread: Int32) -> Bool {
        guard let state = (try? ProcessStat(ownThread: thread))?.state else { return false }
        return state != "R"
    }

    /// Nothing is begun from here on; what was not is told so. Waits a moment for what is under way.
    func shutDown() {
        let (dropped, sleepers) = state.withLock { state in
            state.isShutDown = true
            defer { state.queues.removeAll() }
            return (state.queues.values.flatMap { $0.map(\.item) }, state.sleepers)
        }
        for item in dropped { item.stalled() }
        state.withLock { $0.sleepers = 0 }
        bell.add(UInt64(sleepers))
        for _ in 0..<200 where state.withLock({ $0.running.contains { !$0.value.isStuck } }) {
            Syscalls.pause(microseconds: 5000)
        }
    }
}
