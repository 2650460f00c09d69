import DevFS
import Glibc
import SystemPackage

extension MountEntry {
    /// Unmounts it, be its server alive or dead; lazily, even if it is in use.
    func detach(isLazy: Bool) throws {
        let what = "unmounting \(mountpoint)"
        do throws(Errno) {
            try unmount(lazily: isLazy)
        } catch .resourceBusy {
            throw Failure(
                what, Errno.resourceBusy,
                detail: "`fuser -vm \(mountpoint.shellQuoted)` shows by whom; --lazy detaches it")
        } catch .notPermitted {
            // An ordinary user's mounts are fusermount3's business.
            try detachAsUser(isLazy: isLazy, what)
        } catch {
            throw Failure(what, error)
        }
    }

    private func detachAsUser(isLazy: Bool, _ what: String) throws {
        let arguments = ["fusermount3", "-u"] + (isLazy ? ["-z"] : []) + ["--", mountpoint]
        let ending = try attempting("starting fusermount3") {
            try Processes.run("fusermount3", arguments)
        }
        // It has said why on stderr itself.
        guard case .exited(0) = ending else {
            let isListed = Syscalls.isAccessible("/etc/mtab", F_OK)
            throw Failure(
                what,
                "fusermount3: \(ending)"
                    + (isListed ? "" : " (sudo ln -s /proc/self/mounts /etc/mtab)"))
        }
    }
}
