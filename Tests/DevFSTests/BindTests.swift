import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

/// A machine in a directory: sysfs, /proc, /dev and /run as files, and a kernel that does what it
/// is told by them.
private final class FakeMachine: Sendable {
    let root: String
    /// What the kernel does other than usual.
    private struct Whims {
        /// Drivers that take no device.
        var refusing: Set<String> = []
        /// Devices that vanish when they are unbound.
        var vanishing: Set<String> = []
        /// Block devices that somebody has for his own.
        var claimed: Set<String> = []
        /// Steps that a signal could have ended.
        var interruptible: [String] = []
    }
    private let whims = Mutex(Whims())
    static let unsafeMode = "sys/module/devfs_dma/parameters/enable_unsafe_noiommu_mode"

    init() throws {
        let base = "/dev/shm/devfs-unit-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        root = base
        for place in [
            "sys/bus/pci/devices", "sys/bus/pci/drivers", "sys/class/block", "sys/class/net",
            "sys/devices", "sys/class/misc", "sys/kernel/security",
            "sys/module/devfs_dma/parameters", "proc/self", "proc/1", "dev/devfs", "run",
        ] { try make(place) }
        try put(Self.unsafeMode, "N\n")
        try put("proc/self/mountinfo", "")
        try put("proc/swaps", "Filename\tType\n")
    }

    deinit { _ = Spawn.run(["rm", "-rf", root]) }

    func make(_ place: String) throws {
        var path = root
        try Syscalls.makeDirectory(path, mode: 0o755)
        for part in place.split(separator: "/") {
            path += "/\(part)"
            try Syscalls.makeDirectory(path, mode: 0o755)
        }
    }

