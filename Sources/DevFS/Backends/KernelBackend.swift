import CFuse
import Glibc
import Synchronization
import SystemPackage

/// The backend over the kernel module `devfs_dma`: every buffer is DMA memory of the device, and a
/// regular file on the module's own file system, which FUSE passthrough takes.
///
/// The ABI is kmod/uapi/devfs_dma.h. Buffers are made to persist, so they outlive this server and
/// are adopted by the next.
final class KernelBackend: Backend {
    let source: String
    let runtimeDirectory: String
    let heaps: [Heap]
    /// Device memory that it has, which never changes.
    let regions: [Region]
    /// DEVFS_DMA_INFO_..., as they were at the start.
    let flags: UInt32
    let mask: UInt64
    let node: Descriptor
    private let isPrivileged: Bool
    /// Held as long as this server runs and the device is there: one server a device.
    let lock: DeviceLock?

    /// - Parameter path: the device's node, `/dev/devfs/NAME`.
    init(_ path: String) throws(SetupError) {
        do throws(Errno) {
            node = try Syscalls.open(path, flags: O_RDWR | O_NONBLOCK)
        } catch {
            throw SetupError(
                "opening \(path)", error,
                hint: Self.obstacle(error, path))
        }
        let info: devfs_dma_info
        do throws(Errno) {
            info = try ModuleCalls.info(node.raw)
        } catch {
            throw SetupError("asking \(path) what it is", error, hint: "is it a DevFS node?")
        }
        guard info.abi_version == UInt32(DEVFS_DMA_ABI_VERSION) else {
            throw SetupError(
                "using \(path)", .notSupported,
                hint: "the loaded module has ABI \(info.abi_version), this devfs "
                    + "\(DEVFS_DMA_ABI_VERSION): make install, then modprobe -r devfs_dma "
                    + "&& modprobe devfs_dma")
        }
        source = path
        heaps = Heap.allCases.filter { info.heaps >> UInt64($0.rawValue) & 1 == 1 }
        regions = Self.regions(node.raw, info.regions)
        flags = info.flags
        mask = info.dma_mask
        isPrivileged = Capability.isHeld(Capability.systemAdministration)
        let device = path.split(separator: "/").last.map(String.init) ?? "device"
        // Not a name of a memory device, which live beside it.
        runtimeDirectory = "\(MemoryDevice.base())/.\(device)"
        try OwnDirectory.make(MemoryDevice.base())
        try OwnDirectory.make(runtimeDirectory)
        lock = try DeviceLock(in: runtimeDirectory, of: path)
    }

    private static func obstacle(_ error: Errno, _ path: String) -> String {
        switch error {
        case .noSuchFileOrDirectory: "load the module: modprobe devfs_dma"
        case .notPermitted:
            "no IOMMU confines the device: opening it takes CAP_SYS_RAWIO, and a kernel that is "
                + "not locked down"
        default:
            "its group is dma, or root where no IOMMU confines the device; "
                + "see ls -l \(path.shellQuoted)"
        }
    }

    /// The module syncs in its read, and coherent memory is no pages that a reply could come from.
    let readStrategy = ReadStrategy.descriptor
    var allowsPassthrough: Bool { isPrivileged }
    /// The module answers ENOSPC beyond a fixed buffer's end.
    let keepsFixedSize = true

    // MARK: Buffers

    let isShared = true
    var foreignChanges: UInt64? { (try? info())?.foreign }

    func buffers() throws(Errno) -> [BufferDescription] {
        var found: [BufferDescription] = []
        try list { if let description = Self.description($0) { found.append(description) } }
        return found
    }

    func summaries() -> [BufferID: BufferSummary]? {
        var found: [BufferID: BufferSummary] = [:]
        do throws(Errno) {
            try list {
                found[BufferID($0.id)] = BufferSummary(
                    size: $0.size, owner: Ownership(uid: $0.uid, gid: $0.gid, mode: $0.mode))
            }
            return found
        } catch {
            return nil
        }
    }

    private func list(_ body: (devfs_dma_buf_info) -> Void) throws(Errno) {
        var cursor: UInt64 = 0
        repeat {
            for info in try ModuleCalls.list(node.raw, from: &cursor) { body(info) }
        } while cursor != 0
    }

    private static func description(_ info: devfs_dma_buf_info) -> BufferDescription? {
        guard let name = name(info.name), let heap = Heap(rawValue: Int(info.heap)),
            let direction = Direction(rawValue: Int(info.direction))
        else { return nil }
        let owner = ProcessID(Int32(truncatingIfNeeded: info.owner))
        return BufferDescription(
            id: BufferID(info.id), name: name,
            traits: BufferTraits(
                heap: heap, direction: direction,
                lease: info.lease == UInt32(DEVFS_DMA_LEASE_PROCESS) ? .process : .none,
                owner: owner, ownerStart: (try? ProcessHandle.startTime(of: owner)) ?? 0),
            isTransient: info.lease == UInt32(DEVFS_DMA_LEASE_USE))
    }

