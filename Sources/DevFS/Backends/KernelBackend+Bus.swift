import CFuse
import SystemPackage

/// A buffer as the device has it: what it sees of it, and where.
extension KernelBackend {
    func sync(
        _ buffer: BufferDescription, _ range: Range<UInt64>, direction: Direction,
        for target: SyncTarget
    ) throws(Errno) {
        let file = try open(buffer)
        try sync(file.raw, range, direction: direction, for: target)
    }

    func sync(
        _ descriptor: CInt, _ range: Range<UInt64>, direction: Direction, for target: SyncTarget
    ) throws(Errno) {
        var request = devfs_dma_buf_sync()
        request.offset = range.lowerBound
        request.length = UInt64(range.count)
        request.flags = UInt32(
            target == .cpu ? DEVFS_DMA_SYNC_FOR_CPU : DEVFS_DMA_SYNC_FOR_DEVICE)
        request.direction = UInt32(direction.rawValue)
        try ModuleCalls.sync(descriptor, request)
    }

    // MARK: Addresses

    private func info(of buffer: BufferDescription) throws(Errno) -> devfs_dma_buf_info {
        let file = try open(buffer)
        return try ModuleCalls.info(ofBuffer: file.raw)
    }

    func dmaAddress(of buffer: BufferDescription) throws(Errno) -> UInt64 {
        let info = try info(of: buffer)
        guard info.flags & UInt32(DEVFS_DMA_BUF_DMA_ADDR) != 0 else { throw .noData }
        return info.dma_addr
    }

    func physicalAddress(of buffer: BufferDescription) throws(Errno) -> UInt64 {
        let info = try info(of: buffer)
        guard info.flags & UInt32(DEVFS_DMA_BUF_PHYS_ADDR) != 0 else { throw .noData }
        return info.phys_addr
    }

    func segments(of buffer: BufferDescription) throws(Errno) -> Int {
        Int(try info(of: buffer).nents)
    }

    func scatterGather(of buffer: BufferDescription) throws(Errno) -> [(UInt64, UInt64)] {
        let file = try open(buffer)
        var all: [(UInt64, UInt64)] = []
        while true {
            let (entries, total) = try ModuleCalls.scatterGather(file.raw, from: all.count)
            all += entries.map { ($0.dma_addr, $0.length) }
            if entries.isEmpty || all.count >= total { return all }
        }
    }

    func isCoherent(_ buffer: BufferDescription) throws(Errno) -> Bool {
        try info(of: buffer).flags & UInt32(DEVFS_DMA_BUF_COHERENT) != 0
    }

    func numaNode(of buffer: BufferDescription) throws(Errno) -> Int {
        Int(try info(of: buffer).numa_node)
    }
}
