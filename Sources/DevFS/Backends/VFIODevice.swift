import CFuse
import Glibc
import Synchronization
import SystemPackage

/// A device of the kernel's driver vfio-pci, open: nobody else has it.
///
/// The kernel resets it when it is opened, and again when it is closed, where the device has a reset.
final class VFIODevice: Sendable {
    /// A region as it is reached by the device's descriptor.
    struct Place: Sendable {
        var index: UInt32
        var offset: UInt64
        var canMap: Bool
        /// Bytes that nothing is written to.
        var guarded: Range<UInt64>?
        /// All that is written to, where that is not all.
        var writable: [Range<UInt64>]?
    }

    private struct Held {
        var device: SharedDescriptor
        var mappings: [UInt32: RegisterMapping] = [:]
    }

    let address: PCIAddress
    let space: any DMASpace
    /// Its IOMMU group.
    let group: String
    let regions: [Region]
    private let places: [Place]
    let canReset: Bool
    /// Nil once it is given back: it was unplugged, or its driver is wanted for another one.
    private let held: Mutex<Held?>

    init(_ address: PCIAddress, sysfs: Sysfs = Sysfs()) throws(SetupError) {
        let attempt = "opening \(MemoryDevice.source(of: address))"
        self.address = address
        group = try Self.group(of: address, sysfs, attempt)
        let (space, device) = try Self.open(address, group, sysfs, attempt)
        self.space = space
        let raw = device.raw
        held = Mutex(Held(device: device))
        do throws(Errno) {
            canReset = try VFIOCalls.canReset(raw)
            (regions, places) = try Self.regions(raw)
            guard let config = places.last else { throw .noDevice }
            try Self.makeMaster(raw, config.offset)
        } catch {
            throw SetupError(attempt, error, hint: "asking the device what it is")
        }
    }

    // MARK: Opening

    private static func group(
        of address: PCIAddress, _ sysfs: Sysfs, _ attempt: String
    ) throws(SetupError) -> String {
        let path = PCIDevice.path(address)
        guard sysfs.exists(path) else {
            throw SetupError(
                attempt, .noSuchFileOrDirectory,
                hint: "there is no such PCI device: devfs list --devices")
        }
        guard let group = sysfs.target("\(path)/iommu_group") else {
            throw SetupError(attempt, .noDevice, hint: IOMMUGroup.howToSwitchOn)
        }
        let driver = sysfs.target("\(path)/driver")
        guard driver == PCIDriver.vfio.rawValue else {
            throw SetupError(
                attempt, .noDevice,
                hint: "its driver is \(driver ?? "none"): devfs bind --vfio \(address)")
        }
        return group
    }

    /// By iommufd where the kernel has both of its files and they can be opened, else by the group.
    private static func open(
        _ address: PCIAddress, _ group: String, _ sysfs: Sysfs, _ attempt: String
    ) throws(SetupError) -> (any DMASpace, SharedDescriptor) {
        let own = sysfs.names("\(PCIDevice.path(address))/vfio-dev").first
        if let own, sysfs.exists("/dev/iommu"), sysfs.exists("/dev/vfio/devices/\(own)") {
            do throws(Errno) {
                let device = try Syscalls.open("/dev/vfio/devices/\(own)", flags: O_RDWR)
                let iommufd = try Syscalls.open("/dev/iommu", flags: O_RDWR)
                let space = try IOMMUFDSpace(iommufd, for: device.raw)
                return (space, SharedDescriptor(device))
            } catch .permissionDenied {
                // He may have been given the group's.
            } catch {
                throw SetupError(
                    attempt, error,
                    hint: hint(error, group, "/dev/vfio/devices/\(own)", address, sysfs))
            }
        }
        let node = "/dev/vfio/\(group)"
        do throws(Errno) {
            let container = try Syscalls.open("/dev/vfio/vfio", flags: O_RDWR)
            guard TypeOneSpace.isUsable(container.raw) else { throw .notSupported }
            let opened = try Syscalls.open(node, flags: O_RDWR)
            guard try TypeOneSpace.isViable(opened.raw) else { throw .notPermitted }
            let space = try TypeOneSpace(container: container, group: opened)
            return (space, SharedDescriptor(try space.device("\(address)")))
        } catch {
            throw SetupError(attempt, error, hint: hint(error, group, node, address, sysfs))
        }
    }

