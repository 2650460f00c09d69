import CFuse
import Glibc
import Synchronization
import SystemPackage

/// A descriptor that a peer gave, of a file system that may be the peer's own: `close(2)` would wait
/// for its flush, so a thread of its own closes it.
final class GivenDescriptor: Sendable {
    /// Closings under way, at which no more descriptors are taken.
    private static let limit = 16
    private static let closings = Atomic(0)

    /// Another one may be received.
    static var isWelcome: Bool { closings.load(ordering: .relaxed) < limit }

    let raw: CInt

    /// Takes ownership of `raw`, which must be open.
    init(owning raw: CInt) {
        self.raw = raw
    }

    deinit {
        let raw = raw
        // Nobody's but the kernel's.
        if cfuse_is_shared_memory(raw) {
            close(raw)
            return
        }
        Self.closings.add(1, ordering: .relaxed)
        let closing = try? Worker("devfs-close") {
            close(raw)
            Self.closings.subtract(1, ordering: .relaxed)
        }
        // Without a thread it stays open: who waits is everybody.
        closing?.detach()
    }
}
