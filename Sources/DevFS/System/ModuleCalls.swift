import CFuse
import SystemPackage

/// The ioctls of the kernel module, on its node or on a buffer's file, by the names of
/// kmod/uapi/devfs_dma.h, which says what each does and throws.
enum ModuleCalls {
    // MARK: Node

    /// GET_INFO
    static func info(_ node: CInt) throws(Errno) -> devfs_dma_info {
        var info = devfs_dma_info()
        try check { unsafe cfuse_dma_info(node, &info) }
        return info
    }

    /// GET_HEAP
    static func status(_ node: CInt, ofHeap heap: UInt32) throws(Errno) -> devfs_dma_heap {
        var request = devfs_dma_heap()
        request.heap = heap
        try check { unsafe cfuse_dma_heap(node, &request) }
        return request
    }

    /// ALLOC
    static func allocate(
        _ node: CInt, _ request: inout devfs_dma_alloc
    ) throws(Errno) -> Descriptor {
        try check { unsafe cfuse_dma_alloc(node, &request) }
        return Descriptor(owning: request.fd)
    }

    /// PIN of bytes from `offset` of a shared memory file; its descriptor is closed.
    static func pin(
        _ node: CInt, _ request: inout devfs_dma_alloc, _ memory: CInt, from offset: UInt64
    ) throws(Errno) {
        try check { unsafe cfuse_dma_pin(node, &request, memory, offset) }
        _ = Descriptor(owning: request.fd)
    }

    /// IMPORT; its descriptor is closed.
    static func importMemory(
        _ node: CInt, _ request: inout devfs_dma_import
    ) throws(Errno) {
        try check { unsafe cfuse_dma_import(node, &request) }
        _ = Descriptor(owning: request.alloc.fd)
    }

    /// OPEN
    static func open(_ node: CInt, _ request: devfs_dma_open) throws(Errno) -> Descriptor {
        var request = request
        try check { unsafe cfuse_dma_open(node, &request) }
        return Descriptor(owning: request.fd)
    }

    /// LIST; `cursor` is 0 at the start and at the end.
    static func list(
        _ node: CInt, from cursor: inout UInt64
    ) throws(Errno) -> ArraySlice<devfs_dma_buf_info> {
        var room = [devfs_dma_buf_info](repeating: devfs_dma_buf_info(), count: 64)
        var count = UInt32(room.count)
        try check { unsafe cfuse_dma_list(node, &cursor, &room, &count) }
        return room.prefix(Int(count))
    }

    /// FREE
    static func free(_ node: CInt, _ buffer: BufferID) throws(Errno) {
        try check { cfuse_dma_free(node, buffer.number) }
    }

    /// RENAME
    static func rename(_ node: CInt, _ request: devfs_dma_rename) throws(Errno) {
        var request = request
        try check { unsafe cfuse_dma_rename(node, &request) }
    }

    /// RESET
    static func reset(_ node: CInt) throws(Errno) {
        try check { cfuse_dma_reset(node) }
    }

    /// GET_REGION
    static func region(_ node: CInt, _ index: UInt32) throws(Errno) -> devfs_dma_region {
        var request = devfs_dma_region()
        request.index = index
        try check { unsafe cfuse_dma_region(node, &request) }
        return request
    }

    /// OPEN_REGION
    static func open(_ node: CInt, _ request: devfs_dma_open_region) throws(Errno) -> Descriptor {
        var request = request
        try check { unsafe cfuse_dma_open_region(node, &request) }
        return Descriptor(owning: request.fd)
    }

    // MARK: Signals

    /// SIGNAL_CTL
    static func signal(_ node: CInt, _ request: inout devfs_dma_signal) throws(Errno) {
        try check { unsafe cfuse_dma_signal(node, &request) }
    }

    /// SIGNAL_HISTORY: the times of events from `first` on, and which one the first of them is.
    static func history(
        _ node: CInt, of source: UInt32, from first: UInt64
    ) throws(Errno) -> (first: UInt64, times: [UInt64]) {
        var room = [UInt64](repeating: 0, count: Int(DEVFS_DMA_HISTORY))
        var count = UInt32(room.count)
        var start = first
        try check { unsafe cfuse_dma_history(node, source, &start, &room, &count) }
        return (start, Array(room.prefix(Int(count))))
    }

    /// At most so many records of events, by read(2) of the node.
    static func events(_ node: CInt, atMost count: Int) throws(Errno) -> ArraySlice<devfs_dma_event>
    {
        var room = [devfs_dma_event](repeating: devfs_dma_event(), count: count)
        let bytes = try check {
            unsafe room.withUnsafeMutableBytes {
                unsafe CFuse.read(node, $0.baseAddress, $0.count)
            }
        }
        return room.prefix(bytes / MemoryLayout<devfs_dma_event>.stride)
    }

    // MARK: Buffer

    /// BUF_INFO
    static func info(ofBuffer file: CInt) throws(Errno) -> devfs_dma_buf_info {
        var info = devfs_dma_buf_info()
        try check { unsafe cfuse_dma_buf_info(file, &info) }
        return info
    }

    /// BUF_SYNC
    static func sync(_ file: CInt, _ request: devfs_dma_buf_sync) throws(Errno) {
        var request = request
        try check { unsafe cfuse_dma_buf_sync(file, &request) }
    }

    /// BUF_GET_SG: entries from `first` on, and how many there are in all.
    static func scatterGather(
        _ file: CInt, from first: Int
    ) throws(Errno) -> (entries: ArraySlice<devfs_dma_sg>, total: Int) {
        var room = [devfs_dma_sg](repeating: devfs_dma_sg(), count: 256)
        var count = UInt32(room.count)
        var total: UInt32 = 0
        try check { unsafe cfuse_dma_buf_sg(file, UInt64(first), &room, &count, &total) }
        return (room.prefix(Int(count)), Int(total))
    }

    /// BUF_SET_LEASE
    static func setLease(_ file: CInt, _ lease: UInt32, owner: UInt32) throws(Errno) {
        try check { cfuse_dma_set_lease(file, lease, owner) }
    }
}