    private static func hint(
        _ error: Errno, _ group: String, _ node: String, _ address: PCIAddress, _ sysfs: Sysfs
    ) -> String {
        let others = IOMMUGroup(of: address, in: sysfs)?.obstacles ?? []
        switch error {
        case .noSuchFileOrDirectory: return "load the module: modprobe vfio-pci"
        case .notSupported:
            return "the kernel has no type 1 IOMMU for it: modprobe vfio_iommu_type1"
        case .permissionDenied:
            return "\(node) is not this user's: sudo chown $USER \(node), or a udev rule"
        case .resourceBusy:
            return "another program has \(node), or a device of its group: fuser -v \(node)"
        case .notPermitted where !others.isEmpty:
            return "devices of its IOMMU group \(group) have other drivers: "
                + "\(others.joined(separator: ", ")); devfs bind --vfio takes each"
        case .notPermitted:
            return "the IOMMU does not remap interrupts, so that the device could send those of "
                + "others: the parameter allow_unsafe_interrupts of vfio_iommu_type1 permits that"
        default: return ""
        }
    }

    // MARK: Regions

    /// BARs of memory and the configuration space, which comes last. The ROM and I/O ports are left out.
    private static func regions(_ device: CInt) throws(Errno) -> ([Region], [Place]) {
        let config = try VFIOCalls.region(device, UInt32(CFUSE_VFIO_CONFIG))
        let space = PCIConfiguration(
            try Syscalls.bytes(of: device, at: config.offset, count: Int(clamping: config.size)))
        var regions: [Region] = []
        var places: [Place] = []
        func add(_ name: String, _ found: cfuse_vfio_region, _ place: Place) {
            guard let name = Name(name) else { return }
            regions.append(
                Region(
                    index: regions.count, name: name, size: found.size,
                    isWritable: found.is_writable))
            places.append(place)
        }
        for bar in 0..<6 {
            let found = try VFIOCalls.region(device, UInt32(bar))
            guard found.size > 0, !space.isPorts(bar) else { continue }
            let table = space.messageTable
            add(
                "bar\(bar)", found,
                Place(
                    index: UInt32(bar), offset: found.offset, canMap: found.can_map,
                    guarded: table?.bar == bar ? table?.range : nil))
        }
        add(
            "config", config,
            Place(
                index: UInt32(CFUSE_VFIO_CONFIG), offset: config.offset, canMap: false,
                writable: space.writable))
        return (regions, places)
    }

    /// vfio-pci gives it without: what it then does reaches buffers alone.
    private static func makeMaster(_ device: CInt, _ config: UInt64) throws(Errno) {
        let at = config + UInt64(PCIConfiguration.command)
        var command = try Syscalls.bytes(of: device, at: at, count: 2)
        guard command.count == 2 else { throw .ioError }
        command[0] |= PCIConfiguration.busMaster
        _ = unsafe try Syscalls.write(command.span.bytes, to: device, at: at)
    }

    func port(of region: Region) throws(Errno) -> VFIOPort {
        guard places.indices.contains(region.index) else { throw .noDevice }
        return VFIOPort(self, places[region.index], size: region.size)
    }

    // MARK: Use

    /// - Throws: ENODEV once it was given back.
    func descriptor() throws(Errno) -> SharedDescriptor {
        guard let device = held.withLock({ $0?.device }) else { throw .noDevice }
        return device
    }

    /// The registers of a region in this process; made when they are first asked for.
    func mapping(of place: Place, size: UInt64) throws(Errno) -> RegisterMapping {
        if let found = held.withLock({ $0?.mappings[place.index] }) { return found }
        let made = try RegisterMapping(descriptor().raw, offset: place.offset, size: size)
        return try held.withLock { (held) throws(Errno) in
            if held == nil { throw .noDevice }
            if let found = held?.mappings[place.index] { return found }
            held?.mappings[place.index] = made
            return made
        }
    }

    func reset() throws(Errno) {
        guard canReset else { throw .notSupported }
        try VFIOCalls.reset(try descriptor().raw)
    }

    /// Gives it back, be it for good: who waits to take it away goes on once the last access ended.
    func letGo() { held.withLock { $0 = nil } }
}
