import CFuse
import Glibc
import Synchronization
import SystemPackage

/// How many descriptors of each user are being closed.
final class Closings: Sendable {
    /// Of one user, at which no more of his are taken.
    private static let limit = 16
    private let counts = Mutex<[UInt32: Int]>([:])

    /// Another descriptor of the user's may be received.
    func welcomes(_ uid: UInt32) -> Bool { counts.withLock { $0[uid] ?? 0 } < Self.limit }

    fileprivate func add(_ change: Int, of uid: UInt32) {
        counts.withLock { counts in
            let count = (counts[uid] ?? 0) + change
            counts[uid] = count > 0 ? count : nil
        }
    }
}

/// A descriptor that a peer gave, of a file system that may be the peer's own: `close(2)` would wait
/// for its flush, so a thread of its own closes it.
final class GivenDescriptor: Sendable {
    let raw: CInt
    private let uid: UInt32
    private let closings: Closings

    /// Takes ownership of `raw`, which must be open.
    /// - Parameter uid: who gave it.
    init(owning raw: CInt, of uid: UInt32, _ closings: Closings) {
        self.raw = raw
        self.uid = uid
        self.closings = closings
    }

    deinit {
        let raw = raw
        // Nobody's but the kernel's.
        if cfuse_is_shared_memory(raw) {
            close(raw)
            return
        }
        closings.add(1, of: uid)
        let closing = try? Worker("devfs-close") { [closings, uid] in
            close(raw)
            closings.add(-1, of: uid)
        }
        // Without a thread it stays open: who waits is everybody.
        closing?.detach()
    }
}
