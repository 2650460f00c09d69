import Synchronization
import SystemPackage

/// Takes away what is left of removed buffers. A client who has one open can make that wait for
/// ever, so it is done by threads of their own, which hold nothing that another buffer needs.
final class Discards: Sendable {
    /// Threads at the most; what comes when all of them wait is taken away when one goes on, at the
    /// latest by the next server. Each waits for another buffer.
    private static let limit = 64

    private struct State {
        var threads = 0
        var waiting: [BufferID] = []
    }

    private let state = Mutex(State())

    /// - Parameter isHeld: a client may have the file open.
    func discard(_ id: BufferID, of backend: any Backend, isHeld: Bool) {
        guard isHeld, backend.discardMayWait else { return backend.discard(id) }
        let isNew = state.withLock { state in
            state.waiting.append(id)
            guard state.threads < Self.limit else { return false }
            state.threads += 1
            return true
        }
        guard isNew else { return }
        do throws(Errno) {
            let worker = try Worker("devfs-discard") { [self] in
                while let next = next() { backend.discard(next) }
            }
            worker.detach()
        } catch {
            // No thread is to be had: the next one that is takes it along.
            state.withLock { $0.threads -= 1 }
        }
    }

    private func next() -> BufferID? {
        state.withLock { state in
            if state.waiting.isEmpty { state.threads -= 1 }
            return state.waiting.popLast()
        }
    }
}
