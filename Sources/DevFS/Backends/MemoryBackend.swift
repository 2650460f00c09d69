import CFuse
import Glibc
import SystemPackage

/// The backend that needs no kernel module: buffers are files on a tmpfs that outlives the server.
///
/// It has no bus: addresses are ENODATA, memory is coherent, and every heap is the same memory,
/// with the rules of that heap.
final class MemoryBackend: BuslessBackend {
    let source: String
    let runtimeDirectory: String
    private let store: MemoryStore
    private let isPrivate: Bool
    let lock: DeviceLock?

    /// Makes or adopts the device.
    /// - Parameters:
    ///   - lock: that the server before this one had.
    ///   - used: removed buffers that its clients have open.
    init(
        _ name: Name, size: UInt64?, huge: String?, lock held: DeviceLock? = nil,
        keeping used: Set<UInt64> = []
    ) throws(SetupError) {
        let device = MemoryDevice(name)
        try device.makeDirectories()
        lock = if let held { held } else { try device.lock() }
        isPrivate = try device.mountData(size: size, huge: huge)
        do throws(Errno) {
            store = try MemoryStore(device, isPrivate: isPrivate, limit: size, serves: true)
            try store.adopt(keeping: used)
        } catch .resourceBusy {
            throw SetupError(
                "resizing \(device.source) to \(size ?? 0) bytes", .resourceBusy,
                hint: "more than that is in use; remove buffers first")
        } catch {
            throw SetupError("opening \(device.data)", error)
        }
        source = device.source
        runtimeDirectory = device.path
    }

    /// A removed buffer that is there still, and its file.
    func openRemoved(_ id: BufferID) throws(Errno) -> RemovedBuffer {
        try store.openRemoved(id)
    }

    let readStrategy = ReadStrategy.mapping
    var allowsPassthrough: Bool { isPrivate }
    /// tmpfs would let a write through passthrough grow the file.
    let keepsFixedSize = false
    let heaps: [Heap] = [.system, .contiguous, .coherent]

    var features: [Feature] {
        [
            Feature(
                "private_tmpfs", isPrivate,
                isPrivate ? "" : "mounting one needs CAP_SYS_ADMIN; the server keeps the limit"),
            Feature("dma_addresses", false, "the memory device has no bus"),
            Feature("interrupts", false, "the memory device has none"),
            Feature("regions", false, "the memory device has no registers"),
        ]
    }

    func buffers() throws(Errno) -> [BufferDescription] { try store.list() }

    func make(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> NewBuffer {
        do throws(Errno) {
            return try store.make(name, size: size, traits: traits, owner: owner)
        } catch .fileExists {
            throw Refusal(.fileExists, "\(name) is there already")
        } catch {
            throw refusal(error, size)
        }
    }

    /// ENOSPC with the limit that was hit.
    private func refusal(_ error: Errno, _ size: UInt64) -> Refusal {
        if error == .noMemory { return Refusal(error, "\(size) bytes: \(store.memoryReason)") }
        guard error == .noSpace else { return Refusal(error, "the device's tmpfs: \(error)") }
        return Refusal(.noSpace, store.spaceReason(size))
    }

    func open(_ buffer: BufferDescription) throws(Errno) -> Descriptor {
        try store.open(buffer, flags: O_RDWR)
    }

    func openReadOnly(_ buffer: BufferDescription) throws(Errno) -> Descriptor {
        try store.open(buffer, flags: O_RDONLY)
    }

    func status(of buffer: BufferDescription) throws(Errno) -> FileStatus {
        try store.status(of: buffer)
    }

    func resize(_ descriptor: CInt, to size: UInt64) throws(Refusal) {
        do throws(Errno) {
            try store.resize(descriptor, to: size)
        } catch {
            throw refusal(error, size)
        }
    }

    func populate(_ descriptor: CInt, _ range: Range<UInt64>) throws(Refusal) {
        do throws(Errno) {
            try store.populate(descriptor, range)
        } catch {
            throw refusal(error, UInt64(range.count))
        }
    }

    func zero(_ descriptor: CInt, _ range: Range<UInt64>) throws(Errno) {
        try Syscalls.zeroData(descriptor, range)
    }

    func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        unsafe try store.write(bytes, to: descriptor, at: offset)
    }

    func remove(_ buffer: BufferDescription) throws(Errno) { try store.remove(buffer) }

    func rename(_ buffer: BufferDescription, to name: Name, flags: RenameFlags) throws(Errno) {
        try store.rename(buffer, to: name, flags: flags)
    }

    func setTraits(_ traits: BufferTraits, of buffer: BufferDescription) throws(Errno) {
        try store.setTraits(traits, of: buffer)
    }

    func setOwner(
        of buffer: BufferDescription, by descriptor: CInt, uid: UInt32?, gid: UInt32?,
        mode: UInt32?
    ) throws(Errno) {
        try store.setOwner(of: buffer, by: descriptor, uid: uid, gid: gid, mode: mode)
    }

    func status(of id: BufferID, by descriptor: CInt) throws(Errno) -> FileStatus {
        store.present(try Syscalls.status(of: descriptor), id)
    }

    var discardMayWait: Bool { true }
    func discard(_ id: BufferID) { store.discard(id) }
    func remains(of id: BufferID) -> String? { store.remains(of: id) }

    func freed(_ id: BufferID) { store.free(id) }

    func status(of heap: Heap) throws(Errno) -> HeapStatus {
        let space = try store.space()
        let usage = try store.usage()
        var used = usage[heap] ?? 0
        if heap == .system {
            // Also what has no name any more but is still in use.
            let fixed = usage.filter { $0.key != .system }.values.reduce(0, +)
            used = space.used - min(fixed, space.used)
        }
        return HeapStatus(size: space.size, used: used, largest: space.available)
    }

    func space() throws(Errno) -> SpaceStatus { try store.space() }
}