    func put(_ place: String, _ text: String) throws(Errno) {
        let file = try Syscalls.open(
            "\(root)/\(place)", flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        let bytes = Array(text.utf8)
        try check { unsafe Glibc.write(file.raw, bytes, bytes.count) }
    }

    func link(_ place: String, to target: String) throws(Errno) {
        let (path, full) = ("\(root)/\(place)", "\(root)/\(target)")
        try check { unsafe symlink(full, path) }
    }

    func text(_ place: String) -> String? { sysfs.text("/\(place)") }

    func add(
        driver name: String? = nil, _ address: String, registers: Bool = true,
        classCode: String = "0x00ff00", group: String? = "DMA"
    ) throws {
        let place = "sys/devices/pci0000:00/\(address)"
        try make(place)
        for (file, value) in [
            ("vendor", "0x1234"), ("device", "0x11e8"), ("class", classCode), ("irq", "11"),
            ("driver_override", "(null)\n"),
            ("resource", registers ? "0x1000 0x1fff 0x40200\n0x0 0x0 0x0\n" : "0x0 0x0 0x0\n"),
        ] { try put("\(place)/\(file)", value) }
        if let group {
            try make("\(place)/iommu_group/devices")
            try put("\(place)/iommu_group/type", "\(group)\n")
            try link("\(place)/iommu_group/devices/\(address)", to: place)
        }
        try link("sys/bus/pci/devices/\(address)", to: place)
        if let name {
            try make("sys/bus/pci/drivers/\(name)")
            try link("\(place)/driver", to: "sys/bus/pci/drivers/\(name)")
        }
    }

    func refuse(by driver: String) { whims.withLock { _ = $0.refusing.insert(driver) } }
    func accept(by driver: String) { whims.withLock { _ = $0.refusing.remove(driver) } }
    func vanish(_ address: String) { whims.withLock { _ = $0.vanishing.insert(address) } }
    func claim(_ disks: [String]) { whims.withLock { $0.claimed.formUnion(disks) } }
    var interruptible: [String] { whims.withLock { $0.interruptible } }

    var sysfs: Sysfs {
        Sysfs(
            root: root,
            write: { [self] text, path throws(Errno) in
                if !Self.areSignalsBlocked { whims.withLock { $0.interruptible.append(path) } }
                try obey(text, path)
            },
            claimed: { [self] path in
                let disk = String(path.dropFirst("\(root)/dev/".utf8.count))
                return whims.withLock { $0.claimed.contains(disk) }
            })
    }
    private static var areSignalsBlocked: Bool {
        var blocked = sigset_t()
        unsafe pthread_sigmask(SIG_BLOCK, nil, &blocked)
        return [SIGHUP, SIGINT, SIGTERM].allSatisfy { unsafe sigismember(&blocked, $0) == 1 }
    }
    var binder: DeviceBinder { DeviceBinder(sysfs) }

    /// What drivers/pci does.
    private func obey(_ text: String, _ path: String) throws(Errno) {
        let place = String(path.dropFirst(root.utf8.count + 1))
        let parts = place.split(separator: "/").map(String.init)
        let device = "sys/devices/pci0000:00/\(text)"
        func attach(_ driver: String) throws(Errno) {
            guard !whims.withLock({ $0.refusing.contains(driver) }) else { throw .noDevice }
            // kmod/safety.c
            let group = sysfs.text("/\(device)/iommu_group/type")
            guard
                driver != "devfs_dma" || group == "DMA" || group == "DMA-FQ"
                    || sysfs.text("/\(Self.unsafeMode)") == "Y"
            else { throw .notPermitted }
            try link("\(device)/driver", to: "sys/bus/pci/drivers/\(driver)")
        }
        switch parts.last {
        case "driver_override": try put(place, text)
        case "unbind":
            guard sysfs.target("/\(device)/driver") == parts[4] else { throw .noDevice }
            try Syscalls.unlink("\(root)/\(device)/driver", at: Syscalls.currentDirectory)
            if whims.withLock({ $0.vanishing.contains(text) }) {
                try Syscalls.unlink(
                    "\(root)/sys/bus/pci/devices/\(text)", at: Syscalls.currentDirectory)
            }
        case "bind": try attach(parts[4])
        case "dma_bits": if text == "8" { throw .ioError }
        case "enable_unsafe_noiommu_mode": try put(place, "\(text)\n")
        case "drivers_probe":
            guard sysfs.exists("/sys/bus/pci/devices/\(text)") else { throw .noDevice }
            // A driver that fails is in dmesg alone.
            if let driver = sysfs.text("/\(device)/driver_override"), driver != "(null)" {
                try? attach(driver)
            }
        default: throw .noSuchFileOrDirectory
        }
    }
}

@Suite("Binding PCI devices", .timeLimit(.minutes(1)))
struct BindTests {
    private let machine: FakeMachine
    private let address: PCIAddress

    init() throws {
        machine = try FakeMachine()
        address = try #require(PCIAddress("0000:00:09.0"))
        try machine.make("sys/bus/pci/drivers/devfs_dma")
        try machine.add(driver: "e1000e", "0000:00:09.0")
    }

    private func driver(_ address: String = "0000:00:09.0") -> String? {
        machine.sysfs.target("/sys/bus/pci/devices/\(address)/driver")
    }

    private func refusal(
        _ address: PCIAddress? = nil, force: Bool = false, unsafe: Bool = false
    ) -> SetupError? {
        do throws(SetupError) {
            try machine.binder.bind(address ?? self.address, force: force, unsafe: unsafe)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        ("0000:00:09.0", "0000:00:09.0"), ("00:09.0", "0000:00:09.0"),
        ("10000:E1:1F.7", "10000:e1:1f.7"),
    ])
    func `an address is taken with and without its domain`(text: String, full: String) {
        #expect(PCIAddress(text)?.description == full)
    }

    @Test(arguments: [
        "", "09.0", "0:0:9.0", "0000:00:09", "0000:00:09.10", "0000:00:0g.0", "../00:09.0",
        "0000:00:09.0/", "0000::09.0", "0000:00:00:09.0",
    ])
    func `what is no address is refused`(text: String) {
        #expect(PCIAddress(text) == nil)
    }

