import SystemPackage

/// A PCI device as sysfs tells it.
package struct PCIDevice: Sendable, Equatable {
    package var address: PCIAddress
    /// `8086:10d3`, vendor and device.
    package var id: String
    /// The kernel's class code, such as `0x010802` for NVMe. pci_ids.h
    package var classCode: UInt64
    /// The driver that it has, nil for none.
    package var driver: String?
    /// It has memory or ports that a driver could reach.
    package var hasRegisters: Bool
    /// It has an interrupt of some kind, as far as sysfs tells.
    package var hasInterrupt: Bool

    init?(_ address: PCIAddress, in sysfs: Sysfs) {
        let path = Self.path(address)
        guard let vendor = sysfs.number("\(path)/vendor"),
            let device = sysfs.number("\(path)/device")
        else { return nil }
        func hex(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
        }
        self.address = address
        id = "\(hex(vendor)):\(hex(device))"
        classCode = sysfs.number("\(path)/class") ?? 0
        driver = sysfs.target("\(path)/driver")
        // Six BARs come first; the ROM and a bridge's windows after them are nothing to map.
        let lines = (sysfs.text("\(path)/resource") ?? "").split(separator: "\n").prefix(6)
        hasRegisters = lines.contains { line in
            line.split(separator: " ").last.flatMap { Number.plain($0) } ?? 0 != 0
        }
        hasInterrupt =
            sysfs.number("\(path)/irq") ?? 0 != 0 || !sysfs.names("\(path)/msi_irqs").isEmpty
            || Self.hasMessages(sysfs, path)
    }

    /// Has MSI (5) or MSI-X (17) among the capabilities of its configuration space, which root alone
    /// can read that far. PCI Local Bus Specification 3.0, 6.7
    private static func hasMessages(_ sysfs: Sysfs, _ path: String) -> Bool {
        guard let config = try? Syscalls.contents(of: sysfs.root + "\(path)/config") else {
            return false
        }
        return PCIConfiguration(config).hasMessages
    }

    static func path(_ address: PCIAddress) -> String { "/sys/bus/pci/devices/\(address)" }

    /// Bridges hold the bus together, and are nobody's to drive.
    package var isBridge: Bool { classCode >> 16 == 6 }

    // MARK: Who uses it

    /// Why taking it away would hurt: mounted disks, swap, network interfaces that are up. Empty
    /// where nothing does.
    /// - Parameter asking: opens disks that nothing tells of, which for that moment are nobody
    ///   else's: for one device that is to be taken, not for a list of all.
    func uses(_ sysfs: Sysfs, asking: Bool) -> [String] {
        let here = "/\(address)/"
        var uses: [String] = []
        let mounts = [sysfs.text("/proc/1/mountinfo"), sysfs.text("/proc/self/mountinfo")]
            .compactMap { $0 }.flatMap { $0.split(separator: "\n") }
        let swaps = (sysfs.text("/proc/swaps") ?? "").split(separator: "\n").dropFirst()
            .compactMap { $0.split(separator: " ").first?.split(separator: "\t").first }
        let disks = disks(sysfs)
        var told: Set<String> = []
        for name in disks {
            let number = sysfs.text("/sys/class/block/\(name)/dev") ?? "none"
            let mount = mounts.first { line in
                let fields = line.split(separator: " ")
                guard fields.count > 9, let dash = fields.firstIndex(of: "-") else { return false }
                return fields[2] == number
                    || (dash + 2 < fields.count && fields[dash + 2] == "/dev/\(name)")
            }
            if let mount, let place = mount.split(separator: " ").dropFirst(4).first {
                uses.append("\(name) is mounted on \(place)")
                told.insert(name)
            }
            if swaps.contains("/dev/\(name)") {
                uses.append("\(name) is swap")
                told.insert(name)
            }
        }
        if asking { uses += claims(disks, told, sysfs) }
        for name in sysfs.names("/sys/class/net")
        where sysfs.real("/sys/class/net/\(name)")?.contains(here) == true {
            // IFF_UP of <linux/if.h>
            if (sysfs.number("/sys/class/net/\(name)/flags") ?? 0) & 1 == 1 {
                uses.append("the network interface \(name) is up")
            }
        }
        if sysfs.text("\(Self.path(address))/boot_vga") == "1" {
            uses.append("it is the screen that the machine booted with")
        }
        return uses
    }

    /// Disks that the kernel says are in use, but for those that `told` explains. btrfs, ZFS and the
    /// device mapper mount by other numbers and names than a disk's, and mounts of other namespaces
    /// are not seen from here.
    private func claims(_ disks: [String], _ told: Set<String>, _ sysfs: Sysfs) -> [String] {
        let claimed = disks.filter { sysfs.isClaimed($0) }
        return claimed.compactMap { name in
            let holders = sysfs.names("/sys/class/block/\(name)/holders")
            let partitions = disks.filter { sysfs.exists("/sys/class/block/\(name)/\($0)") }
            // A disk is claimed by way of what it has and of what is made of it: that is said then.
            let said = told.union(claimed)
            guard !told.contains(name), said.isDisjoint(with: holders + partitions) else {
                return nil
            }
            return holders.first.map { "\(name) is part of \($0)" }
                ?? "\(name) is in use by the kernel"
        }
    }

    /// Disks and partitions below the device, and what is made of them (LVM, RAID, dm-crypt).
    private func disks(_ sysfs: Sysfs) -> [String] {
        let here = "/\(address)/"
        var found = sysfs.names("/sys/class/block").filter { name in
            guard let path = sysfs.real("/sys/class/block/\(name)") else { return false }
            if path.contains(here) { return true }
            // A multipath NVMe disk is below a subsystem, which links to its controllers.
            guard let end = path.firstRange(of: "/nvme-subsystem/"),
                let subsystem = path[end.upperBound...].split(separator: "/").first
            else { return false }
            let place = "/sys/class/nvme-subsystem/\(subsystem)"
            return sysfs.names(place).contains {
                $0.hasPrefix("nvme") && sysfs.real("\(place)/\($0)")?.contains(here) == true
            }
        }
        var index = 0
        while index < found.count {
            let holders = sysfs.names("/sys/class/block/\(found[index])/holders")
            found += holders.filter { !found.contains($0) }
            index += 1
        }
        return found
    }
}
