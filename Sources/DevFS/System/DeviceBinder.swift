import Glibc
import SystemPackage

/// Gives PCI devices to the module's driver and back: `driver_override`, as for vfio-pci.
/// Documentation/ABI/testing/sysfs-bus-pci, driver_override
public struct DeviceBinder: Sendable {
    public static let driver = "devfs_dma"
    /// Where it is remembered which driver a device had before.
    static let records = "/run/devfs/bound"

    private let sysfs: Sysfs

    public init(_ sysfs: Sysfs = Sysfs()) {
        self.sysfs = sysfs
    }

    /// All PCI devices but bridges, by address.
    public func devices() -> [PCIDevice] {
        sysfs.names("/sys/bus/pci/devices").compactMap { PCIAddress($0) }
            .compactMap { PCIDevice($0, in: sysfs) }.filter { !$0.isBridge }
    }

    /// Why the device should not be taken from its driver; empty where nothing speaks against it.
    public func uses(of device: PCIDevice) -> [String] { device.uses(sysfs) }

    /// Names of the nodes of the module.
    public func nodes() -> [String] { sysfs.names("/dev/devfs") }

    /// The node of a bound device.
    public static func node(_ address: PCIAddress) -> String { "/dev/devfs/pci-\(address)" }

    // MARK: Binding

    /// Takes a device from its driver and gives it to the module's. Whatever fails, the device has
    /// its former driver again.
    /// - Returns: the device as it was, with its former driver.
    @discardableResult
    public func bind(_ address: PCIAddress, force: Bool = false) throws(SetupError) -> PCIDevice {
        let device = try device(address, for: "binding \(address)")
        if device.driver == Self.driver { return device }
        try examine(device, force: force)
        let path = PCIDevice.path(address)
        let former = Former(driver: device.driver, override: sysfs.text("\(path)/driver_override"))
        do throws(Errno) {
            try remember(former, address)
        } catch {
            throw SetupError("writing \(Self.records)/\(address)", error)
        }
        do throws(Errno) {
            try sysfs.put(Self.driver, "\(path)/driver_override")
            if let driver = former.driver {
                try sysfs.put("\(address)", "/sys/bus/pci/drivers/\(driver)/unbind")
            }
            try sysfs.put("\(address)", "/sys/bus/pci/drivers_probe")
        } catch {
            giveBack(address, former)
            throw SetupError(
                "binding \(address)", error,
                fix: sysfs.exists(path)
                    ? "it has its former driver again: \(former.driver ?? "none")"
                    : "the device vanished meanwhile")
        }
        guard sysfs.target("\(path)/driver") == Self.driver else {
            giveBack(address, former)
            throw SetupError(
                "binding \(address)", .noDevice,
                fix: sysfs.exists(path)
                    ? "the module refused it, and dmesg says why; its driver is again "
                        + "\(former.driver ?? "none")"
                    : "the device vanished meanwhile")
        }
        return device
    }

    /// Bus addresses of the device's buffers have so many bits at the most.
    public func setAddressBits(_ bits: Int, of address: PCIAddress) throws(SetupError) {
        do throws(Errno) {
            try sysfs.put("\(bits)", "\(PCIDevice.path(address))/dma_bits")
        } catch {
            throw SetupError(
                "setting \(address) to \(bits) address bits", error,
                fix: error == .resourceBusy
                    ? "it has buffers: remove them first" : "this machine has no such memory")
        }
    }

    private func device(
        _ address: PCIAddress, for attempt: String
    ) throws(SetupError) -> PCIDevice {
        guard let device = PCIDevice(address, in: sysfs) else {
            throw SetupError(
                attempt, .noSuchFileOrDirectory,
                fix: "there is no such PCI device: devfs list --devices")
        }
        return device
    }