    @Test func `a device goes to the module's driver and back to its own`() throws {
        let before = try machine.binder.bind(address)
        #expect(before.driver == "e1000e" && before.id == "1234:11e8" && before.hasInterrupt)
        #expect(driver() == "devfs_dma")
        #expect(machine.text("run/devfs/bound/0000:00:09.0") == "e1000e")
        // Once more is nothing.
        #expect(try machine.binder.bind(address).driver == "devfs_dma")
        #expect(try machine.binder.unbind(address) == "e1000e")
        #expect(driver() == "e1000e")
        #expect(machine.text("sys/bus/pci/devices/0000:00:09.0/driver_override") == "")
        #expect(machine.sysfs.names("/run/devfs/bound") == [])
    }

    @Test func `a device without a driver has none again afterwards`() throws {
        try machine.add("0000:00:0a.0")
        let other = try #require(PCIAddress("0000:00:0a.0"))
        #expect(try machine.binder.bind(other).driver == nil)
        #expect(driver("0000:00:0a.0") == "devfs_dma")
        #expect(try machine.binder.unbind(other) == nil)
        #expect(driver("0000:00:0a.0") == nil)
    }

    @Test func `what the module refuses has its former driver again`() throws {
        machine.refuse(by: "devfs_dma")
        let error = try #require(refusal())
        #expect(error.errno == .noDevice && error.hint.contains("dmesg"))
        #expect(error.hint.contains("it has its former driver again: e1000e"))
        #expect(driver() == "e1000e" && machine.sysfs.names("/run/devfs/bound") == [])
        #expect(machine.text("sys/bus/pci/devices/0000:00:09.0/driver_override") == "")
    }

    @Test func `a device that can't drive so few bits has its former driver again`() throws {
        let error = try #require(throws: SetupError.self) {
            try machine.binder.bind(address, addressBits: 8)
        }
        #expect(error.errno == .ioError && error.attempt.contains("8 address bits"))
        #expect(error.hint.contains("it has its former driver again: e1000e"))
        #expect(driver() == "e1000e" && machine.sysfs.names("/run/devfs/bound") == [])
        #expect(try machine.binder.bind(address, addressBits: 28).driver == "e1000e")
        #expect(driver() == "devfs_dma")
    }

    @Test func `a former driver that does not take the device again is told, and tried again`()
        throws
    {
        machine.refuse(by: "devfs_dma")
        machine.refuse(by: "e1000e")
        let error = try #require(refusal())
        #expect(error.hint.contains("its driver is none now: e1000e is not loaded"))
        #expect(driver() == nil)
        let failure = try #require(throws: SetupError.self) { try machine.binder.unbind(address) }
        #expect(failure.description.contains("giving 0000:00:09.0 back to e1000e"))
        machine.accept(by: "e1000e")
        #expect(try machine.binder.unbind(address) == "e1000e")
        #expect(driver() == "e1000e" && machine.sysfs.names("/run/devfs/bound") == [])
        // Now it is the driver's alone.
        #expect(throws: SetupError.self) { try machine.binder.unbind(address) }
    }

    @Test(arguments: [true, false])
    func `a bind that was ended halfway is gone on with, and undone, with its first record`(
        again: Bool
    ) throws {
        try machine.binder.bind(address)
        // As a slow driver's end leaves it: nobody has it, and it is meant for the module.
        try Syscalls.unlink(
            "\(machine.root)/sys/bus/pci/devices/\(address)/driver", at: Syscalls.currentDirectory)
        #expect(driver() == nil)
        if again {
            try machine.binder.bind(address)
            #expect(driver() == "devfs_dma")
        }
        #expect(try machine.binder.unbind(address) == "e1000e")
        #expect(driver() == "e1000e" && machine.sysfs.names("/run/devfs/bound") == [])
        #expect(machine.text("sys/bus/pci/devices/0000:00:09.0/driver_override") == "")
    }

    @Test func `signals come before the steps or after them`() throws {
        try machine.binder.bind(address)
        try machine.binder.unbind(address)
        machine.refuse(by: "devfs_dma")
        #expect(refusal() != nil)
        #expect(machine.interruptible == [])
    }

    @Test func `a device that vanishes meanwhile is named, and no record stays`() throws {
        machine.vanish("0000:00:09.0")
        let error = try #require(refusal())
        #expect(error.hint.contains("vanished"))
        #expect(machine.sysfs.names("/run/devfs/bound") == [])
    }

