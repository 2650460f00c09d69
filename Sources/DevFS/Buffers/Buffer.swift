import Synchronization
import SystemPackage

/// A buffer while it is open: one descriptor that all who use it share.
final class BufferMemory: Sendable {
    let descriptor: SharedDescriptor
    /// A mapping to reply from, as long as the buffer was when it was last needed.
    private let mapping = Mutex<Mapping?>(nil)

    init(_ descriptor: consuming Descriptor) {
        self.descriptor = SharedDescriptor(descriptor)
    }

    /// A mapping of at least the first `size` bytes.
    func mapping(of size: Int) throws(Errno) -> Mapping {
        if let present = mapping.withLock({ $0 }), present.count >= size { return present }
        let fresh = try Mapping(of: descriptor.raw, count: size)
        mapping.withLock { $0 = fresh }
        return fresh
    }
}

/// A DMA buffer as the tree knows it.
///
/// Lock order: the store's lock, then a buffer's; neither is held over a system call or a reply.
final class Buffer: Sendable {
    struct Settings {
        var offset: UInt64 = 0
        var size: UInt64 = 0
        var direction: Direction
        var owner: SyncTarget = .cpu
    }

    struct State {
        var name: Name
        var traits: BufferTraits
        var isLinked = true
        /// Open descriptors through the mount.
        var handles = 0
        var streams = 0
        /// Its memory is being cut: nobody may begin to use it.
        var isShrinking = false
        var memory: BufferMemory?
        /// The u-dma-buf sync attributes, made when they are first changed.
        var sync: Settings?
    }

    let id: BufferID
    let state: Mutex<State>

    init(_ description: BufferDescription) {
        id = description.id
        state = Mutex(State(name: description.name, traits: description.traits))
    }

    var name: Name { state.withLock { $0.name } }
    var traits: BufferTraits { state.withLock { $0.traits } }
    var isLinked: Bool { state.withLock { $0.isLinked } }

    var description: BufferDescription {
        state.withLock { BufferDescription(id: id, name: $0.name, traits: $0.traits) }
    }

    /// Descriptors and streams that use it.
    var references: Int { state.withLock { $0.handles + $0.streams } }

    var syncSettings: Settings {
        state.withLock { $0.sync ?? Settings(direction: $0.traits.direction) }
    }

    func changeSync(_ change: (inout Settings) -> Void) {
        state.withLock { state in
            var settings = state.sync ?? Settings(direction: state.traits.direction)
            change(&settings)
            state.sync = settings
        }
    }

    /// Why a buffer of a fixed heap does not grow.
    func sizedOnce(_ size: UInt64) -> Refusal {
        Refusal(
            .noSpace,
            "\(name) is \(traits.heap.name) memory, which is sized once: "
                + (size == 0 ? "truncate gives it its size" : "it has \(size) bytes"))
    }
}