    private func examine(_ device: PCIDevice, force: Bool) throws(SetupError) {
        let attempt = "binding \(device.address)"
        guard sysfs.exists("/sys/bus/pci/drivers/\(Self.driver)") else {
            throw SetupError(attempt, .noDevice, fix: "load the module: modprobe devfs_dma")
        }
        if device.isBridge {
            throw SetupError(attempt, .notSupported, fix: "it is a bridge")
        }
        guard device.hasRegisters else {
            throw SetupError(
                attempt, .notSupported, fix: "the device has no BAR: nothing could reach it")
        }
        let uses = uses(of: device)
        if !uses.isEmpty && !force {
            throw SetupError(
                attempt, .resourceBusy,
                fix: "\(uses.joined(separator: "; ")); --force takes it all the same")
        }
    }

    /// Gives a device back to the driver that it had before it was bound.
    /// - Returns: the driver that it has now, nil for none.
    @discardableResult
    public func unbind(
        _ address: PCIAddress, force: Bool = false
    ) throws(SetupError) -> String? {
        let attempt = "unbinding \(address)"
        let device = try device(address, for: attempt)
        guard device.driver == Self.driver else {
            throw SetupError(
                attempt, .noDevice,
                fix: "its driver is \(device.driver ?? "none"), and not \(Self.driver)")
        }
        if !force, let place = mountpoint(of: Self.node(address)) {
            throw SetupError(
                attempt, .resourceBusy,
                fix: "it is mounted on \(place): unmount it, or --force takes it away")
        }
        let former = former(address)
        do throws(Errno) {
            try sysfs.put("\(address)", "/sys/bus/pci/drivers/\(Self.driver)/unbind")
        } catch {
            throw SetupError(attempt, error)
        }
        giveBack(address, former)
        let path = PCIDevice.path(address)
        let now = sysfs.target("\(path)/driver")
        if let driver = former.driver, now != driver {
            throw SetupError(
                "giving \(address) back to \(driver)", .noDevice,
                fix: "the device is free; \(driver) is not loaded or did not take it")
        }
        return now
    }

    private func mountpoint(of node: String) -> String? {
        let lines = (sysfs.text("/proc/self/mountinfo") ?? "").split(separator: "\n")
        return lines.first { $0.contains(" fuse.devfs \(node) ") }?
            .split(separator: " ").dropFirst(4).first.map(String.init)
    }

    // MARK: What was before

    /// The driver and the override that a device had.
    private struct Former {
        var driver: String?
        var override: String?
    }

    private func remember(_ former: Former, _ address: PCIAddress) throws(Errno) {
        for directory in ["/run/devfs", Self.records] {
            try Syscalls.makeDirectory(sysfs.root + directory, mode: 0o755)
        }
        let file = try Syscalls.open(
            "\(sysfs.root)\(Self.records)/\(address)", flags: O_WRONLY | O_CREAT | O_TRUNC,
            mode: 0o644)
        let text = Array("\(former.driver ?? "")\n\(former.override ?? "")\n".utf8)
        try check { unsafe Glibc.write(file.raw, text, text.count) }
    }

    private func former(_ address: PCIAddress) -> Former {
        let lines = (sysfs.text("\(Self.records)/\(address)") ?? "")
            .split(separator: "\n", omittingEmptySubsequences: false)
        func line(_ index: Int) -> String? {
            lines.indices.contains(index) && !lines[index].isEmpty ? String(lines[index]) : nil
        }
        return Former(driver: line(0), override: line(1))
    }

    /// As it was before, as far as it can be had; the record goes.
    private func giveBack(_ address: PCIAddress, _ former: Former) {
        let path = PCIDevice.path(address)
        // The kernel shows no override as this word, and takes an empty line for none.
        let override = former.override.flatMap { $0 == "(null)" ? nil : $0 } ?? "\n"
        try? sysfs.put(override, "\(path)/driver_override")
        if let now = sysfs.target("\(path)/driver"), now != former.driver {
            try? sysfs.put("\(address)", "/sys/bus/pci/drivers/\(now)/unbind")
        }
        if let driver = former.driver, sysfs.target("\(path)/driver") == nil {
            try? sysfs.put("\(address)", "/sys/bus/pci/drivers/\(driver)/bind")
        }
        try? Syscalls.unlink(
            "\(sysfs.root)\(Self.records)/\(address)", at: Syscalls.currentDirectory)
    }
}