    @Test func `what can't be bound says why`() throws {
        try machine.add("0000:00:0b.0", registers: false)
        try machine.add("0000:00:0c.0", classCode: "0x060400")
        #expect(refusal(PCIAddress("0000:00:0b.0"))?.hint.contains("no BAR") == true)
        #expect(refusal(PCIAddress("0000:00:0c.0"))?.hint == "it is a bridge")
        #expect(refusal(PCIAddress("0000:00:1f.0"))?.errno == .noSuchFileOrDirectory)
        #expect(machine.binder.devices().map(\.address.description).count == 2)
        _ = Spawn.run(["rmdir", "\(machine.root)/sys/bus/pci/drivers/devfs_dma"])
        #expect(refusal()?.hint == "load the module: modprobe devfs_dma")
        #expect(driver() == "e1000e")
    }

    // MARK: What no IOMMU confines

    private let modeFile = FakeMachine.unsafeMode

    @Test(arguments: [(nil, "no IOMMU is before it"), ("identity", "translates nothing")])
    func `a device that nothing confines is refused before its driver gives it up`(
        group: String?, why: String
    ) throws {
        try machine.add(driver: "nvme", "0000:00:0d.0", group: group)
        let loose = try #require(PCIAddress("0000:00:0d.0"))
        let error = try #require(refusal(loose, force: true))
        #expect(error.errno == .notPermitted && error.hint.contains(why))
        #expect(error.hint.contains("--unsafe-noiommu"))
        #expect(driver("0000:00:0d.0") == "nvme")
        #expect(machine.text("sys/bus/pci/devices/0000:00:0d.0/driver_override") == "(null)")
        #expect(machine.text(modeFile) == "N")
        // For this once.
        try machine.binder.bind(loose, unsafe: true)
        #expect(driver("0000:00:0d.0") == "devfs_dma")
        #expect(machine.text(modeFile) == "N")
        #expect(machine.interruptible == [])
    }

    @Test func `the module's mode stays as the administrator has it`() throws {
        try machine.add(driver: "nvme", "0000:00:0d.0", group: nil)
        try machine.put(modeFile, "Y\n")
        #expect(machine.binder.isUnsafeModeOn == true)
        let loose = try #require(PCIAddress("0000:00:0d.0"))
        #expect(refusal(loose) == nil)
        #expect(try machine.binder.unbind(loose) == "nvme")
        #expect(refusal(loose, unsafe: true) == nil)
        #expect(machine.text(modeFile) == "Y")
    }

    @Test func `what fails in the unsafe mode leaves it`() throws {
        try machine.add(driver: "nvme", "0000:00:0d.0", group: nil)
        machine.refuse(by: "devfs_dma")
        let error = try #require(refusal(PCIAddress("0000:00:0d.0"), unsafe: true))
        #expect(error.hint.contains("dmesg"))
        #expect(driver("0000:00:0d.0") == "nvme" && machine.text(modeFile) == "N")
    }

    @Test func `a device of another driver's in the group is named, and a bridge is none`() throws {
        let group = "sys/devices/pci0000:00/0000:00:09.0/iommu_group/devices"
        func join(_ other: String, _ driver: String, _ classCode: String) throws {
            try machine.add(driver: driver, other, classCode: classCode)
            try machine.link("\(group)/\(other)", to: "sys/devices/pci0000:00/\(other)")
        }
        try join("0000:00:0e.0", "pcieport", "0x060400")
        try join("0000:00:0e.1", "devfs_dma", "0x00ff00")
        let device = try #require(machine.binder.devices().first { $0.address == address })
        #expect(machine.binder.danger(of: device) == nil)
        try join("0000:00:0e.2", "ahci", "0x010601")
        #expect(machine.binder.danger(of: device)?.hasSuffix("group: 0000:00:0e.2") == true)
        #expect(refusal()?.errno == .notPermitted)
    }

