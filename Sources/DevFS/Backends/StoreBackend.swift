import Glibc
import SystemPackage

/// A backend whose buffers are the files of a store, on a tmpfs of the device's own where the server
/// may mount one.
protocol StoreBackend: Backend {
    var store: MemoryStore { get }
}

extension StoreBackend {
    var readStrategy: ReadStrategy { .mapping }
    var allowsPassthrough: Bool { store.isPrivate }
    /// tmpfs would let a write through passthrough grow the file.
    var keepsFixedSize: Bool { false }
    var heaps: [Heap] { [.system, .contiguous, .coherent] }

    /// The first line of `features`.
    var tmpfsFeature: Feature {
        Feature(
            "private_tmpfs", store.isPrivate,
            store.isPrivate ? "" : "mounting one needs CAP_SYS_ADMIN; the server keeps the limit")
    }

    func buffers() throws(Errno) -> [BufferDescription] { try store.list() }

    func make(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> NewBuffer {
        do throws(Errno) {
            return try store.make(name, size: size, traits: traits, owner: owner)
        } catch {
            throw store.refusal(error, of: size, name)
        }
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
            throw store.refusal(error, of: size)
        }
    }

    func populate(_ descriptor: CInt, _ range: Range<UInt64>) throws(Refusal) {
        do throws(Errno) {
            try store.populate(descriptor, range)
        } catch {
            throw store.refusal(error, of: UInt64(range.count))
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

extension MemoryStore {
    /// Makes or adopts the store of a device.
    /// - Parameter used: removed buffers that clients of the server before this one have open.
    static func open(
        _ device: MemoryDevice, size: UInt64?, huge: String?, keeping used: Set<UInt64> = []
    ) throws(SetupError) -> MemoryStore {
        let isPrivate = try device.mountData(size: size, huge: huge)
        do throws(Errno) {
            let store = try MemoryStore(device, isPrivate: isPrivate, limit: size, serves: true)
            try store.adopt(keeping: used)
            return store
        } catch .resourceBusy {
            throw SetupError(
                "resizing \(device.source) to \(size ?? 0) bytes", .resourceBusy,
                hint: "more than that is in use; remove buffers first")
        } catch {
            throw SetupError("opening \(device.data)", error)
        }
    }

    /// ENOSPC with the limit that was hit; EEXIST with the name.
    func refusal(_ error: Errno, of size: UInt64, _ name: Name? = nil) -> Refusal {
        switch error {
        case .fileExists:
            Refusal(error, name.map { "\($0) is there already" } ?? "it is there already")
        case .noMemory: Refusal(error, "\(size) bytes: \(memoryReason)")
        case .noSpace: Refusal(error, spaceReason(size))
        default: Refusal(error, "the device's tmpfs: \(error)")
        }
    }
}
