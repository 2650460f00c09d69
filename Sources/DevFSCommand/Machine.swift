import CFuse
import DevFS
import Glibc
import SystemPackage

/// The machine as `devfs doctor` looks at it. Each check is one function.
struct Machine {
    private let isRoot = geteuid() == 0
    private let kernel = Version(Syscalls.kernelRelease())
    private let libfuse = Version(Syscalls.fuseVersions().linked)
    /// First kernel, and first libfuse, with FUSE passthrough.
    private let passthroughKernel = Version("6.9")
    private let passthroughLibrary = Version("3.17")

    /// Of what a container lacks only its start can give.
    private let container = Environment.container
    private let startAnew =
        "docker run --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined ..."

    func checks() -> [Check] {
        [
            fuseDevice(), fusermount(), allowOther(), kernelVersion(), library(), capability(),
            passthrough(), parallelWrites(), ioUring(), memory(), hugePages(), module(),
            mountHelper(),
        ] + confinement() + deadMounts()
    }

    // MARK: What mounting needs

    private func fuseDevice() -> Check {
        let name = "fuse-device"
        do {
            try Files.open("/dev/fuse", .readWrite).close()
            return .ok(name, "/dev/fuse can be opened")
        } catch Errno.noSuchFileOrDirectory, Errno.operationNotSupportedByDevice,
            Errno.noSuchAddressOrDevice
        {
            if let container { return .fail(name, "\(container) has no /dev/fuse", fix: startAnew) }
            return .fail(name, "/dev/fuse is missing", fix: "sudo modprobe fuse")
        } catch {
            if let container, isRoot {
                return .fail(name, "/dev/fuse: \(error), in \(container)", fix: startAnew)
            }
            return .fail(name, "/dev/fuse: \(error)", fix: "sudo chmod 666 /dev/fuse")
        }
    }

    private func fusermount() -> Check {
        let name = "fusermount3"
        let places = Environment.path + ["/usr/bin", "/bin", "/usr/local/bin"]
        guard let path = places.map({ "\($0)/fusermount3" }).first(where: Files.isExecutable) else {
            let what = "not found: an ordinary user cannot mount"
            let fix = "sudo apt-get install fuse3"
            return isRoot ? .warn(name, what, fix: fix) : .fail(name, what, fix: fix)
        }
        let permissions = (try? Stat(FilePath(path)))?.permissions ?? []
        if !permissions.contains(.setUserID) {
            let what = "\(path) is not setuid root: an ordinary user cannot mount"
            let word = path.shellQuoted
            let fix = "sudo chown root \(word) && sudo chmod u+s \(word)"
            return isRoot ? .warn(name, what, fix: fix) : .fail(name, what, fix: fix)
        }
        if Accounts.name(of: getuid()) == nil {
            return .fail(
                name, "it mounts for users that have a name, and \(getuid()) has none",
                fix: "sudo useradd --uid \(getuid()) devfs-user")
        }
        if !Syscalls.isAccessible("/etc/mtab", F_OK) {
            return .warn(
                name, "/etc/mtab is missing: an ordinary user cannot unmount",
                fix: "sudo ln -s /proc/self/mounts /etc/mtab")
        }
        return .ok(name, "\(path), setuid root")
    }

    private func allowOther() -> Check {
        let name = "allow_other"
        let text = (try? Files.text(of: "/etc/fuse.conf")) ?? ""
        let isAllowed = text.split(separator: "\n").contains {
            $0.split(separator: " ").first == "user_allow_other"
        }
        if isAllowed { return .ok(name, "user_allow_other is in /etc/fuse.conf") }
        let what = "/etc/fuse.conf has no user_allow_other: -o allow_other is for root alone"
        // Root has it anyway, and may not want others to.
        if isRoot { return .ok(name, what) }
        return .warn(name, what, fix: "echo user_allow_other | sudo tee -a /etc/fuse.conf")
    }

