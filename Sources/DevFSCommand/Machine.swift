import DevFS
import Glibc
import SystemPackage

/// The machine as `devfs doctor` looks at it. Each check is one function.
struct Machine {
    let isRoot = geteuid() == 0
    let kernel = Version(Syscalls.kernelRelease())
    let libfuse = Version(Syscalls.fuseVersions().linked)
    /// First kernel, and first libfuse, with FUSE passthrough.
    let passthroughKernel = Version("6.9")
    let passthroughLibrary = Version("3.17")

    /// Of what a container lacks only its start can give.
    let container = Environment.container
    let startAnew =
        "docker run --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined ..."

    func checks() -> [Check] {
        [
            fuseDevice(), fusermount(), allowOther(), kernelVersion(), library(), capability(),
            passthrough(), parallelWrites(), ioUring(), memory(), hugePages(), module(),
            mountHelper(),
        ] + confinement() + vfio() + deadMounts()
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
}
