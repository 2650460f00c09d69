import SystemPackage

/// Gives back the memory of large buffers that were removed.
///
/// The more pages there are the longer it takes the kernel, too long for a thread that serves
/// everybody, so a thread of its own does it, one buffer after the other. None of them can be kept by a
/// client, so each has its end, and whoever finds no room waits for those that are on their way.
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

    /// Waits for all that was asked for before.
    func settle() {
        let asked = monitor.withLock { $0.asked }
        monitor.wait { $0.ended >= asked ? .done(()) : .wait(until: nil) }
    }

    /// Does what takes memory; once more where there was no room, and some has been given back.
    func roomy<T: ~Copyable>(_ body: () throws(Refusal) -> T) throws(Refusal) -> T {
        try retry({ $0.errno }, body)
    }

    /// The same of what gives no reason.
    func roomyWrite(_ body: () throws(Errno) -> Int) throws(Errno) -> Int {
        try retry({ $0 }, body)
    }

    private func retry<T: ~Copyable, Failure: Error>(
        _ errno: (Failure) -> Errno, _ body: () throws(Failure) -> T
    ) throws(Failure) -> T {
        // What ends while the body runs may come too late for it, as what is under way then.
        let before = monitor.withLock { $0.ended }
        do throws(Failure) {
            return try body()
        } catch  where Self.isFull(errno(error)) && monitor.withLock({ $0.asked > before }) {
            settle()
            return try body()
        }
    }

    private static func isFull(_ errno: Errno) -> Bool {
        errno == .noSpace || errno == .diskQuotaExceeded
    }
}
