import Glibc
import Testing

extension MountTests {
    /// "`devfs doctor`": its remedies work on the machine that it runs on.
    ///
    /// Files of the kernel lie over the machine's own, in a mount namespace.
    @Suite(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
    struct Doctor {
        /// The lines of one check, and of its remedy, after bash lines in a namespace.
        private func check(_ name: String, after lines: String) throws -> [Substring] {
            let output = try Child([
                "unshare", "-m", "bash", "-euc", "\(lines)\n\(Machine.devfs) doctor",
            ]).wait()
            #expect(output.status < 2, "\(output)")
            let all = output.text.split(separator: "\n")
            guard let first = all.firstIndex(where: { $0.dropFirst(5).hasPrefix("\(name): ") })
            else {
                throw CommandFailure(description: "no check \(name): \(output)")
            }
            return [all[first]] + all[(first + 1)...].prefix { $0.hasPrefix("    ") }
        }

        private static func loaded(_ version: String?) -> String {
            """
            mount -t tmpfs tmpfs /sys/module
            mkdir /sys/module/devfs_dma
            \(version.map { "echo \($0) > /sys/module/devfs_dma/version" } ?? "")
            """
        }

        @Test(arguments: ["0.1.9", nil])
        func `a loaded module of another version is told`(version: String?) throws {
            let lines = try check("module", after: Self.loaded(version))
            #expect(lines[0].hasPrefix("warn "), "\(lines)")
            #expect(lines[0].contains(version ?? "before 0.2.0"), "\(lines)")
            #expect(lines.count == 2 && lines[1].contains("modprobe -r devfs_dma"), "\(lines)")
        }

        @Test func `a loaded module of this version is only missing its node here`() throws {
            let version = try #require(Machine.shell("\(Machine.devfs) --version | cut -d' ' -f2"))
            let lines = try check(
                "module",
                after: Self.loaded(String(version.dropLast())) + "\nmount -t tmpfs tmpfs /dev")
            #expect(lines[0].contains("no node in /dev/devfs"), "\(lines)")
        }

        private static let loadsModules =
            exists("/proc/modules") && !exists("/.dockerenv") && !exists("/run/systemd/container")

        @Test(.enabled(if: loadsModules, "a container, or a kernel without modules"))
        func `a module is to be loaded where it is installed, and else to be built`() throws {
            let absent = """
                mount -t tmpfs tmpfs /sys/module
                mount -t tmpfs tmpfs /usr/lib/modules
                mkdir -p /usr/lib/modules/$(uname -r)
                """
            let built = try check("module", after: absent)
            #expect(built.last?.contains("make install") == true, "\(built)")
            let dependencies = "/usr/lib/modules/$(uname -r)/modules.dep"
            let installed = try check(
                "module",
                after: "\(absent)\necho updates/dkms/devfs_dma.ko: > \(dependencies)")
            #expect(installed.last?.hasSuffix("sudo modprobe devfs_dma") == true, "\(installed)")
        }

        /// A kernel that is locked down, and a modinfo that says `signer` of the module.
        private static func locked(signer: String, keys: String) -> String {
            """
            mount -t tmpfs tmpfs /sys/module
            mount -t tmpfs tmpfs /usr/lib/modules
            mkdir -p /usr/lib/modules/$(uname -r)
            echo updates/dkms/devfs_dma.ko: > /usr/lib/modules/$(uname -r)/modules.dep
            mount -t tmpfs tmpfs /sys/kernel
            mkdir /sys/kernel/security
            echo 'none [integrity] confidentiality' > /sys/kernel/security/lockdown
            mount -t tmpfs tmpfs /mnt
            printf '#!/bin/sh\necho "%s"\n' '\(signer)' > /mnt/modinfo
            chmod +x /mnt/modinfo
            echo '\(keys)' > /mnt/keys
            mount --bind /mnt/keys /proc/keys
            PATH=/mnt:$PATH
            """
        }

        private static let hasKeys = loadsModules && exists("/proc/keys")

        @Test(.enabled(if: hasKeys, "a container, or a kernel without modules or keys"))
        func `a module whose signature the kernel refuses is told, with what mends it`() throws {
            let bare = try check("module", after: Self.locked(signer: "", keys: ""))
            #expect(bare[0].hasPrefix("warn ") && bare[0].contains("is not signed"), "\(bare)")
            #expect(bare.last?.contains("mokutil --import") == true, "\(bare)")
            let unknown = try check(
                "module", after: Self.locked(signer: "DKMS module signing key", keys: "other"))
            #expect(unknown[0].contains("does not know"), "\(unknown)")
            #expect(unknown.last?.contains("mokutil --import") == true, "\(unknown)")
            let known = try check(
                "module",
                after: Self.locked(
                    signer: "DKMS module signing key",
                    keys: "1 I--- 1 perm 1f030000 0 0 asymmetri DKMS module signing key: 00"))
            #expect(known.last?.hasSuffix("sudo modprobe devfs_dma") == true, "\(known)")
        }

        @Test(.enabled(if: Machine.hasOverlays, "needs overlayfs to hide /etc/mtab"))
        func `without mtab an ordinary user cannot unmount, and is told`() throws {
            let lines = try check(
                "fusermount3",
                after: """
                    mount -t tmpfs tmpfs /mnt
                    mkdir /mnt/upper /mnt/work
                    mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
                    rm -f /etc/mtab
                    """)
            #expect(lines[0].hasPrefix("warn "), "\(lines)")
            #expect(lines.last?.contains("ln -s /proc/self/mounts /etc/mtab") == true, "\(lines)")
        }

        @Test func `in a container the remedy is how it is started`() throws {
            let container = "mount -t tmpfs tmpfs /run; touch /run/.containerenv"
            let device = try check(
                "fuse-device", after: "\(container)\nmount -t tmpfs tmpfs /dev")
            #expect(device[0].hasPrefix("FAIL "), "\(device)")
            #expect(device.last?.contains("--device /dev/fuse") == true, "\(device)")
            let capability = try check(
                "cap_sys_admin",
                after: """
                    \(container)
                    exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin \
                        \(Machine.devfs) doctor
                    """)
            #expect(capability.last?.contains("--cap-add SYS_ADMIN") == true, "\(capability)")
            let module = try check(
                "module", after: "\(container)\nmount -t tmpfs tmpfs /sys/module")
            #expect(module.count == 1 && module[0].contains("host"), "\(module)")
        }
    }
}
