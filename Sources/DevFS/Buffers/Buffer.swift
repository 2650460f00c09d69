import Glibc
import Synchronization
import SystemPackage

/// A buffer while it is open: one descriptor that all who use it share.
final class BufferMemory: Sendable {
    let descriptor: SharedDescriptor
    /// Mappings to reply from, each at least twice as long as the one before. One that has become too
    /// short is kept as well: a reply may be on its way from it.
    private let mappings = Mutex<[Mapping]>([])
    /// The longest of them, which `mappings` keeps, for those who take no lock.
    private let longest = Atomic<UInt>(0)

    init(_ descriptor: consuming Descriptor) {
        self.descriptor = SharedDescriptor(descriptor)
    }

    /// The start of a mapping of at least the first `size` bytes, valid as long as this object is.
    func base(of size: Int) throws(Errno) -> UnsafeRawPointer {
        if let base = unsafe mapped(size) { return unsafe base }
        return unsafe try map(size).base
    }

    /// The same where there is such a mapping already.
    func mapped(_ size: Int) -> UnsafeRawPointer? {
        guard let address = unsafe UnsafeRawPointer(bitPattern: longest.load(ordering: .acquiring))
        else { return nil }
        return unsafe Unmanaged<Mapping>.fromOpaque(address)._withUnsafeGuaranteedRef {
            unsafe $0.count >= size ? $0.base : nil
        }
    }

    private func map(_ size: Int) throws(Errno) -> Mapping {
        // Beyond the end of the file as well: it may grow, and what is not there is not lent.
        let count = 1 << (Int.bitWidth - max(4096, size).leadingZeroBitCount)
        let fresh = try Mapping(of: descriptor.raw, count: count)
        return mappings.withLock { mappings in
            if let present = mappings.last, present.count >= size { return present }
            mappings.append(fresh)
            longest.store(
                unsafe UInt(bitPattern: Unmanaged.passUnretained(fresh).toOpaque()),
                ordering: .releasing)
            return fresh
        }
    }
}

/// A DMA buffer as the tree knows it.
///
/// Lock order: those of `BufferTable`, then a buffer's, which is held over no system call and no
/// reply.
final class Buffer: Sendable {
    struct Settings {
        var offset: UInt64 = 0
        var size: UInt64 = 0
        var direction: Direction
        var owner: SyncTarget = .cpu
    }

    final class KeptSettings: Sendable {
        let settings: Settings
        init(_ settings: Settings) { self.settings = settings }
    }

    struct State: ~Copyable {
        var name: Name
        var traits: BufferTraits
        /// Open descriptors through the mount.
        var handles = 0
        var streams = 0
        /// Open descriptors whose writes do not pass the server.
        var directWriters = 0
        var charge: BufferCharge?
        var isLinked = true
        /// It is removed, and its end will be told: `BufferTable.keepUntilEnd`.
        var isKept = false
        /// What is left of it is taken away with its last user.
        var isDiscardedLate = false
        /// Its memory is being cut: nobody may begin to use it.
        var isShrinking = false
        var memory: BufferMemory?
        /// The u-dma-buf sync attributes, made when they are first changed: few buffers have them.
        var sync: KeptSettings?
    }

    let id: BufferID
    /// The socket has given it out: who has it can keep its file locked for ever.
    private let wasExported = Atomic(false)
    /// A client may have it by what the mount does not know of: a descriptor from the socket, or a
    /// mapping of a file whose descriptor is closed.
    private let wasOutside = Atomic(false)
    /// Its memory is about to be filled up: once is enough, however many open it.
    private let isFilling = Atomic(false)
    /// False where somebody else is about to.
    func beginFill() -> Bool { !isFilling.exchange(true, ordering: .acquiring) }
    func endFill() { isFilling.store(false, ordering: .releasing) }

    /// An address of it was read: a device may have been told where it is.
    private let wasLocated = Atomic(false)
    /// Others may give it up at any time, so nothing of it is kept beyond its use.
    let isOfOthers: Bool
    /// See `Heap.isForeign`.
    let isForeign: Bool
    let state: Mutex<State>

