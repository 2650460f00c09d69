import SystemPackage

/// The backend that needs no kernel module: buffers are files on a tmpfs that outlives the server.
///
/// It has no bus: addresses are ENODATA, memory is coherent, and every heap is the same memory,
/// with the rules of that heap.
final class MemoryBackend: StoreBackend, BuslessBackend {
    let source: String
    let runtimeDirectory: String
    let store: MemoryStore
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
        store = try MemoryStore.open(device, size: size, huge: huge, keeping: used)
        source = device.source
        runtimeDirectory = device.path
    }

    /// A removed buffer that is there still, and its file.
    func openRemoved(_ id: BufferID) throws(Errno) -> RemovedBuffer {
        try store.openRemoved(id)
    }

    var features: [Feature] {
        [
            tmpfsFeature,
            Feature("dma_addresses", false, "the memory device has no bus"),
            Feature("interrupts", false, "the memory device has none"),
            Feature("regions", false, "the memory device has no registers"),
        ]
    }
}
