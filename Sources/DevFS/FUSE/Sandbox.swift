import CFuse
import Glibc
import Synchronization
import SystemPackage

/// What the server gives up once it is set up: capabilities, new privileges by exec, and every
/// system call that it has no use for. `capabilities(7)`, `seccomp(2)`
///
/// docs/security-sandbox.md says what is left, and for what.
final class Sandbox {
    /// Runs fusermount3 at the end for an ordinary user, who can't run it himself any more.
    private var unmounter: (pid: pid_t, ask: CInt)?

    private static let why = Mutex<String?>("the server does not serve yet")

    /// Why this process is in none; nil where it is.
    static var obstacle: String? { why.withLock { $0 } }

    /// What a server of root's needs, with numbers of linux/capability.h.
    static func capabilities(for source: String) -> [Int] {
        var kept = [
            0,  // CAP_CHOWN: a new buffer is given to who made it
            1,  // CAP_DAC_OVERRIDE: buffers that their owner alone may open
            3,  // CAP_FOWNER: chmod and utimens of others' buffers, when they ask for it
            4,  // CAP_FSETID: chmod g+s, where the group is not root's
            5,  // CAP_KILL: signals/*/notify
            19,  // CAP_SYS_PTRACE: /proc/PID/ns of clients, and /proc with hidepid=
            Capability.systemAdministration,  // passthrough, and the unmount at the end
            28,  // CAP_LEASE: is a buffer of another user open elsewhere?
        ]
        if !source.hasPrefix("memory") {
            kept.append(14)  // CAP_IPC_LOCK: pinned memory beyond RLIMIT_MEMLOCK
        }
        if source.hasPrefix("/") {
            kept.append(17)  // CAP_SYS_RAWIO: bus addresses
        }
        return kept
    }

    /// What has to be done before there is a second thread, and before anything is mapped: drops
    /// the other capabilities, which are each thread's own, and starts who unmounts.
    ///
    /// - Parameter mountpoint: an absolute path.
    init(_ options: MountOptions, source: String, mountpoint: String) throws(SetupError) {
        guard options.sandbox else { return }
        do throws(Errno) {
            try Syscalls.keepCapabilities(Self.capabilities(for: source))
            if Syscalls.canFilterCalls && geteuid() != 0 {
                var ask: CInt = -1
                let pid = try check { unsafe cfuse_unmounter_start(mountpoint, &ask) }
                unmounter = (pid, ask)
            }
        } catch {
            throw Self.failure("dropping capabilities", error)
        }
    }

    deinit {
        // It ends when nobody can ask it any more.
        if let unmounter { _ = Descriptor(owning: unmounter.ask) }
    }

    private static func failure(_ attempt: String, _ error: Errno) -> SetupError {
        SetupError(attempt, error, hint: "mount with no_sandbox")
    }

    /// Denies what is left, to all threads: to be called when all is set up and mounted. What was
    /// opened meanwhile stays open; no program is started any more, and there is no new code.
    ///
    /// Where the kernel has no filter the server serves without, and `features` says why.
    func enter(_ options: MountOptions, source: String) throws(SetupError) {
        let obstacle: String?
        if !options.sandbox {
            obstacle = "switched off by the mount option no_sandbox"
        } else if !Syscalls.canFilterCalls {
            obstacle = "no list of system calls for this architecture"
        } else {
            do throws(Errno) {
                try Syscalls.takeNoNewPrivileges()
            } catch {
                throw Self.failure("entering the sandbox", error)
            }
            do throws(Errno) {
                try Syscalls.filterCalls(
                    ioUring: options.ioUring, vfio: source.hasPrefix("vfio:"))
                obstacle = nil
            } catch {
                obstacle = "the kernel refused the seccomp filter: \(error)"
            }
        }
        Self.why.withLock { $0 = obstacle }
    }

    /// Closes the connection and takes the mount away.
    func unmount(_ fuse: OpaquePointer) {
        if let unmounter {
            unsafe cfuse_unmounter_finish(fuse, unmounter.pid, unmounter.ask)
            self.unmounter = nil
        } else {
            unsafe fuse_session_unmount(fuse)
        }
    }
}
