import SystemPackage

/// What the module asks of a device before it is given to user space, as sysfs tells it: an IOMMU
/// confines it to the memory of its buffers, or the administrator wants it all the same.
extension DeviceBinder {
    /// The module's parameter, named as vfio's. kmod/safety.c
    static let unsafeMode = "/sys/module/\(driver)/parameters/enable_unsafe_noiommu_mode"

    /// Why whoever programs the device reaches all memory; nil where an IOMMU confines it.
    package func danger(of device: PCIDevice) -> String? {
        let group = "\(PCIDevice.path(device.address))/iommu_group"
        // The group that vfio makes up is none. drivers/vfio/group.c, vfio_noiommu_group_alloc()
        guard sysfs.exists(group), sysfs.text("\(group)/name") != "vfio-noiommu" else {
            return "no IOMMU is before it"
        }
        if sysfs.text("\(group)/type") == "identity" {
            return "its IOMMU translates nothing (iommu=pt)"
        }
        let others = sysfs.names("\(group)/devices").filter { name in
            let other = "\(group)/devices/\(name)"
            guard name != "\(device.address)", let driver = sysfs.target("\(other)/driver") else {
                return false
            }
            return driver != Self.driver && !Self.isPCIBridge(sysfs.number("\(other)/class") ?? 0)
        }
        if others.isEmpty { return nil }
        return "other drivers have devices of its IOMMU group: \(others.joined(separator: " "))"
    }

    /// PCI-to-PCI and CardBus bridges, which have no memory of their own in the group. pci_ids.h
    private static func isPCIBridge(_ classCode: UInt64) -> Bool {
        [0x0604, 0x0607].contains(classCode >> 8)
    }

    /// The module binds what no IOMMU confines; nil where it is not loaded, or has no such rule.
    package var isUnsafeModeOn: Bool? { sysfs.text(Self.unsafeMode).map { $0 == "Y" } }

    /// The names of nodes whose devices nothing confines.
    package func unsafeNodes() -> [String] {
        sysfs.names("/sys/class/misc").filter {
            $0.hasPrefix("devfs!") && sysfs.text("/sys/class/misc/\($0)/unsafe") == "1"
        }.map { String($0.dropFirst("devfs!".count)) }
    }

    /// The machine has an IOMMU that is switched on.
    package var hasIOMMU: Bool { !sysfs.names("/sys/class/iommu").isEmpty }

    /// What of the device's IOMMU group keeps vfio from it: `ADDRESS (DRIVER)` each.
    package func obstacles(of address: PCIAddress) -> [String] {
        IOMMUGroup(of: address, in: sysfs)?.obstacles ?? []
    }

    /// vfio takes no device without an IOMMU, and says no more than that it does not.
    func examineGroup(of device: PCIDevice) throws(SetupError) {
        let group = "\(PCIDevice.path(device.address))/iommu_group"
        guard sysfs.exists(group) else {
            throw SetupError(
                "binding \(device.address)", .noDevice, hint: IOMMUGroup.howToSwitchOn)
        }
    }

    /// `/dev/vfio/N` of its IOMMU group, which a user has to own who mounts it.
    package func groupNode(of address: PCIAddress) -> String? {
        sysfs.target("\(PCIDevice.path(address))/iommu_group").map { "/dev/vfio/\($0)" }
    }

    private var isLockedDown: Bool {
        let text = sysfs.text("/sys/kernel/security/lockdown") ?? "[none]"
        return !text.contains("[none]")
    }

    /// Says what the module would refuse before the device has lost its driver.
    func examineSafety(of device: PCIDevice, unsafe: Bool) throws(SetupError) {
        guard let isOn = isUnsafeModeOn, let danger = danger(of: device) else { return }
        let attempt = "binding \(device.address)"
        if isLockedDown {
            throw SetupError(
                attempt, .notPermitted, hint: "\(danger), and the kernel is locked down")
        }
        if !isOn && !unsafe {
            throw SetupError(
                attempt, .notPermitted,
                hint: "\(danger), so that whoever programs it reaches all memory; "
                    + "--unsafe-noiommu binds it all the same, for root alone")
        }
    }

    /// Runs `body` while the module binds what no IOMMU confines.
    func inUnsafeMode(
        _ unsafe: Bool, _ body: () throws(SetupError) -> Void
    ) throws(SetupError) {
        guard unsafe, isUnsafeModeOn == false else { return try body() }
        do throws(Errno) {
            try sysfs.put("Y", Self.unsafeMode)
        } catch {
            throw SetupError("writing \(Self.unsafeMode)", error)
        }
        // As it was, for whatever is bound next.
        defer { try? sysfs.put("N", Self.unsafeMode) }
        try body()
    }
}
