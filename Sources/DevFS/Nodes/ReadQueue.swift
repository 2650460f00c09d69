import Synchronization
import SystemPackage

/// The position of one open file, with the reads and pollers that wait on it.
///
/// A read is served or parked in one step under the lock, and whoever has news calls `serve` after
/// he has made it, so none sleeps over what came meanwhile. The lock comes before those of what
/// `Next` looks at; replies are sent without it.
final class ReadQueue<Position: Sendable>: Sendable {
    /// What a read of so many bytes gets; nil where it has to wait. The last argument says whether
    /// it does wait: then what comes next has to be told.
    typealias Next = (inout Position, Int, Bool) throws(Errno) -> ArraySlice<UInt8>?

    private struct State {
        var position: Position
        var reads: [any ParkedRead] = []
        /// The newest: the kernel has one for each open file, however many poll it.
        var poller: (any PollWaiter)?
    }

    private let state: Mutex<State>

    init(at position: Position) {
        state = Mutex(State(position: position))
    }

    /// - Parameter parked: kept where the result is nil; nil for one that does not wait.
    /// - Throws: EAGAIN for one that would have to wait and does not.
    func read(_ parked: (any ParkedRead)?, size: Int, _ next: Next) throws(Errno) -> ReadResult? {
        try state.withLock { (state) throws(Errno) in
            // Those who wait already come first.
            if state.reads.isEmpty, let bytes = try next(&state.position, size, parked != nil) {
                return .bytes(bytes)
            }
            guard let parked else { throw .resourceTemporarilyUnavailable }
            state.reads.append(parked)
            return nil
        }
    }

    func change(_ body: (inout Position) -> Void) { state.withLock { body(&$0.position) } }

    /// False where the read was finished already.
    func cancel(_ read: any ParkedRead) -> Bool {
        state.withLock { state in
            guard let index = state.reads.firstIndex(where: { $0 === read }) else { return false }
            state.reads.remove(at: index)
            return true
        }
    }

    /// Serves those who wait, in their order.
    func serve(_ next: Next) {
        while let (read, result) = step(next) { read.finish(result) }
    }

    private func step(
        _ next: Next
    ) -> (any ParkedRead, Result<ArraySlice<UInt8>, Errno>)? {
        state.withLock { state in
            guard let read = state.reads.first else { return nil }
            do throws(Errno) {
                // As part of what he asked for, and not of what made the news.
                let bytes = try Undertaking.during(read.undertaking) { () throws(Errno) in
                    try next(&state.position, read.size, true)
                }
                guard let bytes else { return nil }
                state.reads.removeFirst()
                return (read, .success(bytes))
            } catch {
                state.reads.removeFirst()
                return (read, .failure(error))
            }
        }
    }

    /// What there is now; a poller is kept, to be woken once.
    func poll(_ waiter: (any PollWaiter)?, _ look: (Position) -> PollEvents) -> PollEvents {
        state.withLock { state in
            if let waiter { state.poller = waiter }
            return look(state.position)
        }
    }

    func wakePoller() {
        let poller = state.withLock { state in
            defer { state.poller = nil }
            return state.poller
        }
        poller?.wake()
    }

    /// The file is closed: ENODEV for those who wait.
    func end() {
        let reads = state.withLock { state in
            defer { state.reads.removeAll() }
            return state.reads
        }
        for read in reads { read.finish(.failure(.noDevice)) }
    }
}
