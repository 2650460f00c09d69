import Synchronization
import SystemPackage

/// Takes away what is left of removed buffers. A client who has one open can make that wait for
/// ever, so it is done by threads of their own, which hold nothing that another buffer needs.
final class Discards: Sendable {
    /// Threads for the buffers of one user, and for those of all: each waits for another buffer. What
    /// comes when all of a user's wait is taken away when one goes on, at the latest by the next server.
    /// Who has none waiting gets one beyond the limit of all.
    private static let (ofUser, inAll) = (16, 256)

    private struct State {
        var threads: [UInt32: Int] = [:]
        var all = 0
        var waiting: [UInt32: [BufferID]] = [:]
    }

    private let state = Mutex(State())

    /// - Parameters:
    ///   - user: who pays for the buffer.
    ///   - isHeld: a client may have the file open.
    func discard(_ id: BufferID, of backend: any Backend, user: UInt32, isHeld: Bool) {
        guard isHeld, backend.discardMayWait else { return backend.discard(id) }
        let isNew = state.withLock { state in
            state.waiting[user, default: []].append(id)
            let own = state.threads[user] ?? 0
            guard own == 0 || own < Self.ofUser && state.all < Self.inAll else { return false }
            state.threads.count(1, for: user)
            state.all += 1
            return true
        }
        guard isNew else { return }
        do throws(Errno) {
            let worker = try Worker("devfs-discard") { [self] in
                while let next = next(of: user) { backend.discard(next) }
            }
            worker.detach()
        } catch {
            // No thread is to be had: the next one of the user's takes it along.
            state.withLock { Self.end(of: user, &$0) }
        }
    }

    private static func end(of user: UInt32, _ state: inout State) {
        state.threads.count(-1, for: user)
        state.all -= 1
    }

    private func next(of user: UInt32) -> BufferID? {
        state.withLock { state in
            if let next = state.waiting[user]?.popLast() { return next }
            state.waiting[user] = nil
            Self.end(of: user, &state)
            return nil
        }
    }
}
