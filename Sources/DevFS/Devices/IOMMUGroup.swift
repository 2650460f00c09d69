/// The devices that an IOMMU can't tell from one another, as sysfs has them.
/// Documentation/ABI/testing/sysfs-kernel-iommu_groups
struct IOMMUGroup: Sendable {
    static let howToSwitchOn =
        "no IOMMU is before it: switch VT-d or AMD-Vi on in the firmware, and boot with "
        + "intel_iommu=on (Intel)"

    /// `ADDRESS (DRIVER)` of each device of the group that keeps vfio from it.
    let obstacles: [String]

    /// Drivers beside vfio's own that do no DMA by themselves. drivers/vfio/group.c
    private static let harmless: Set = ["vfio-pci", "pci-stub", "pcieport", "shpchp"]

    /// Nil where there is none.
    init?(of address: PCIAddress, in sysfs: Sysfs) {
        let path = "\(PCIDevice.path(address))/iommu_group"
        guard sysfs.exists(path) else { return nil }
        obstacles = sysfs.names("\(path)/devices").compactMap { name in
            guard let driver = sysfs.target("\(path)/devices/\(name)/driver"),
                !Self.harmless.contains(driver)
            else { return nil }
            return "\(name) (\(driver))"
        }
    }
}
