import CFuse

/// What a device of the module can do.
extension KernelBackend {
    var features: [Feature] {
        // Other drivers come and go.
        let flags = (try? info().flags) ?? flags
        let hasIOMMU = flags & DEVFS_DMA_INFO_IOMMU != 0
        let interrupts = Self.interrupts(flags)
        let noHardware = "\(source) is bound to no device"
        return [
            Feature(
                "dma_addresses", true,
                (hasIOMMU ? "translated by the IOMMU" : "noiommu: a wrong one reaches any memory")
                    + ", up to \(Number.address(mask))"),
            Feature("iommu", hasIOMMU),
            Self.confinement(flags),
            Feature(
                "interrupt_remapping", flags & DEVFS_DMA_INFO_MSI_ISOLATED != 0,
                flags & DEVFS_DMA_INFO_MSI_ISOLATED != 0
                    ? "" : "whoever programs a device can send interrupts of others"),
            Feature("dma_coherent", flags & DEVFS_DMA_INFO_COHERENT != 0),
            Feature(
                "interrupts", interrupts != nil,
                interrupts
                    ?? (flags & DEVFS_DMA_INFO_HARDWARE == 0
                        ? noHardware : "the device has no interrupt that could be used")),
            Feature(
                "regions", !regions.isEmpty,
                !regions.isEmpty
                    ? regions.map(\.name.text).joined(separator: " ")
                    : flags & DEVFS_DMA_INFO_HARDWARE == 0
                        ? noHardware : "the device has no memory of its own"),
        ]
    }

    /// Whether the device reaches no memory but that of its buffers.
    private static func confinement(_ flags: UInt32) -> Feature {
        let name = "confined"
        if flags & DEVFS_DMA_INFO_SHARED != 0 {
            return Feature(name, false, "other drivers have devices of its IOMMU group")
        }
        if flags & DEVFS_DMA_INFO_UNSAFE != 0 {
            return Feature(name, false, "whoever programs it reaches all memory")
        }
        return Feature(
            name, true, flags & DEVFS_DMA_INFO_IOMMU != 0 ? "by its IOMMU" : "it has no registers")
    }
}
