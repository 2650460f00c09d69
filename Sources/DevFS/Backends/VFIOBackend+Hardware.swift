import SystemPackage

/// What a device that vfio drives has besides memory.
extension VFIOBackend {
    var hardware: (any Hardware)? {
        guard let device, let signals else { return nil }
        return VFIOHardware(device: device, signals: signals, mappings: mappings)
    }

    var features: [Feature] {
        let noDevice = "there is no device"
        let last = Number.address(mappings.last)
        let interrupts = signals?.kind?.name
        let isIsolated = Sysfs().text(Self.unsafeInterrupts) != "Y"
        return [
            tmpfsFeature,
            Feature("dma_addresses", true, "translated by the IOMMU, up to \(last)"),
            Feature("iommu", true, mappings.iommu.kind),
            Feature("confined", true, "by its IOMMU"),
            Feature(
                "interrupt_remapping", isIsolated,
                isIsolated ? "" : "whoever programs a device can send interrupts of others"),
            Feature("dma_coherent", true),
            Feature(
                "interrupts", interrupts != nil,
                interrupts ?? "the device has no interrupt that could be used"),
            Feature(
                "regions", device != nil,
                device?.regions.map(\.name.text).joined(separator: " ") ?? noDevice),
            Feature(
                "region_mmap", false,
                "a mapping of a region would be one of the whole device: read and write it"),
        ]
    }

    private static let unsafeInterrupts =
        "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
}

/// The device's registers and interrupts, without what keeps its memory.
private struct VFIOHardware: Hardware {
    let device: VFIODevice
    let signals: VFIOSignals
    let mappings: BufferMappings

    var events: any EventDevice { signals }
    var regions: [Region] { device.regions }

    func port(of region: Region) throws(Errno) -> (any RegionPort)? {
        try device.port(of: region)
    }

    /// A descriptor of a region is one of the whole device.
    func open(_ region: Region, writes: Bool) throws(Errno) -> Descriptor { throw .notSupported }

    func importMemory(
        _ dmaBuf: CInt, as name: Name, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> BufferID {
        throw Refusal(.notSupported, "vfio takes no memory of other drivers")
    }

    func pinMemory(
        _ memory: CInt, _ range: Range<UInt64>, as name: Name, traits: BufferTraits,
        owner: Ownership
    ) throws(Refusal) -> BufferID {
        throw Refusal(.notSupported, "on vfio a buffer is made, and not taken from a program")
    }

    var canReset: Bool { device.canReset }

    func reset() throws(Errno) { try device.reset() }

    func facts() throws(Errno) -> [(String, String)] {
        var facts = [
            ("kind", "hardware"), ("mask", Number.address(mappings.last)),
            ("iommu", "\(mappings.iommu.kind), group \(device.group)"),
        ]
        if let left = mappings.iommu.entries { facts.append(("entries", "\(left) mappings left")) }
        if let kind = signals.kind { facts.append(("irq", kind.name)) }
        facts.append(("regions", regions.map(\.name.text).joined(separator: " ")))
        facts.append(
            ("reset", canReset ? "at each mount and unmount" : "the device has none"))
        return facts
    }
}
