import Glibc

/// Found out without the server under test.
extension Machine {
    /// The `devfs` under test: `DEVFS_BINARY`, else the one beside the test program.
    static let devfs: String = {
        if let path = unsafe getenv("DEVFS_BINARY") { return unsafe String(cString: path) }
        let own = target(of: "/proc/self/exe")
        let beside = own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/devfs"
        if exists(beside) { return beside }
        return package + "/.build/debug/devfs"
    }()

    /// The checkout.
    static let package = #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined()

    static let canMount =
        unsafe access("/dev/fuse", R_OK | W_OK) == 0 && exists(python) && exists(devfs)
    static let hasRsync = succeeds("rsync --version")
    static let hasBusybox = succeeds("busybox tail /dev/null")
    static let hasFio = succeeds("fio --version")
    static let hasIOUring = succeeds(
        "fio --name=x --ioengine=io_uring --rw=read --size=4k --filename=/dev/zero")
    static let hasPython = exists(python)
    /// The distribution's, which other users may run as well.
    static let python = "/usr/bin/python3"
    static let hasOverlays = (try? text(of: "/proc/filesystems"))?.contains("overlay") ?? false
    static let hasAutofs = (try? text(of: "/proc/filesystems"))?.contains("\tautofs\n") ?? false
    /// Why no manager of systemd can be started in namespaces; nil where one can.
    static let whyNoSystemd: String? = {
        if !canBeOthers { return whyNotOthers }
        if !succeeds("command -v systemd systemctl") { return "needs systemd" }
        let groups =
            "for G in /sys/fs/cgroup /sys/fs/cgroup/systemd; do [ -w $G/cgroup.procs ] && "
            + "mkdir $G/devfs-test-$$ && rmdir $G/devfs-test-$$ && exit 0; done; exit 1"
        return succeeds(groups) ? nil : "needs to make cgroups"
    }()
    /// Root can make mount namespaces and be other users.
    static let canBeOthers = isRoot && succeeds("unshare -m setpriv --reuid 65534 true")
    static var whyNotOthers: String {
        isRoot
            ? "root cannot make a mount namespace here, as in a chroot or a container (unshare -m)"
            : "needs root to be other users"
    }

    /// Why buffers can't be passed through here; nil where they can.
    static let whyNoPassthrough: String? = {
        if !isRoot { return "passthrough needs CAP_SYS_ADMIN" }
        if !kernelIsAtLeast(6, 9) { return "passthrough needs kernel 6.9" }
        let configured =
            "C=/boot/config-$(uname -r); [ ! -e /proc/config.gz ] && [ ! -e $C ] || "
            + "{ zcat /proc/config.gz || cat $C; } | grep -q CONFIG_FUSE_PASSTHROUGH=y"
        if !succeeds(configured) { return "this kernel is built without CONFIG_FUSE_PASSTHROUGH" }
        let libraries = "ldd \(devfs) | grep -q 'libfuse3.so.3 '"
        if succeeds(libraries) { return "passthrough needs libfuse 3.17; devfs has an older one" }
        return nil
    }()

    /// Runs a shell command line; its standard output where it succeeds.
    static func shell(_ line: String) -> String? {
        guard let output = try? Child(["bash", "-c", line]).wait(), output.status == 0 else {
            return nil
        }
        return output.text
    }

    private static func succeeds(_ line: String) -> Bool {
        shell(line) != nil
    }

    static func kernelIsAtLeast(_ major: Int, _ minor: Int) -> Bool {
        let release = (try? text(of: "/proc/sys/kernel/osrelease")) ?? ""
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        return numbers.count == 2 && (numbers[0], numbers[1]) >= (major, minor)
    }
}

/// How the bytes of buffers travel.
enum Mode: String, CaseIterable, CustomStringConvertible {
    /// The kernel goes to the memory itself.
    case passthrough
    /// Each call goes through the server.
    case served

    /// The modes that this machine has. `FeatureTests` shows a skip where one is missing.
    static let here = Mode.allCases.filter { $0 != .passthrough || Mode.hasPassthrough }
    static let hasPassthrough = Machine.whyNoPassthrough == nil
    static var whyNoPassthrough: String { Machine.whyNoPassthrough ?? "" }

    /// For tests of what has nothing to do with bytes.
    static let best = hasPassthrough ? Mode.passthrough : .served

    var options: [String] {
        self == .passthrough ? ["-o", "passthrough"] : ["-o", "no_passthrough"]
    }

    var description: String { rawValue }
}
