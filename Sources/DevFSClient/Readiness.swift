import Glibc
import Synchronization
import SystemPackage

/// Suspends tasks until descriptors can be read: one thread waits for all of them, so that no thread
/// of the tasks' own pool does.
final class Readiness: Sendable {
    private struct State {
        var next: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        /// Those that were cancelled before they had begun to wait.
        var cancelled: Set<UInt64> = []
        var isRunning = false
    }

    private static let shared = Mutex<Readiness?>(nil)

    private let epoll: Descriptor
    private let state = Mutex(State())

    private init() throws(Errno) { epoll = try Calls.makeEpoll() }

    private static func instance() throws(Errno) -> Readiness {
        try shared.withLock { (shared) throws(Errno) in
            if let shared { return shared }
            let fresh = try Readiness()
            shared = fresh
            return fresh
        }
    }

    /// Suspends until `descriptor` can be read, or has ended. No two tasks wait for one descriptor.
    ///
    /// - Throws: `CancellationError`; the errno of `epoll_ctl(2)`.
    static func wait(for descriptor: CInt) async throws {
        let instance = try instance()
        let number = instance.state.withLock { state in
            state.next += 1
            return state.next
        }
        defer { Calls.forget(instance.epoll.raw, descriptor) }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                instance.begin(number, descriptor, continuation)
            }
        } onCancel: {
            instance.cancel(number)
        }
    }

    private func begin(
        _ number: UInt64, _ descriptor: CInt, _ continuation: CheckedContinuation<Void, any Error>
    ) {
        let error: (any Error)? = state.withLock { state in
            if state.cancelled.remove(number) != nil { return CancellationError() }
            if !state.isRunning {
                state.isRunning = Calls.startThread { [self] in run() }
                if !state.isRunning { return Errno.resourceTemporarilyUnavailable }
            }
            do throws(Errno) {
                // Under the lock, so that an event finds who waits for it.
                try Calls.wish(epoll.raw, descriptor, number: number)
            } catch {
                return error
            }
            state.waiting[number] = continuation
            return nil
        }
        if let error { continuation.resume(throwing: error) }
    }

    private func cancel(_ number: UInt64) {
        let continuation = state.withLock { state in
            let continuation = state.waiting.removeValue(forKey: number)
            if continuation == nil { state.cancelled.insert(number) }
            return continuation
        }
        continuation?.resume(throwing: CancellationError())
    }

    private func run() {
        while true {
            for number in Calls.events(epoll.raw) {
                let continuation = state.withLock { $0.waiting.removeValue(forKey: number) }
                continuation?.resume()
            }
        }
    }
}
