import CFuse
import DevFS
import Glibc
import SystemPackage

/// What DevFS works without, and gains from.
extension Machine {
    func kernelVersion() -> Check {
        let release = Syscalls.kernelRelease()
        if kernel >= passthroughKernel {
            return .ok("kernel", "\(release), has FUSE passthrough")
        }
        return .warn(
            "kernel", "\(release): zero-copy buffers and mmap need Linux 6.9",
            fix: ". /etc/os-release; sudo apt-get install -t $VERSION_CODENAME-backports "
                + "linux-image-$(dpkg --print-architecture)")
    }

    func library() -> Check {
        let (linked, compiled) = Syscalls.fuseVersions()
        let what = "\(linked), compiled for \(compiled)"
        if libfuse >= passthroughLibrary && cfuse_has_passthrough() { return .ok("libfuse", what) }
        return .warn(
            "libfuse", "\(what): zero-copy buffers and mmap need 3.17",
            fix: "make   # in the source tree: builds DevFS with a newer one")
    }

    func capability() -> Check {
        let name = "cap_sys_admin"
        if Capability.isHeld(Capability.systemAdministration) {
            return .ok(name, "held, so the server may use passthrough")
        }
        if let container, isRoot {
            return .fail(name, "not held: in \(container) nothing can be mounted", fix: startAnew)
        }
        return .warn(
            name, "not held: buffers are served by the server, without mmap",
            fix: "sudo devfs mount SOURCE MOUNTPOINT "
                + "-o uid=\(getuid()),gid=\(getgid()),allow_other")
    }

    func passthrough() -> Check {
        var missing: [String] = []
        if kernel < passthroughKernel { missing.append("kernel") }
        if libfuse < passthroughLibrary || !cfuse_has_passthrough() { missing.append("libfuse") }
        if !Capability.isHeld(Capability.systemAdministration) { missing.append("cap_sys_admin") }
        if missing.isEmpty {
            return .ok("passthrough", "buffers are zero-copy, and mmap maps the memory itself")
        }
        return .warn(
            "passthrough", "not possible; see above: \(missing.joined(separator: ", "))", fix: nil)
    }

    func parallelWrites() -> Check {
        let name = "parallel-direct-writes"
        if kernel >= Version("6.2") && libfuse >= passthroughLibrary {
            return .ok(name, "writes to one buffer run side by side")
        }
        return .warn(
            name, "writes to one buffer wait for each other (Linux 6.2, libfuse 3.17)", fix: nil)
    }

    func ioUring() -> Check {
        let name = "io_uring"
        let switchFile = "/sys/module/fuse/parameters/enable_uring"
        if kernel < Version("6.14") {
            return .warn(name, "-o io_uring needs Linux 6.14; DevFS works without", fix: nil)
        }
        if !cfuse_has_io_uring() {
            // `make` builds a newer libfuse only in place of one without passthrough.
            let isReplaced = libfuse < passthroughLibrary
            return .warn(
                name, "-o io_uring needs libfuse 3.18; DevFS works without",
                fix: isReplaced ? "make   # in the source tree: builds DevFS with a newer one" : nil
            )
        }
        if (try? Files.text(of: switchFile))?.first != "Y" {
            return .warn(
                name, "the kernel has it switched off; only -o io_uring needs it",
                fix: "echo Y | sudo tee \(switchFile)")
        }
        return .ok(name, "-o io_uring can be used")
    }

    func hugePages() -> Check {
        let name = "huge-pages"
        let policyFile = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
        guard let text = try? Files.text(of: policyFile) else {
            return .warn(name, "this kernel has none: -o huge= changes nothing", fix: nil)
        }
        if text.contains("[deny]") {
            return .warn(
                name, "switched off for tmpfs: -o huge= changes nothing",
                fix: "echo never | sudo tee \(policyFile)")
        }
        return .ok(name, "-o huge=always gives tmpfs huge pages")
    }

