import Glibc
import Synchronization
import SystemPackage

@testable import DevFS

/// A device that others have open as well, as they have the module's: a memory device whose buffers
/// are also made, renamed and freed past the tree.
final class SharedBackend: BuslessBackend {
    private struct State {
        var listed: [BufferID: BufferDescription] = [:]
        var foreign: UInt64 = 7
        var lists = 0
    }

    private let memory: MemoryBackend
    /// Of every buffer.
    let address = Mutex<UInt64?>(nil)
    private let state = Mutex(State())
    /// How often all of a buffer was given its memory, and its scatter-gather list was asked for.
    let populations = Atomic(0)
    let tables = Atomic(0)
    /// What happens once a list was made, and before it is looked at.
    let whenListed = Callback<Void>()
    /// What happens before the memory of a removed buffer goes.
    let whenDiscarded = Callback<BufferID>()

    init(_ memory: MemoryBackend) {
        self.memory = memory
    }

    /// How often the buffers were listed.
    var lists: Int { state.withLock { $0.lists } }

    // MARK: What others do

    @discardableResult
    func makeForeign(_ name: String, size: UInt64 = 4096) throws -> BufferID {
        let id = try memory.make(name, size: size).id
        note(BufferDescription(id: id, name: Name(name)!, traits: BufferTraits(heap: .system)))
        state.withLock { $0.foreign += 1 }
        return id
    }

    func freeForeign(_ id: BufferID) throws(Errno) {
        guard let buffer = state.withLock({ $0.listed.removeValue(forKey: id) }) else {
            throw .noSuchFileOrDirectory
        }
        try memory.remove(buffer)
        state.withLock { $0.foreign += 1 }
    }

    func renameForeign(_ id: BufferID, to name: String, _ flags: RenameFlags = []) throws(Errno) {
        guard let buffer = state.withLock({ $0.listed[id] }), let name = Name(name) else {
            throw .noSuchFileOrDirectory
        }
        try rename(buffer, to: name, flags: flags)
        state.withLock { $0.foreign += 1 }
    }

    // MARK: Backend

    var foreignChanges: UInt64? { state.withLock { $0.foreign } }

    private func note(_ buffer: BufferDescription) {
        state.withLock { $0.listed[buffer.id] = buffer }
    }

    func buffers() throws(Errno) -> [BufferDescription] {
        let found = state.withLock { state in
            state.lists += 1
            return state.listed.values.sorted { $0.id < $1.id }
        }
        whenListed.call(())
        return found
    }

    func make(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> NewBuffer {
        let made = try memory.make(name, size: size, traits: traits, owner: owner)
        note(BufferDescription(id: made.id, name: name, traits: traits))
        return made
    }

    func remove(_ buffer: BufferDescription) throws(Errno) {
        guard state.withLock({ $0.listed.removeValue(forKey: buffer.id) }) != nil else { return }
        try memory.remove(buffer)
    }

    func rename(_ buffer: BufferDescription, to name: Name, flags: RenameFlags) throws(Errno) {
        try memory.rename(buffer, to: name, flags: flags)
        state.withLock { state in
            let target = state.listed.values.first { $0.name == name }
            let old = state.listed[buffer.id]?.name
            state.listed[buffer.id]?.name = name
            guard let target, target.id != buffer.id, let old else { return }
            if flags.contains(.exchange) {
                state.listed[target.id]?.name = old
            } else {
                state.listed[target.id] = nil
            }
        }
    }

    var source: String { memory.source }
    var runtimeDirectory: String { memory.runtimeDirectory }
    var readStrategy: ReadStrategy { memory.readStrategy }
    var allowsPassthrough: Bool { memory.allowsPassthrough }
    var keepsFixedSize: Bool { memory.keepsFixedSize }
    var heaps: [Heap] { memory.heaps }
    var features: [Feature] { memory.features }

    func open(_ buffer: BufferDescription) throws(Errno) -> Descriptor { try memory.open(buffer) }
    func openReadOnly(_ buffer: BufferDescription) throws(Errno) -> Descriptor {
        try memory.openReadOnly(buffer)
    }
    func status(of buffer: BufferDescription) throws(Errno) -> FileStatus {
        try memory.status(of: buffer)
    }
    func resize(_ descriptor: CInt, to size: UInt64) throws(Refusal) {
        try memory.resize(descriptor, to: size)
    }
    func populate(_ descriptor: CInt, _ range: Range<UInt64>) throws(Refusal) {
        populations.add(1, ordering: .relaxed)
        try memory.populate(descriptor, range)
    }
    func zero(_ descriptor: CInt, _ range: Range<UInt64>) throws(Errno) {
        try memory.zero(descriptor, range)
    }
    func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        unsafe try memory.write(bytes, to: descriptor, at: offset)
    }
    func setTraits(_ traits: BufferTraits, of buffer: BufferDescription) throws(Errno) {
        try memory.setTraits(traits, of: buffer)
    }
    func dmaAddress(of buffer: BufferDescription) throws(Errno) -> UInt64 {
        guard let address = address.withLock({ $0 }) else { throw .noData }
        return address
    }
    func scatterGather(of buffer: BufferDescription) throws(Errno) -> [(UInt64, UInt64)] {
        tables.add(1, ordering: .relaxed)
        return [(0x1000, 4096), (0x8000, 4096)]
    }
    func segments(of buffer: BufferDescription) throws(Errno) -> Int { 2 }
    func freed(_ id: BufferID) { memory.freed(id) }
    var discardMayWait: Bool { memory.discardMayWait }
    func discard(_ id: BufferID) {
        whenDiscarded.call(id)
        memory.discard(id)
    }
    func setOwner(
        of buffer: BufferDescription, by descriptor: CInt, uid: UInt32?, gid: UInt32?,
        mode: UInt32?
    ) throws(Errno) {
        try memory.setOwner(of: buffer, by: descriptor, uid: uid, gid: gid, mode: mode)
    }
    func status(of id: BufferID, by descriptor: CInt) throws(Errno) -> FileStatus {
        try memory.status(of: id, by: descriptor)
    }
    func status(of heap: Heap) throws(Errno) -> HeapStatus { try memory.status(of: heap) }
    func space() throws(Errno) -> SpaceStatus { try memory.space() }
}

/// A tree on a device that others have open as well.
func withSharedDevice(
    size: UInt64 = TestDevice.size, _ body: (Client, SharedBackend) throws -> Void
) throws {
    try withDevice(size: size) { device in
        let backend = SharedBackend(try device.backend())
        let tree = try FileSystem(backend, TreeOptions(uid: geteuid(), gid: getegid()))
        defer { tree.shutDown() }
        try body(Client(tree: tree), backend)
    }
}
