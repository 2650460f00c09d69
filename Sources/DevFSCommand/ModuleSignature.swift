import DevFS
import Glibc

/// Whether the kernel takes the installed module, as far as its signature goes: with Secure Boot it
/// takes those alone that are signed by a key it knows.
struct ModuleSignature {
    /// `module.sig_enforce`, and `kernel_lockdown(7)`.
    private let switches = [
        "/sys/module/module/parameters/sig_enforce", "/sys/kernel/security/lockdown",
    ]
    private let key = "/var/lib/dkms/mok.pub"

    /// What is wrong with it; nil where nothing is known to be.
    func refusal(_ name: String) -> Check? {
        guard isWanted else { return nil }
        let enroll = "sudo mokutil --import \(key)   # then reboot, and enroll the key"
        let signer = signer
        if signer.isEmpty {
            return .warn(
                name,
                "devfs_dma is not signed, and this kernel takes signed modules alone (Secure Boot): "
                    + "modprobe fails with `Key was rejected by service` or `Operation not permitted`",
                fix: "sudo dkms install --force devfs-dma/\(DevFSVersion.text) && \(enroll)")
        }
        // The list has keys of the kernel's for root alone.
        guard geteuid() == 0, let keys = try? Files.text(of: "/proc/keys"), !keys.contains(signer)
        else { return nil }
        return .warn(
            name,
            "devfs_dma is signed by `\(signer)`, whose key this machine does not know (Secure Boot): "
                + "modprobe fails with `Key was rejected by service`",
            fix: enroll)
    }

    private var isWanted: Bool {
        switches.compactMap { try? Files.text(of: $0) }.contains {
            $0.hasPrefix("Y") || $0.contains("[integrity]") || $0.contains("[confidentiality]")
        }
    }

    /// Empty where there is none. The file may be compressed, which modinfo(8) knows about.
    private var signer: String {
        let modinfo = "PATH=$PATH:/usr/sbin:/sbin modinfo -F signer devfs_dma 2>/dev/null"
        return Processes.firstLine(of: modinfo)
    }
}