    func module() -> Check {
        let name = "module"
        guard let loaded = DevFSVersion.ofModule() else {
            let what = "devfs_dma is not loaded; memory devices need none, real ones do"
            if let container {
                return .warn(name, "\(what); \(container) has the host's: load it there", fix: nil)
            }
            guard Syscalls.isAccessible("/proc/modules", F_OK) else {
                return .warn(name, "\(what); this kernel takes no modules", fix: nil)
            }
            if hasModule, let refused = ModuleSignature().refusal(name) { return refused }
            return .warn(
                name, what,
                fix: hasModule
                    ? "sudo modprobe devfs_dma"
                    : "sudo apt-get install dkms linux-headers-$(uname -r) && sudo make install"
                        + "   # in the source tree")
        }
        if loaded != DevFSVersion.text {
            return .warn(
                name, "the loaded devfs_dma is \(loaded), and this devfs is \(DevFSVersion.text)",
                fix: "sudo make install && sudo modprobe -r devfs_dma && sudo modprobe devfs_dma"
                    + "   # unmount its devices first")
        }
        let nodes = (try? Syscalls.names(in: "/dev/devfs")) ?? []
        if nodes.isEmpty {
            return .warn(
                name, "devfs_dma is loaded, but there is no node in /dev/devfs",
                fix: "sudo udevadm trigger --subsystem-match=devfs")
        }
        return .ok(name, "devfs_dma is loaded: \(nodes.joined(separator: " "))")
    }

    /// Whether devices that are bound reach memory that is not theirs; nothing without the module.
    func confinement() -> [Check] {
        let (name, binder) = ("confinement", DeviceBinder())
        guard let isUnsafeModeOn = binder.isUnsafeModeOn else { return [] }
        let loose = binder.unsafeNodes()
        if !loose.isEmpty {
            return [
                .warn(
                    name,
                    "no IOMMU confines \(loose.joined(separator: " ")): who programs it reaches "
                        + "all memory, and its node is root's",
                    fix: nil)
            ]
        }
        if isUnsafeModeOn {
            return [
                .warn(
                    name, "the module binds devices that no IOMMU confines",
                    fix: "echo N | sudo tee /sys/module/devfs_dma/parameters/"
                        + "enable_unsafe_noiommu_mode")
            ]
        }
        return [
            .ok(
                name,
                binder.hasIOMMU
                    ? "devices are bound where their IOMMU confines them"
                    : "no IOMMU is on: devices are bound with --unsafe-noiommu alone")
        ]
    }

    /// Whether what was given to vfio-pci can be mounted; nothing without a device of it.
    func vfio() -> [Check] {
        let (name, binder) = ("vfio", DeviceBinder())
        let bound = binder.devices().filter { $0.driver == PCIDriver.vfio.rawValue }
        if bound.isEmpty { return [] }
        return bound.map { device in
            let others = binder.obstacles(of: device.address)
            let source = PCIDriver.vfio.source(of: device.address)
            guard others.isEmpty else {
                return .warn(
                    name,
                    "\(source) can't be mounted: devices of its IOMMU group have other drivers: "
                        + others.joined(separator: ", "),
                    fix: others.first.map { "sudo devfs bind --vfio \($0.prefix { $0 != " " })" })
            }
            let node = binder.groupNode(of: device.address) ?? "/dev/vfio"
            guard Syscalls.isAccessible(node, R_OK | W_OK) else {
                return .warn(
                    name, "\(source) is not this user's to mount", fix: "sudo chown $USER \(node)")
            }
            return .ok(name, "\(source) can be mounted, by \(node)")
        }
    }

    /// True if modprobe(8) would find it.
    private var hasModule: Bool {
        let list = "/lib/modules/\(Syscalls.kernelRelease())/modules.dep"
        return (try? Files.text(of: list))?.contains("/devfs_dma.ko") ?? false
    }

    func mountHelper() -> Check {
        let name = "mount.devfs"
        if let path = ["/sbin", "/usr/sbin"].map({ "\($0)/mount.devfs" })
            .first(where: Files.isExecutable)
        {
            return .ok(name, "\(path): `mount -t devfs` and fstab lines work")
        }
        return .warn(
            name, "not in /sbin: `mount -t devfs` and fstab lines do not work",
            fix: "sudo make install   # in the source tree")
    }
}
