import ArgumentParser
import DevFS
import SystemPackage

struct BindCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bind",
        abstract: "Give a PCI device to a driver that lets it be mounted.",
        discussion: """
            The device is taken from the driver that it has, which `devfs unbind` gives it back to. A \
            device with a mounted disk, swap or a network interface that is up is refused. Prints \
            what to mount.

            The driver is the module, devfs_dma, or with --vfio the kernel's own vfio-pci, which takes \
            an IOMMU and no module of DevFS. Its /dev/vfio/N is root's: who else is to mount the device \
            is given it by chown or a udev rule.

            A device that no IOMMU confines reads and writes all memory for whoever programs it. It \
            is refused without --unsafe-noiommu; with it its node is root's, and the kernel is \
            tainted.

            EXAMPLE
              sudo devfs bind 0000:00:09.0 && sudo devfs mount /dev/devfs/pci-0000:00:09.0 /mnt/dma
              sudo devfs bind --vfio 0000:00:09.0 && sudo devfs mount vfio:0000:00:09.0 /mnt/dev
            """)

    @Argument(
        help: ArgumentHelp("PCI address, 0000:00:09.0 or 00:09.0.", valueName: "address"),
        completion: Completions.addresses(areBound: false))
    var address: PCIAddress

    @Flag(help: "Take it even if it is in use.")
    var force = false

    @Option(
        help: ArgumentHelp(
            "Address bits that the device drives, 24 to 64 (the default).", valueName: "n"))
    var dmaBits: Int?

    @Flag(
        name: .customLong("unsafe-noiommu"),
        help: "Also if no IOMMU confines it: it reaches all memory.")
    var unsafe = false

    @Flag(help: "Give it to vfio-pci, with an IOMMU and without the module.")
    var vfio = false

    func validate() throws {
        guard !vfio || (dmaBits == nil && !unsafe) else {
            throw ValidationError(
                "--vfio has neither --dma-bits, which is its mount's dma_bits=, nor "
                    + "--unsafe-noiommu, as it takes an IOMMU")
        }
        // No machine has memory for fewer, but an IOMMU takes the number, and after one allocation
        // that fails it gives the device none below 4 GiB any more. drivers/iommu/iova.c,
        // max32_alloc_size
        guard dmaBits.map({ (24...64).contains($0) }) ?? true else {
            throw ValidationError("--dma-bits is 24 to 64")
        }
    }

    func run() throws {
        let binder = DeviceBinder()
        let driver: PCIDriver = vfio ? .vfio : .module
        let before = try binder.bind(
            address, to: driver, force: force, addressBits: dmaBits, unsafe: unsafe)
        if !before.hasInterrupt {
            Terminal.complain("\(address) has no interrupt: its signals/ will have none")
        }
        let others = vfio ? binder.obstacles(of: address) : []
        if !others.isEmpty {
            Terminal.complain(
                "\(address) can be mounted once these of its IOMMU group are bound, too, or have no "
                    + "driver: \(others.joined(separator: ", "))")
        }
        try Output.line(driver.source(of: address))
    }
}

struct UnbindCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unbind",
        abstract: "Give a PCI device back to the driver that it had before.",
        discussion: """
            A device that is mounted is refused: unmount it first. With --force what is open and \
            mapped of it becomes ENODEV and SIGBUS, and the mount says `gone`. The buffers of a device \
            go with it.

            EXAMPLE
              sudo devfs unbind 0000:00:09.0
            """)

    @Argument(
        help: ArgumentHelp("PCI address, 0000:00:09.0 or 00:09.0.", valueName: "address"),
        completion: Completions.addresses(areBound: true))
    var address: PCIAddress

    @Flag(help: "Take it even if it is in use.")
    var force = false

    func run() throws {
        try DeviceBinder().unbind(address, force: force)
        // Those that root's server kept in memory for the next mount.
        let source = PCIDriver.vfio.source(of: address)
        do throws(SetupError) {
            try MemoryDevices.remove(source)
        } catch  where error.errno == .noSuchFileOrDirectory {
            // It had none.
        } catch  where error.errno == .resourceBusy {
            Terminal.complain(
                "its buffers are in use: once they are not, devfs device remove \(source)")
        } catch {
            Terminal.complain("its buffers stay: \(error)")
        }
    }
}

extension PCIAddress: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}
