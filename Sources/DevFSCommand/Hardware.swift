import DevFS

/// A PCI device, as `list --devices` tells it.
struct PCIRecord: Encodable {
    var address: String
    /// `vendor:device`, as lspci -n has them.
    var id: String
    /// The driver that it has.
    var driver: String?
    /// What to mount, where the module or vfio-pci has it.
    var node: String?
    /// Why `devfs bind` would refuse it.
    var uses: [String]

    static let heading = ["ADDRESS", "ID", "DRIVER", "NODE", "USED BY"]

    var row: [String] {
        [
            address, id, driver ?? "-", node ?? "-",
            uses.isEmpty ? "-" : uses.joined(separator: "; "),
        ]
    }

    /// Those that a driver can reach.
    static func all(_ binder: DeviceBinder) -> [PCIRecord] {
        binder.devices().filter(\.hasRegisters).map { device in
            let driver = device.driver.flatMap { PCIDriver(rawValue: $0) }
            return PCIRecord(
                address: device.address.description, id: device.id, driver: device.driver,
                node: driver?.source(of: device.address),
                uses: driver == nil ? binder.uses(of: device) : [])
        }
    }
}

/// The devices that `list --devices` tells of: in memory, of the module, and on the PCI bus.
enum HardwareTable {
    private struct Listing: Encodable {
        var devices: [MemoryDeviceInfo]
        var nodes: [String]
        var pci: [PCIRecord]
    }

    static func show(asJSON: Bool) throws {
        let binder = DeviceBinder()
        let nodes = binder.nodes().map { "/dev/devfs/\($0)" }
        let pci = PCIRecord.all(binder)
        if asJSON {
            return try Output.json(
                Listing(devices: MemoryDevices.list(), nodes: nodes, pci: pci))
        }
        try DeviceTable.show(asJSON: false)
        try Output.table(["NODE"], nodes.map { [$0] })
        try Output.table(PCIRecord.heading, pci.map(\.row))
    }
}
