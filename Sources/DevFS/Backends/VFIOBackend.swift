import Glibc
import Synchronization
import SystemPackage

/// The backend over the kernel's own vfio-pci: buffers are files as those of a memory device, pinned, and
/// mapped for the device by its IOMMU at addresses of our choice, one range each.
///
/// The memory outlives the server. The device's address space does not: the kernel resets the device
/// when its last descriptor is closed, and the next server maps each buffer where it was.
final class VFIOBackend: StoreBackend {
    let source: String
    let runtimeDirectory: String
    let store: MemoryStore
    let lock: DeviceLock?
    let mappings: BufferMappings
    /// Nil in tests, which have an IOMMU alone.
    let device: VFIODevice?
    let signals: VFIOSignals?
    /// A buffer that grows is mapped then.
    let seesGrowth = true

    /// - Parameter bits: address bits that the device drives; nil for all.
    convenience init(
        _ address: PCIAddress, size: UInt64?, huge: String?, bits: Int?
    ) throws(SetupError) {
        let place = MemoryDevice(of: address)
        try place.makeDirectories()
        let lock = try place.lock()
        let device = try VFIODevice(address)
        let signals: VFIOSignals
        do throws(Errno) {
            signals = try VFIOSignals(device)
        } catch {
            throw SetupError("taking the interrupts of \(place.source)", error)
        }
        try self.init(
            place, lock, size: size, huge: huge, bits: bits, device.space, device, signals)
    }

    /// - Parameter iommu: what the device's address space is.
    init(
        _ place: MemoryDevice, _ lock: DeviceLock, size: UInt64?, huge: String?, bits: Int?,
        _ iommu: any DMASpace, _ device: VFIODevice? = nil, _ signals: VFIOSignals? = nil
    ) throws(SetupError) {
        self.lock = lock
        self.device = device
        self.signals = signals
        source = place.source
        runtimeDirectory = place.path
        store = try MemoryStore.open(place, size: size, huge: huge)
        do throws(Errno) {
            mappings = try BufferMappings(iommu, bits: bits ?? 64, files: store.files.raw)
        } catch {
            throw SetupError("asking the IOMMU of \(place.source) for its addresses", error)
        }
        if mappings.last == 0 {
            throw SetupError(
                "mounting with dma_bits=\(bits ?? 64)", .invalidArgument,
                hint: "the IOMMU has no address that is free below that")
        }
        try adopt()
    }

    /// Buffers that are there are mapped where they were: all, or the device is not mounted.
    private func adopt() throws(SetupError) {
        let found: [BufferDescription]
        do throws(Errno) {
            found = try store.list()
        } catch {
            throw SetupError("listing the buffers of \(source)", error)
        }
        for buffer in found {
            do throws(Refusal) {
                let file = try refusing("it can't be opened") { () throws(Errno) in
                    SharedDescriptor(try store.open(buffer, flags: O_RDWR))
                }
                try mappings.adopt(buffer.id, file.raw, isFixed: buffer.traits.heap.isFixed)
            } catch {
                throw SetupError("mapping the buffer \(buffer.name)", error.errno, hint: error.why)
            }
        }
    }

    // MARK: Buffers