    private func memory() -> Check {
        let name = "memory"
        if isRoot {
            return .ok(name, "each device gets a tmpfs of its own below /run/devfs")
        }
        let own = Environment.variable("XDG_RUNTIME_DIR")
        for place in [own, "/dev/shm"].compactMap({ $0 })
        where Syscalls.isAccessible(place, W_OK) && Files.isTmpfs(place) {
            return .ok(name, "devices of this user are on \(place)")
        }
        return .fail(
            name, "no tmpfs that this user may write to",
            fix: "sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm")
    }

    private func deadMounts() -> [Check] {
        let name = "dead-mounts"
        let mounts: [MountEntry]
        do {
            mounts = try Mounts.devfs()
        } catch {
            return [.warn(name, "\(error)", fix: nil)]
        }
        // This user's and root's: servers of others are not asked.
        let mute = mounts.filter { !$0.isStrangers && !Answers.come(from: $0.mountpoint) }
        let silent = mute.map { mount in
            let silence = Answers.Silence(of: mount)
            return Check.fail(
                "mute-mounts", "\(mount.mountpoint.shellQuoted): \(silence.text)",
                fix: silence.fix)
        }
        let dead = mounts.filter { mount in
            !mute.contains { $0.id == mount.id } && mount.isDead
        }
        if dead.isEmpty { return silent + [.ok(name, "none")] }
        return silent
            + dead.map { mount in
                let (source, place) = (mount.source.shellQuoted, mount.mountpoint.shellQuoted)
                return .warn(
                    name, "the server of \(mount.source) on \(mount.mountpoint) has died",
                    fix: "devfs mount -- \(source) \(place)   # or: devfs unmount -- \(place)")
            }
    }

    // MARK: What it gains from

    private func kernelVersion() -> Check {
        let release = Syscalls.kernelRelease()
        if kernel >= passthroughKernel {
            return .ok("kernel", "\(release), has FUSE passthrough")
        }
        return .warn(
            "kernel", "\(release): zero-copy buffers and mmap need Linux 6.9",
            fix: ". /etc/os-release; sudo apt-get install -t $VERSION_CODENAME-backports "
                + "linux-image-$(dpkg --print-architecture)")
    }

    private func library() -> Check {
        let (linked, compiled) = Syscalls.fuseVersions()
        let what = "\(linked), compiled for \(compiled)"
        if libfuse >= passthroughLibrary && cfuse_has_passthrough() { return .ok("libfuse", what) }
        return .warn(
            "libfuse", "\(what): zero-copy buffers and mmap need 3.17",
            fix: "make   # in the source tree: builds DevFS with a newer one")
    }

    private func capability() -> Check {
        let name = "cap_sys_admin"
        if Environment.isSystemAdministrator {
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

    private func passthrough() -> Check {
        var missing: [String] = []
        if kernel < passthroughKernel { missing.append("kernel") }
        if libfuse < passthroughLibrary || !cfuse_has_passthrough() { missing.append("libfuse") }
        if !Environment.isSystemAdministrator { missing.append("cap_sys_admin") }
        if missing.isEmpty {
            return .ok("passthrough", "buffers are zero-copy, and mmap maps the memory itself")
        }
        return .warn(
            "passthrough", "not possible; see above: \(missing.joined(separator: ", "))", fix: nil)
    }

    private func parallelWrites() -> Check {
        let name = "parallel-direct-writes"
        if kernel >= Version("6.2") && libfuse >= passthroughLibrary {
            return .ok(name, "writes to one buffer run side by side")
        }
        return .warn(
            name, "writes to one buffer wait for each other (Linux 6.2, libfuse 3.17)", fix: nil)
    }

    private func ioUring() -> Check {
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

    private func hugePages() -> Check {
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

    private func module() -> Check {
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
    private func confinement() -> [Check] {
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

    /// True if modprobe(8) would find it.
    private var hasModule: Bool {
        let list = "/lib/modules/\(Syscalls.kernelRelease())/modules.dep"
        return (try? Files.text(of: list))?.contains("/devfs_dma.ko") ?? false
    }

    private func mountHelper() -> Check {
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
