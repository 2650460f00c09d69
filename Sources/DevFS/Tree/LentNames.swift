import Synchronization

/// Whether the kernel may have been lent names, in `buffers/` or `attributes/`, that have to be taken
/// back when commands, or the end of a lease, take them from their buffers. What its own requests do
/// in `buffers/` it knows, but not that `attributes/` changes with it.
final class LentNames: Sendable {
    private let forget = Callback<Void>()
    private let isOn = Atomic(false)
    private let buffers = Atomic(false)
    private let attributes = Atomic(false)

    func start(_ forget: @escaping @Sendable () -> Void) {
        self.forget.set(forget)
        isOn.store(true, ordering: .releasing)
    }

    /// Before a name is looked up in `parent`: true where it may be lent. A name that goes after this
    /// is taken back, also while the reply is on its way: the kernel marks what it gets by the time at
    /// which it asked. fs/fuse/dir.c, fuse_lookup
    func begin(in parent: Node) -> Bool {
        guard isOn.load(ordering: .acquiring) else { return false }
        switch parent {
        case .folder(.buffers): buffers.store(true, ordering: .sequentiallyConsistent)
        case .folder(.attributes): attributes.store(true, ordering: .sequentiallyConsistent)
        default: return false
        }
        return true
    }

    /// After a name was taken from its buffer, unless by the kernel's own request.
    func takeBack() {
        let areLent = buffers.exchange(false, ordering: .sequentiallyConsistent)
        if attributes.exchange(false, ordering: .sequentiallyConsistent) || areLent {
            forget.call(())
        }
    }

    /// After it was, by the kernel's own request in `buffers/`.
    func takeBackAttributes() {
        if attributes.exchange(false, ordering: .sequentiallyConsistent) { forget.call(()) }
    }
}