    func make(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> NewBuffer {
        var refusal: Refusal?
        var added: BufferID?
        do throws(Errno) {
            return try store.make(name, size: size, traits: traits, owner: owner) {
                (id, file) throws(Errno) in
                try mappings.add(id, file, isFixed: traits.heap.isFixed)
                added = id
                do throws(Refusal) {
                    try mappings.follow(id, file)
                } catch {
                    refusal = error
                    throw error.errno
                }
            }
        } catch {
            if let added { mappings.remove(added) }
            throw refusal ?? store.refusal(error, of: size, name)
        }
    }

    /// Growing is mapped after the file has grown, and a file that can't be mapped gets shorter again;
    /// what is cut is unmapped before.
    func resize(_ descriptor: CInt, to size: UInt64) throws(Refusal) {
        let old = try Self.size(of: descriptor)
        if size >= old {
            try resizeFile(descriptor, to: size)
            do throws(Refusal) {
                try mappings.follow(descriptor)
            } catch {
                undoGrowth(descriptor, from: old)
                throw error
            }
            return
        }
        do throws(Refusal) {
            try mappings.cut(descriptor, to: size)
            try resizeFile(descriptor, to: size)
        } catch {
            try? mappings.endCut(descriptor)
            throw error
        }
        try mappings.endCut(descriptor)
    }

    private func resizeFile(_ descriptor: CInt, to size: UInt64) throws(Refusal) {
        do throws(Errno) {
            try store.resize(descriptor, to: size)
        } catch {
            throw store.refusal(error, of: size)
        }
    }

    private static func size(of descriptor: CInt) throws(Refusal) -> UInt64 {
        try refusing("its size can't be read") { () throws(Errno) in
            try Syscalls.status(of: descriptor).size
        }
    }

    /// A client who punched a hole took pages away that the device still has: it gets the new ones.
    func populate(_ descriptor: CInt, _ range: Range<UInt64>) throws(Refusal) {
        let hadHoles = (try? Syscalls.extent(of: descriptor))?.isSparse ?? false
        do throws(Errno) {
            try store.populate(descriptor, range)
        } catch {
            throw store.refusal(error, of: UInt64(range.count))
        }
        if hadHoles { try mappings.renew(descriptor) }
    }

    func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int {
        let old = try Syscalls.status(of: descriptor).size
        let count = unsafe try store.write(bytes, to: descriptor, at: offset)
        guard offset + UInt64(count) > old else { return count }
        do throws(Refusal) {
            try mappings.follow(descriptor)
        } catch {
            undoGrowth(descriptor, from: old)
            throw error.errno
        }
        return count
    }

    /// Cuts off what can't be mapped, and nothing that somebody else made meanwhile, which is.
    private func undoGrowth(_ descriptor: CInt, from old: UInt64) {
        let mapped = mappings.mapped(descriptor)
        let end = mapped > old.wholePages ? mapped : old
        if (try? Self.size(of: descriptor)) ?? 0 > end {
            try? store.resize(descriptor, to: end)
        }
    }

    func freed(_ id: BufferID) {
        mappings.remove(id)
        store.free(id)
    }

    // MARK: As the device has it

    func sync(
        _ buffer: BufferDescription, _ range: Range<UInt64>, direction: Direction,
        for target: SyncTarget
    ) {}
    func sync(
        _ descriptor: CInt, _ range: Range<UInt64>, direction: Direction, for target: SyncTarget
    ) {}
    func isCoherent(_ buffer: BufferDescription) -> Bool { true }
    func numaNode(of buffer: BufferDescription) -> Int { -1 }
    /// vfio tells none, and no device behind an IOMMU has a use for one.
    func physicalAddress(of buffer: BufferDescription) throws(Errno) -> UInt64 { throw .noData }

    private func range(
        of buffer: BufferDescription
    ) throws(Errno) -> (start: UInt64, length: UInt64) {
        let file = try open(buffer)
        do throws(Refusal) {
            return try mappings.address(of: buffer.id, file.raw)
        } catch {
            throw error.errno
        }
    }

    func dmaAddress(of buffer: BufferDescription) throws(Errno) -> UInt64 {
        try range(of: buffer).start
    }

    func scatterGather(of buffer: BufferDescription) throws(Errno) -> [(UInt64, UInt64)] {
        do throws(Errno) {
            return [try range(of: buffer)]
        } catch .noData {
            return []
        }
    }

    /// Whoever only counts them does not pin the buffer to its address.
    func segments(of buffer: BufferDescription) throws(Errno) -> Int {
        try status(of: buffer).size > 0 ? 1 : 0
    }
}
