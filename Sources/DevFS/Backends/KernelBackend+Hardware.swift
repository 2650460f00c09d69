import CFuse
import Glibc
import SystemPackage

/// What a device of the module has besides memory: registers, and the memory of others.
extension KernelBackend: Hardware {
    var hardware: (any Hardware)? { self }
    var events: any EventDevice { self }

    // MARK: Regions

    static func regions(_ node: CInt, _ count: UInt32) -> [Region] {
        (0..<count).compactMap { index in
            guard let region = try? ModuleCalls.region(node, index),
                let name = Self.name(region.name)
            else { return nil }
            return Region(
                index: Int(index), name: name, size: region.size,
                isWritable: region.flags & UInt32(DEVFS_DMA_REGION_WRITE) != 0)
        }
    }

    func open(_ region: Region, writes: Bool) throws(Errno) -> Descriptor {
        var request = devfs_dma_open_region()
        request.index = UInt32(region.index)
        request.fd_flags = UInt32((writes ? O_RDWR : O_RDONLY) | O_CLOEXEC)
        return try ModuleCalls.open(node.raw, request)
    }

    // MARK: Memory of others

    func importMemory(
        _ dmaBuf: CInt, as name: Name, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> BufferID {
        var request = devfs_dma_import()
        request.alloc = Self.request(name, size: 0, traits: traits, owner: owner)
        request.dmabuf_fd = dmaBuf
        do throws(Errno) {
            try ModuleCalls.importMemory(node.raw, &request)
        } catch {
            throw Refusal(
                error,
                error == .notSupported
                    ? "the memory of that dma-buf is not for the CPU"
                    : why(request.alloc.why) ?? "the descriptor is no dma-buf")
        }
        return BufferID(request.alloc.id)
    }

    func pinMemory(
        _ memory: CInt, _ range: Range<UInt64>, as name: Name, traits: BufferTraits,
        owner: Ownership
    ) throws(Refusal) -> BufferID {
        var request = Self.request(
            name, size: range.upperBound - range.lowerBound, traits: traits, owner: owner)
        do throws(Errno) {
            try ModuleCalls.pin(node.raw, &request, memory, from: range.lowerBound)
        } catch {
            throw Refusal(
                error, why(request.why) ?? "the memory can't be mapped to read and write it")
        }
        return BufferID(request.id)
    }

    // MARK: Reset

    var canReset: Bool { (try? info()).map { $0.flags & DEVFS_DMA_INFO_RESET != 0 } ?? false }

    func reset() throws(Errno) {
        try ModuleCalls.reset(node.raw)
    }

    /// What befell it, as `status` says it; nil for nothing so far.
    private func mishaps() throws(Errno) -> String? {
        guard let source = try sources().first(where: { $0.mishap != nil }) else { return nil }
        let last =
            switch source.mishap {
            case .reset: "it was reset"
            case .error: "PCI reported an error"
            default: "it was without power"
            }
        return "\(source.count) so far; at last \(last)"
    }

    // MARK: What it is

    func facts() throws(Errno) -> [(String, String)] {
        let info = try info()
        func has(_ flag: UInt32) -> Bool { info.flags & flag != 0 }
        var facts = [("kind", has(DEVFS_DMA_INFO_HARDWARE) ? "hardware" : "no hardware")]
        facts.append(("mask", Number.address(info.dma_mask)))
        if let mode = Self.interrupts(info.flags) { facts.append(("irq", mode)) }
        if !regions.isEmpty {
            facts.append(("regions", regions.map(\.name.text).joined(separator: " ")))
        }
        if let mishaps = try mishaps() { facts.append(("error", mishaps)) }
        facts.append(("bounced", "\(info.bounced) pinned buffers are not page aligned"))
        return facts
    }

    /// How interrupts come; nil where the device has none.
    static func interrupts(_ flags: UInt32) -> String? {
        if flags & DEVFS_DMA_INFO_MSIX != 0 { return "MSI-X" }
        if flags & DEVFS_DMA_INFO_MSI != 0 { return "MSI" }
        return flags & DEVFS_DMA_INFO_INTX != 0 ? "INTx" : nil
    }
}
