import CFuse
import Glibc
import Synchronization
import SystemPackage

/// How many descriptors of one user are being closed.
final class ClosingCount: Sendable {
    private let limit: Int
    private let count = Atomic(0)

    init(limit: Int) {
        self.limit = limit
    }

    /// Another descriptor may be received.
    var isWelcome: Bool { count.load(ordering: .relaxed) < limit }

    fileprivate func add(_ change: Int) { count.add(change, ordering: .relaxed) }
}

/// A descriptor that a peer gave, of a file system that may be the peer's own: `close(2)` would wait
/// for its flush, so a thread of its own closes it.
final class GivenDescriptor: Sendable {
    let raw: CInt
    private let closings: ClosingCount

    /// Takes ownership of `raw`, which must be open.
    init(owning raw: CInt, _ closings: ClosingCount) {
        self.raw = raw
        self.closings = closings
    }

    deinit {
        let raw = raw
        // Nobody's but the kernel's.
        if cfuse_is_shared_memory(raw) {
            close(raw)
            return
        }
        closings.add(1)
        let closing = try? Worker("devfs-close") { [closings] in
            close(raw)
            closings.add(-1)
        }
        // Without a thread it stays open: who waits is everybody.
        closing?.detach()
    }
}
