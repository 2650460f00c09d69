import ArgumentParser
import DevFS

struct DeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device",
        abstract: "List and remove memory devices.",
        discussion: """
            A memory device keeps its buffers on tmpfs, mounted or not, until it is removed or the \
            machine is switched off.

            EXAMPLE
              devfs device list
            """,
        subcommands: [DeviceListCommand.self, DeviceRemoveCommand.self])
}

struct DeviceListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the memory devices of root and of this user.",
        discussion: """
            EXAMPLE
              devfs device list --json | jq -r '.devices[] | select(.alive | not) | .name'
            """,
        aliases: ["ls"])

    @Flag(help: "Print JSON: {\"devices\": [...]}.")
    var json = false

    func run() throws { try DeviceTable.show(asJSON: json) }
}

struct DeviceRemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Delete memory devices with all their buffers.",
        discussion: """
            A device that is mounted is refused, with `Device or resource busy`: unmount it first. So \
            is one of which a program has a buffer open or mapped: end that program first.

            EXAMPLE
              devfs device remove memory:lab
            """,
        aliases: ["rm"])

    @Argument(
        help: ArgumentHelp("The device, `memory:NAME` or NAME.", valueName: "device"),
        completion: Completions.memoryDevices)
    var devices: [String]

    func run() throws {
        var status: ExitStatus?
        for device in devices {
            let name = device.hasPrefix("memory:") ? String(device.dropFirst(7)) : device
            do {
                try MemoryDevices.remove(name)
            } catch {
                Terminal.complain(error.description)
                let isMissing = error.errno == .noSuchFileOrDirectory
                status = isMissing && status != .failed ? .notFound : .failed
            }
        }
        if let status { throw Failure.silent(status) }
    }
}

/// The table of `device list` and `list --devices`.
enum DeviceTable {
    private struct Listing: Encodable {
        var devices: [MemoryDeviceInfo]
    }

    static func show(asJSON: Bool) throws {
        let devices = MemoryDevices.list().sorted { ($0.name, $0.path) < ($1.name, $1.path) }
        if asJSON { return try Output.json(Listing(devices: devices)) }
        try Output.table(
            ["NAME", "SIZE", "USED", "BUFFERS", "MOUNTED"],
            devices.map { device in
                [
                    device.name, Output.size(device.size), Output.size(device.used),
                    String(device.buffers), place(of: device),
                ]
            })
    }

    private static func place(of device: MemoryDeviceInfo) -> String {
        guard let mountpoint = device.mountpoint else { return "-" }
        return device.alive ? mountpoint : "\(mountpoint) (dead)"
    }
}
