import SystemPackage

/// Gives back the memory of large buffers that were removed.
///
/// The kernel takes some 100 ms for a gigabyte, which is too long for a thread that serves everybody,
/// so a thread of its own does it, one buffer after the other. None of them can be kept by a client,
/// so each has its end, and whoever finds no room waits for those that are on their way.
final class Reclaim: Sendable {
    /// Bytes from which a buffer is large: freeing less takes a few milliseconds.
    static let large: UInt64 = 64 << 20

    private struct State {
        var waiting: [@Sendable () -> Void] = []
        /// How many were asked for, and how many have ended.
        var asked = 0
        var ended = 0
        var isRunning = false
    }

    private let monitor = Monitor(State())

    /// Does what gives memory back, which waits for no client.
    func add(_ work: @escaping @Sendable () -> Void) {
        let isNew = monitor.withLock { state in
            state.asked += 1
            state.waiting.append(work)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard isNew else { return }
        do throws(Errno) {
            try Worker("devfs-reclaim") { [self] in run() }.detach()
        } catch {
            // No thread is to be had, so it is this one's.
            run()
        }
    }

    private func run() {
        while runNext() {
            monitor.withLock { $0.ended += 1 }
            monitor.wake()
        }
    }

    /// What the work alone has is gone when this returns.
    private func runNext() -> Bool {
        guard let work = next() else { return false }
        work()
        return true
    }

    private func next() -> (@Sendable () -> Void)? {
        monitor.withLock { state in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.isRunning = false
            return nil
        }
    }

    /// Waits for all that was asked for before; false where nothing was under way.
    func settle() -> Bool {
        let asked = monitor.withLock { $0.ended == $0.asked ? nil : $0.asked }
        guard let asked else { return false }
        return monitor.wait { $0.ended >= asked ? .done(true) : .wait(until: nil) }
    }

    /// Does what takes memory; once more where there was no room, and some has been given back.
    func roomy<T: ~Copyable>(_ body: () throws(Refusal) -> T) throws(Refusal) -> T {
        do throws(Refusal) {
            return try body()
        } catch  where Self.isFull(error.errno) && settle() {
            return try body()
        }
    }

    /// The same of what gives no reason.
    func roomyWrite(_ body: () throws(Errno) -> Int) throws(Errno) -> Int {
        do throws(Errno) {
            return try body()
        } catch  where Self.isFull(error) && settle() {
            return try body()
        }
    }

    private static func isFull(_ errno: Errno) -> Bool {
        errno == .noSpace || errno == .diskQuotaExceeded
    }
}
