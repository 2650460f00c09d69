import Glibc
import SystemPackage

/// Gives PCI devices to the module's driver or to vfio-pci, and back: `driver_override`.
/// Documentation/ABI/testing/sysfs-bus-pci, driver_override
package struct DeviceBinder: Sendable {
    static let driver = PCIDriver.module.rawValue
    /// Where it is remembered which driver a device had before.
    static let records = "/run/devfs/bound"

    let sysfs: Sysfs

    package init(_ sysfs: Sysfs = Sysfs()) {
        self.sysfs = sysfs
    }

    /// All PCI devices but bridges, by address.
    package func devices() -> [PCIDevice] {
        sysfs.names("/sys/bus/pci/devices").compactMap { PCIAddress($0) }
            .compactMap { PCIDevice($0, in: sysfs) }.filter { !$0.isBridge }
    }

    /// Why the device should not be taken from its driver, as far as it can be told by looking.
    package func uses(of device: PCIDevice) -> [String] { device.uses(sysfs, asking: false) }

    /// Names of the nodes of the module.
    package func nodes() -> [String] { sysfs.names("/dev/devfs") }

    /// The node of a bound device.
    package static func node(_ address: PCIAddress) -> String { "/dev/devfs/pci-\(address)" }

    // MARK: Binding

    /// Takes a device from its driver and gives it to another. Where that fails, its former
    /// driver gets it again, and the error says whether it took it. Signals that end a program come
    /// afterwards.
    /// - Parameters:
    ///   - driver: who gets it.
    ///   - addressBits: address bits that the device drives, 24 to 64; nil for all.
    ///   - unsafe: also a device that no IOMMU confines.
    /// - Returns: the device as it was, with its former driver.
    @discardableResult
    package func bind(
        _ address: PCIAddress, to driver: PCIDriver = .module, force: Bool = false,
        addressBits: Int? = nil, unsafe: Bool = false
    ) throws(SetupError) -> PCIDevice {
        let device = try device(address, for: "binding \(address)")
        if device.driver == driver.rawValue {
            if let addressBits { try setAddressBits(addressBits, of: address) }
            return device
        }
        try examine(device, for: driver, force: force)
        switch driver {
        case .module: try examineSafety(of: device, unsafe: unsafe)
        case .vfio: try examineGroup(of: device)
        }
        try Syscalls.uninterrupted { () throws(SetupError) in
            try inUnsafeMode(unsafe) { () throws(SetupError) in
                try take(device, for: driver, addressBits: addressBits)
            }
        }
        return device
    }

    private func take(
        _ device: PCIDevice, for driver: PCIDriver, addressBits: Int?
    ) throws(SetupError) {
        let address = device.address
        let path = PCIDevice.path(address)
        let former = try remember(device)
        func undone(_ error: SetupError) -> SetupError {
            let state =
                giveBack(address, former)
                ?? "it has its former driver again: \(former.driver ?? "none")"
            return SetupError(
                error.attempt, error.errno,
                hint: error.hint.isEmpty ? state : "\(error.hint); \(state)")
        }
        do throws(Errno) {
            try sysfs.put(driver.rawValue, "\(path)/driver_override")
            if let driver = device.driver {
                try sysfs.put("\(address)", "/sys/bus/pci/drivers/\(driver)/unbind")
            }
            try sysfs.put("\(address)", "/sys/bus/pci/drivers_probe")
        } catch {
            throw undone(SetupError("binding \(address)", error))
        }
        guard sysfs.target("\(path)/driver") == driver.rawValue else {
            throw undone(
                SetupError(
                    "binding \(address)", .noDevice,
                    hint: sysfs.exists(path) ? "the module refused it, and dmesg says why" : ""))
        }
        guard let addressBits else { return }
        do throws(SetupError) {
            try setAddressBits(addressBits, of: address)
        } catch {
            // Buffers could be where the device does not get to.
            throw undone(error)
        }
    }

    /// Bus addresses of the device's buffers have so many bits at the most.
    private func setAddressBits(_ bits: Int, of address: PCIAddress) throws(SetupError) {
        do throws(Errno) {
            try sysfs.put("\(bits)", "\(PCIDevice.path(address))/dma_bits")
        } catch {
            throw SetupError(
                "setting \(address) to \(bits) address bits", error,
                hint: error == .resourceBusy
                    ? "it has buffers: remove them first" : "this machine has no such memory")
        }
    }

    private func device(
        _ address: PCIAddress, for attempt: String
    ) throws(SetupError) -> PCIDevice {
        guard let device = PCIDevice(address, in: sysfs) else {
            throw SetupError(
                attempt, .noSuchFileOrDirectory,
                hint: "there is no such PCI device: devfs list --devices")
        }
        return device
    }

    private func examine(
        _ device: PCIDevice, for driver: PCIDriver, force: Bool
    ) throws(SetupError) {
        let attempt = "binding \(device.address)"
        guard sysfs.exists("/sys/bus/pci/drivers/\(driver.rawValue)") else {
            throw SetupError(
                attempt, .noDevice, hint: "load the module: modprobe \(driver.module)")
        }
        if device.isBridge {
            throw SetupError(attempt, .notSupported, hint: "it is a bridge")
        }
        guard device.hasRegisters else {
            throw SetupError(
                attempt, .notSupported, hint: "the device has no BAR: nothing could reach it")
        }
        let uses = device.uses(sysfs, asking: true)
        if !uses.isEmpty && !force {
            throw SetupError(
                attempt, .resourceBusy,
                hint: "\(uses.joined(separator: "; ")); --force takes it all the same")
        }
    }

    /// Gives a device back to the driver that it had before it was bound, also where binding it was
    /// ended in between. Signals that end a program come afterwards.
    /// - Returns: the driver that it has now, nil for none.
    @discardableResult
    package func unbind(
        _ address: PCIAddress, force: Bool = false
    ) throws(SetupError) -> String? {
        let attempt = "unbinding \(address)"
        let device = try device(address, for: attempt)
        let former = former(of: device)
        let driver = device.driver.flatMap { PCIDriver(rawValue: $0) }
        // Others give devices to vfio-pci, too.
        let isBound = driver == .module || (driver == .vfio && former != nil)
        guard isBound || former != nil else {
            throw SetupError(
                attempt, .noDevice,
                hint: driver == .vfio
                    ? "vfio-pci has it, and it was no devfs bind that gave it to it"
                    : "its driver is \(device.driver ?? "none"), and not \(Self.driver)")
        }
        if let driver, isBound, !force, let place = mountpoint(of: driver.source(of: address)) {
            throw SetupError(
                attempt, .resourceBusy,
                hint: "it is mounted on \(place): unmount it, or --force takes it away")
        }
        return try Syscalls.uninterrupted { () throws(SetupError) in
            do throws(Errno) {
                if let driver, isBound {
                    try sysfs.put(
                        "\(address)", "/sys/bus/pci/drivers/\(driver.rawValue)/unbind")
                }
            } catch {
                throw SetupError(attempt, error)
            }
            let former = former ?? Former()
            if let why = giveBack(address, former) {
                throw SetupError(
                    "giving \(address) back to \(former.driver ?? "no driver")", .noDevice,
                    hint: why)
            }
            return former.driver
        }
    }

    private func mountpoint(of node: String) -> String? {
        let table = MountEntry.parse(Array((sysfs.text("/proc/self/mountinfo") ?? "").utf8))
        return table.first { $0.type == "fuse.devfs" && !$0.isStrangers && $0.source == node }?
            .mountpoint
    }

    // MARK: What was before

    /// The driver and the override that a device had.
    private struct Former {
        var driver: String?
        var override: String?
    }

    /// What the device had before it was taken, now or by somebody who was ended while he did so.
    private func remember(_ device: PCIDevice) throws(SetupError) -> Former {
        if let former = former(of: device) { return former }
        let former = Former(driver: device.driver, override: override(of: device.address))
        do throws(Errno) {
            try record(former, device.address)
        } catch {
            throw SetupError("writing \(Self.records)/\(device.address)", error)
        }
        return former
    }

    private func record(_ former: Former, _ address: PCIAddress) throws(Errno) {
        for directory in ["/run/devfs", Self.records] {
            try Syscalls.makeDirectory(sysfs.root + directory, mode: 0o755)
        }
        let file = try Syscalls.open(
            "\(sysfs.root)\(Self.records)/\(address)", flags: O_WRONLY | O_CREAT | O_TRUNC,
            mode: 0o644)
        try Syscalls.write("\(former.driver ?? "")\n\(former.override ?? "")\n", to: file.raw)
    }

    /// What is recorded of a device that is the module's, or is on its way there or back; nil where
    /// nothing is, or a device of its own driver's has a record from before it was unplugged.
    private func former(of device: PCIDevice) -> Former? {
        let address = device.address
        guard let text = sysfs.text("\(Self.records)/\(address)"),
            Self.isOurs(device.driver) || device.driver == nil
                || Self.isOurs(override(of: address))
        else { return nil }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        func line(_ index: Int) -> String? {
            lines.indices.contains(index) && !lines[index].isEmpty ? String(lines[index]) : nil
        }
        return Former(driver: line(0), override: line(1))
    }

    private static func isOurs(_ driver: String?) -> Bool {
        driver.flatMap { PCIDriver(rawValue: $0) } != nil
    }

    private func override(of address: PCIAddress) -> String? {
        let text = sysfs.text("\(PCIDevice.path(address))/driver_override") ?? ""
        // How the kernel shows none.
        return text.isEmpty || text == "(null)" ? nil : text
    }

    /// As it was before, as far as it can be had. The record goes with that, and stays for another
    /// `unbind` where something is missing.
    /// - Returns: nil where all is as it was, else what is not.
    private func giveBack(_ address: PCIAddress, _ former: Former) -> String? {
        let path = PCIDevice.path(address)
        // What came of each step is looked at below. An empty line is no override.
        try? sysfs.put(former.override ?? "\n", "\(path)/driver_override")
        if let now = sysfs.target("\(path)/driver"), now != former.driver {
            try? sysfs.put("\(address)", "/sys/bus/pci/drivers/\(now)/unbind")
        }
        if let driver = former.driver, sysfs.target("\(path)/driver") == nil {
            try? sysfs.put("\(address)", "/sys/bus/pci/drivers/\(driver)/bind")
        }
        let now = sysfs.target("\(path)/driver")
        let isThere = sysfs.exists(path)
        if isThere && now != former.driver {
            return "its driver is \(now ?? "none") now"
                + (former.driver.map { ": \($0) is not loaded or did not take it" } ?? "")
                + "; devfs unbind \(address) tries again"
        }
        if isThere && override(of: address) != former.override {
            return "its driver_override is \(override(of: address) ?? "none") now"
                + "; devfs unbind \(address) tries again"
        }
        try? Syscalls.unlink(
            "\(sysfs.root)\(Self.records)/\(address)", at: Syscalls.currentDirectory)
        return isThere ? nil : "the device vanished meanwhile"
    }
}
