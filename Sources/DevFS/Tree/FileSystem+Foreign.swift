import SystemPackage

/// What the socket is asked to make a buffer of.
enum ForeignMemory: Equatable {
    /// A dma-buf.
    case dmaBuf
    /// Bytes of a shared memory file: a memfd, or a file on a tmpfs or hugetlbfs.
    case sharedMemory(Range<UInt64>)

    var heap: Heap { self == .dmaBuf ? .imported : .user }
}

extension FileSystem {
    /// Makes a buffer of memory that a process has already, without a copy. It belongs to the caller.
    /// - Throws: EOPNOTSUPP where the device has no bus; EINVAL for a descriptor of another kind.
    func take(
        _ memory: ForeignMemory, _ descriptor: CInt, as name: Name, direction: Direction,
        by caller: Caller
    ) throws(Refusal) {
        guard let hardware else {
            throw Refusal(
                .notSupported, "this device has no \(memory.heap.name) heap: it needs the module")
        }
        // The peer may have ended since it connected: its number alone says little of it.
        let traits = BufferTraits(heap: memory.heap, direction: direction)
            .owned(by: Opener(waiting: caller, identifies: true))
        let owner = ownership(of: caller, mode: 0o666)
        if case .sharedMemory(let range) = memory { try Self.check(descriptor, range) }
        let charge = try BufferCharge.taking(of: caller.uid, from: quotas)
        let buffer = try buffers.make(name, traits: traits) { () throws(Refusal) in
            let id =
                switch memory {
                case .dmaBuf:
                    try hardware.importMemory(descriptor, as: name, traits: traits, owner: owner)
                case .sharedMemory(let range):
                    try hardware.pinMemory(
                        descriptor, range, as: name, traits: traits, owner: owner)
                }
            return NewBuffer(id: id)
        }
        buffer.pay(by: charge)
        metrics.allocations.add()
        namesChanged()
    }

    /// Memory that is there without anybody's help: a page of a file on a disk, or of a file system
    /// that its owner serves, could keep the server waiting for ever.
    private static func check(_ descriptor: CInt, _ range: Range<UInt64>) throws(Refusal) {
        guard Syscalls.isSharedMemory(descriptor) else {
            throw .invalid("the descriptor is no shared memory: a memfd, or a file on a tmpfs")
        }
        let size: UInt64
        do throws(Errno) {
            size = try Syscalls.status(of: descriptor).size
        } catch {
            throw Refusal(error, "the descriptor can't be used")
        }
        guard range.upperBound <= size else {
            throw .invalid("the memory has \(size) bytes")
        }
    }
}