    @Test func `a kernel that is locked down has no option that helps`() throws {
        try machine.add(driver: "nvme", "0000:00:0d.0", group: nil)
        try machine.put("sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
        let error = try #require(refusal(PCIAddress("0000:00:0d.0"), unsafe: true))
        #expect(error.hint == "no IOMMU is before it, and the kernel is locked down")
        #expect(refusal() == nil)
    }

    @Test func `nodes of devices that nothing confines are told`() throws {
        for (node, value) in [("devfs!host", "0"), ("devfs!pci-0000:00:0d.0", "1"), ("fuse", "1")] {
            try machine.make("sys/class/misc/\(node)")
            try machine.put("sys/class/misc/\(node)/unsafe", "\(value)\n")
        }
        #expect(machine.binder.unsafeNodes() == ["pci-0000:00:0d.0"])
        #expect(!machine.binder.hasIOMMU)
    }

    @Test(arguments: ["mounted", "mounted by name", "swap", "held", "network", "screen"])
    func `a device in use is refused without force`(use: String) throws {
        let place = "sys/devices/pci0000:00/0000:00:09.0"
        if use == "network" {
            try machine.make("\(place)/net/eth0")
            try machine.put("\(place)/net/eth0/flags", "0x1003\n")
            try machine.link("sys/class/net/eth0", to: "\(place)/net/eth0")
        } else if use == "screen" {
            try machine.put("\(place)/boot_vga", "1\n")
        } else {
            try machine.make("\(place)/block/sda/sda1/holders")
            try machine.put("\(place)/block/sda/sda1/dev", "8:1\n")
            try machine.link("sys/class/block/sda1", to: "\(place)/block/sda/sda1")
            #expect(try machine.binder.uses(of: #require(machine.binder.devices().first)) == [])
            func line(_ number: String, _ source: String) -> String {
                "30 1 \(number) / /data rw,relatime - ext4 \(source) rw\n"
            }
            switch use {
            case "mounted":
                try machine.put("proc/1/mountinfo", line("8:1", "/dev/disk/by-uuid/7"))
            case "mounted by name":
                try machine.put("proc/self/mountinfo", line("0:33", "/dev/sda1"))
            case "swap": try machine.put("proc/swaps", "Filename\tType\n/dev/sda1\tpartition\n")
            default:
                try machine.make("sys/class/block/dm-0")
                try machine.put("sys/class/block/dm-0/dev", "253:0\n")
                try machine.link(
                    "\(place)/block/sda/sda1/holders/dm-0", to: "sys/class/block/dm-0")
                try machine.put("proc/self/mountinfo", line("253:0", "/dev/mapper/root"))
            }
        }
        let error = try #require(refusal())
        #expect(error.errno == .resourceBusy && error.hint.contains("--force"))
        #expect(driver() == "e1000e")
        #expect(refusal(force: true) == nil && driver() == "devfs_dma")
    }

    @Test(arguments: [
        (["sda"], "sda is in use by the kernel"),
        (["sda", "sda1"], "sda1 is in use by the kernel"),
        (["sda", "sda2"], "sda2 is part of dm-0"),
        (["sda", "sda2", "dm-0"], "dm-0 is in use by the kernel"),
        (["sda", "sda3"], "sda3 is mounted on /data"),
        (["cciss/c0d0"], "cciss!c0d0 is in use by the kernel"),
    ])
    func `what no mount tells of a disk is told by the kernel`(
        claimed: [String], use: String
    ) throws {
        let place = "sys/devices/pci0000:00/0000:00:09.0/block"
        for (number, disk) in [
            "sda", "sda/sda1", "sda/sda2", "sda/sda3", "cciss!c0d0",
        ].enumerated() {
            try machine.make("\(place)/\(disk)/holders")
            try machine.put("\(place)/\(disk)/dev", "8:\(number)\n")
            try machine.link(
                "sys/class/block/\(disk.split(separator: "/").last ?? "")", to: "\(place)/\(disk)")
        }
        try machine.make("sys/class/block/dm-0")
        try machine.link("\(place)/sda/sda2/holders/dm-0", to: "sys/class/block/dm-0")
        if use.contains("/data") {
            try machine.put("proc/1/mountinfo", "30 1 8:3 / /data rw - ext4 /dev/root rw\n")
        }
        machine.claim(claimed)
        if !use.contains("/data") {
            // A list of devices opens no disks.
            #expect(try machine.binder.uses(of: #require(machine.binder.devices().first)) == [])
        }
        let error = try #require(refusal())
        #expect(error.hint == "\(use); --force takes it all the same")
        #expect(driver() == "e1000e")
        #expect(refusal(force: true) == nil && driver() == "devfs_dma")
    }

    @Test func `a device that is not the module's is not unbound, nor one that is mounted`() throws
    {
        #expect(throws: SetupError.self) { try machine.binder.unbind(address) }
        #expect(driver() == "e1000e")
        try machine.binder.bind(address)
        try machine.put(
            "proc/self/mountinfo",
            "40 1 0:40 / /mnt rw - fuse.devfs /dev/devfs/pci-0000:00:09.0 rw,user_id=0\n")
        #expect(throws: SetupError.self) { try machine.binder.unbind(address) }
        #expect(driver() == "devfs_dma")
        #expect(try machine.binder.unbind(address, force: true) == "e1000e")
    }

    // MARK: vfio-pci

    private func vfioRefusal(force: Bool = false) -> SetupError? {
        do throws(SetupError) {
            try machine.binder.bind(address, to: .vfio, force: force)
            return nil
        } catch {
            return error
        }
    }

    @Test func `a device goes to vfio-pci, from there to the module, and back to its own`() throws {
        #expect(vfioRefusal()?.hint == "load the module: modprobe vfio-pci")
        try machine.make("sys/bus/pci/drivers/vfio-pci")
        #expect(vfioRefusal() == nil && driver() == "vfio-pci")
        #expect(PCIDriver.vfio.source(of: address) == "vfio:0000:00:09.0")
        try machine.binder.bind(address)
        #expect(driver() == "devfs_dma")
        #expect(try machine.binder.unbind(address) == "e1000e" && driver() == "e1000e")
    }

    @Test func `what vfio-pci has by others is not unbound, nor what is mounted`() throws {
        try machine.make("sys/bus/pci/drivers/vfio-pci")
        try machine.add(driver: "vfio-pci", "0000:00:0a.0")
        let other = try #require(PCIAddress("0000:00:0a.0"))
        #expect(throws: SetupError.self) { try machine.binder.unbind(other) }
        #expect(driver("0000:00:0a.0") == "vfio-pci")
        #expect(vfioRefusal() == nil)
        try machine.put(
            "proc/self/mountinfo",
            "40 1 0:40 / /mnt rw - fuse.devfs vfio:0000:00:09.0 rw,user_id=0\n")
        #expect(throws: SetupError.self) { try machine.binder.unbind(address) }
        #expect(try machine.binder.unbind(address, force: true) == "e1000e")
    }

    @Test func `vfio takes no device without an IOMMU, and the error says how to switch it on`()
        throws
    {
        try machine.make("sys/bus/pci/drivers/vfio-pci")
        try machine.add(driver: "e1000e", "0000:00:0b.0", group: nil)
        let loose = try #require(PCIAddress("0000:00:0b.0"))
        let error = #expect(throws: SetupError.self) {
            try machine.binder.bind(loose, to: .vfio)
        }
        #expect(error?.hint.contains("intel_iommu=on") == true)
        #expect(driver("0000:00:0b.0") == "e1000e")
    }

    @Test func `who keeps a group from vfio is named with its driver`() throws {
        try machine.make("sys/bus/pci/drivers/vfio-pci")
        try machine.add(driver: "nvme", "0000:00:0a.0")
        try machine.add(driver: "pcieport", "0000:00:01.0", classCode: "0x060400")
        for mate in ["0000:00:0a.0", "0000:00:01.0"] {
            try machine.link(
                "sys/devices/pci0000:00/0000:00:09.0/iommu_group/devices/\(mate)",
                to: "sys/devices/pci0000:00/\(mate)")
        }
        #expect(vfioRefusal() == nil)
        #expect(machine.binder.obstacles(of: address) == ["0000:00:0a.0 (nvme)"])
    }
}