    init(_ description: BufferDescription, ofOthers: Bool = false) {
        id = description.id
        isOfOthers = ofOthers || description.isTransient
        isForeign = description.traits.heap.isForeign
        state = Mutex(State(name: description.name, traits: description.traits))
    }

    /// Bit 0: a client can hold the file's lock. The rest counts, by twos, the server's own writes that
    /// are under way without fear of that.
    private let gate = Atomic<UInt>(0)

    /// Before a write by a thread that serves everybody: false where it may have to wait for a client,
    /// or for a device of others. Until `leave` no client gets the file.
    func enter() -> Bool {
        if isForeign { return false }
        if gate.add(2, ordering: .acquiring).oldValue & 1 == 0 { return true }
        leave()
        return false
    }

    func leave() { gate.subtract(2, ordering: .releasing) }

    /// From now on nobody enters. Those who have are waited for: they wait for no client.
    private func closeGate() {
        while gate.load(ordering: .acquiring) > 1 { Syscalls.yield() }
    }

    var isExported: Bool { wasExported.load(ordering: .relaxed) }

    /// Before a client gets a descriptor.
    func exported() {
        wasExported.store(true, ordering: .relaxed)
        outside()
        _ = state.withLock { _ in gate.bitwiseOr(1, ordering: .acquiringAndReleasing) }
        closeGate()
    }

    /// Before a client's writes pass the server by.
    func enterDirectWriter() {
        state.withLock { state in
            state.directWriters += 1
            gate.bitwiseOr(1, ordering: .acquiringAndReleasing)
        }
        closeGate()
    }

    func leaveDirectWriter() {
        state.withLock { state in
            state.directWriters -= 1
            if state.directWriters == 0 && !isExported {
                gate.bitwiseAnd(~1, ordering: .releasing)
            }
        }
    }

    var mayOutlive: Bool { wasOutside.load(ordering: .relaxed) }
    func outside() { wasOutside.store(true, ordering: .relaxed) }

    var isLocated: Bool { wasLocated.load(ordering: .relaxed) }
    func located() { wasLocated.store(true, ordering: .relaxed) }

    /// A client can be in the middle of a write that never ends, which keeps the file locked.
    var mayBeHeld: Bool { gate.load(ordering: .acquiring) & 1 == 1 }

    var name: Name { state.withLock { $0.name } }
    var traits: BufferTraits { state.withLock { $0.traits } }
    var isLinked: Bool { state.withLock { $0.isLinked } }

    var description: BufferDescription {
        state.withLock { BufferDescription(id: id, name: $0.name, traits: $0.traits) }
    }

    /// Before it grows to `size` bytes.
    /// - Throws: EDQUOT beyond what its maker can have.
    func charge(_ size: UInt64) throws(Refusal) {
        if let refusal = state.withLock({ $0.charge?.change(to: size) ?? nil }) { throw refusal }
    }

    /// When it has become `size` bytes long.
    func correctCharge(_ size: UInt64) { state.withLock { $0.charge?.correct(to: size) } }

    /// From now on its maker pays for it.
    func pay(by charge: consuming BufferCharge) {
        // A closure can't consume what it captures.
        var charge = Optional(charge)
        state.withLock { $0.charge = charge.take() }
    }

    /// Freeing its memory takes long.
    var isLarge: Bool { state.withLock { $0.charge?.bytes ?? 0 } >= Reclaim.large }

    /// Its memory is gone: nobody pays for it any more.
    func settle() { state.withLock { $0.charge = nil } }

    /// Descriptors and streams that use it.
    var references: Int { state.withLock { $0.handles + $0.streams } }

    var syncSettings: Settings {
        state.withLock { $0.sync?.settings ?? Settings(direction: $0.traits.direction) }
    }

    func changeSync(_ change: (inout Settings) -> Void) {
        state.withLock { state in
            var settings = state.sync?.settings ?? Settings(direction: state.traits.direction)
            change(&settings)
            state.sync = KeptSettings(settings)
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