    func make(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> NewBuffer {
        guard size > 0 || !traits.heap.isFixed else {
            throw Refusal(
                .notSupported,
                "a \(traits.heap.name) buffer is made with its size, by control/alloc")
        }
        var request = Self.request(name, size: size, traits: traits, owner: owner)
        // His memory cgroup's, not the server's.
        request.charge = isPrivileged ? request.owner : 0
        do throws(Errno) {
            let file = try ModuleCalls.allocate(node.raw, &request)
            return NewBuffer(id: BufferID(request.id), file: file)
        } catch {
            throw Refusal(
                error, "\(size) bytes: \(why(request.why) ?? "refused by the module")")
        }
    }

    /// What ALLOC, PIN and IMPORT have in common.
    static func request(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) -> devfs_dma_alloc {
        var request = devfs_dma_alloc()
        put(name, &request.name)
        // What no signed size holds is beyond any limit.
        request.size = min(size, UInt64(Int64.max))
        request.heap = UInt32(traits.heap.rawValue)
        request.direction = UInt32(traits.direction.rawValue)
        request.lease = lease(traits.lease)
        request.owner = UInt32(max(0, traits.owner.number))
        request.mode = owner.mode
        request.uid = owner.uid
        request.gid = owner.gid
        request.fd_flags = UInt32(O_RDWR | O_CLOEXEC)
        return request
    }

    private static func lease(_ lease: Lease) -> UInt32 {
        UInt32(lease == .process ? DEVFS_DMA_LEASE_PROCESS : DEVFS_DMA_LEASE_PERSIST)
    }

    /// What an allocation failed of, for `control/log`; nil where the module does not say.
    func why(_ reason: UInt32) -> String? {
        switch CInt(reason) {
        case DEVFS_DMA_WHY_LIMIT: limit
        case DEVFS_DMA_WHY_BUFFERS: "more buffers than the module's max_buffers"
        case DEVFS_DMA_WHY_ORDER:
            "one bus range of that length needs CMA, an IOMMU or reserved memory; "
                + "heap=system takes any length"
        case DEVFS_DMA_WHY_MEMORY: "no free memory"
        case DEVFS_DMA_WHY_MAPPING: "the device cannot address that memory: see its dma mask"
        case DEVFS_DMA_WHY_MEMLOCK: "more than RLIMIT_MEMLOCK of the server"
        case DEVFS_DMA_WHY_PROCESS: "no such owner process"
        case DEVFS_DMA_WHY_USER: "more buffers than the module's user_buffers"
        default: nil
        }
    }

    /// A name of the ABI; nil for an empty one.
    static func name<T>(_ field: T) -> Name? {
        let text = unsafe withUnsafeBytes(of: field) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return Name(text)
    }

    private var limit: String {
        let space = (try? space()).map { "\(Number.human($0.size)), \($0.free) bytes free" }
        return "more than the heap limit leaves: limit_bytes=\(space ?? "?")"
    }

    /// A name as the ABI has it: 64 bytes, closed and filled with zeros.
    static func put<T>(_ name: Name, _ field: inout T) {
        unsafe withUnsafeMutableBytes(of: &field) { room in
            for (index, byte) in name.text.utf8.enumerated() where index < room.count - 1 {
                unsafe room[index] = byte
            }
        }
    }

    func open(_ buffer: BufferDescription) throws(Errno) -> Descriptor {
        var request = devfs_dma_open()
        request.id = buffer.id.number
        request.fd_flags = UInt32(O_RDWR | O_CLOEXEC)
        return try ModuleCalls.open(node.raw, request)
    }

    func status(of buffer: BufferDescription) throws(Errno) -> FileStatus {
        let file = try open(buffer)
        return try Syscalls.status(of: file.raw)
    }

    func resize(_ descriptor: CInt, to size: UInt64) throws(Refusal) {
        do throws(Errno) {
            try Syscalls.truncate(descriptor, to: min(size, UInt64(Int64.max)))
        } catch .noSpace {
            throw Refusal(.noSpace, "\(size) bytes: \(limit)")
        } catch {
            let reason: CInt =
                switch error {
                case .noMemory: DEVFS_DMA_WHY_MEMORY
                case .ioError: DEVFS_DMA_WHY_MAPPING
                default: DEVFS_DMA_WHY_NONE
                }
            throw Refusal(
                error, "\(size) bytes: \(why(UInt32(reason)) ?? "the module answers \(error)")")
        }
    }

    /// Every byte has its memory from the start.
    func populate(_ descriptor: CInt, _ range: Range<UInt64>) {}

    func zero(_ descriptor: CInt, _ range: Range<UInt64>) throws(Errno) {
        try Syscalls.zero(descriptor, range)
    }

    func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        unsafe try Syscalls.write(bytes, to: descriptor, at: offset)
    }

    func remove(_ buffer: BufferDescription) throws(Errno) {
        do throws(Errno) {
            try ModuleCalls.free(node.raw, buffer.id)
        } catch .noSuchFileOrDirectory {
            // Its lease ended a moment ago.
        }
    }

    func rename(
        _ buffer: BufferDescription, to name: Name, flags: RenameFlags
    ) throws(Errno) {
        var request = devfs_dma_rename()
        Self.put(name, &request.name)
        request.id = buffer.id.number
        request.flags =
            switch flags {
            case []: UInt32(DEVFS_DMA_RENAME_REPLACE)
            case .noReplace: 0
            case .exchange: UInt32(DEVFS_DMA_RENAME_EXCHANGE)
            default: throw .invalidArgument
            }
        try ModuleCalls.rename(node.raw, request)
    }

    func setTraits(_ traits: BufferTraits, of buffer: BufferDescription) throws(Errno) {
        let file = try open(buffer)
        try ModuleCalls.setLease(
            file.raw, Self.lease(traits.lease), owner: UInt32(max(0, traits.owner.number)))
    }

    // MARK: Space

    /// The module counts by itself.
    func freed(_ id: BufferID) {}

    func status(of heap: Heap) throws(Errno) -> HeapStatus {
        let status = try ModuleCalls.status(node.raw, ofHeap: UInt32(heap.rawValue))
        return HeapStatus(size: status.size, used: status.used, largest: status.max)
    }

    func info() throws(Errno) -> devfs_dma_info { try ModuleCalls.info(node.raw) }

    func space() throws(Errno) -> SpaceStatus {
        let info = try info()
        return SpaceStatus(
            size: info.limit, free: info.limit - min(info.limit, info.used),
            files: UInt64(info.buffers))
    }
}
