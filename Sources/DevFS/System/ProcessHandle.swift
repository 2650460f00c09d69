import CFuse
import Glibc
import SystemPackage

/// A process that cannot be mistaken for a later one of the same number. `pidfd_open(2)`
final class ProcessHandle: Sendable {
    let id: ProcessID
    private let pidfd: Descriptor
    /// The process's directory in /proc, which tells its present user.
    private let directory: Descriptor

    /// - Throws: ESRCH where there is no such process.
    init(_ id: ProcessID) throws(Errno) {
        // A process that can't be seen from here, in another pid namespace, has the number 0.
        guard id.number > 0 else { throw .noSuchProcess }
        self.id = id
        pidfd = Descriptor(owning: try check { cfuse_pidfd_open(id.number) })
        do throws(Errno) {
            directory = try Syscalls.open("/proc/\(id.number)", flags: cfuse_o_path | O_DIRECTORY)
        } catch .noSuchFileOrDirectory {
            throw .noSuchProcess
        }
        // Both are of one process if it lives now: its number was taken all along.
        try send(signal: 0, value: 0)
    }

    /// Readable once the process has ended.
    var raw: CInt { pidfd.raw }

    /// It is that user's and nobody else's now: a process that is another user's for a moment, as
    /// daemons are by seteuid(2), is not his to signal, nor is a program with the set-user-ID bit.
    ///
    /// False once it has ended. `proc_pid_status(5)`, Uid: real, effective, saved, file system's
    func isOwn(of uid: UInt32) -> Bool {
        guard let status = try? ProcessStatus(in: directory.raw) else { return false }
        let users = status.numbers("Uid")
        return users.count == 4 && users.allSatisfy { $0 == uid }
    }

    /// `sigqueue(3)` by pidfd. EAGAIN where the process's queue is full.
    func send(signal: Int32, value: Int32) throws(Errno) {
        try check { cfuse_pidfd_sigqueue(pidfd.raw, signal, value) }
    }

    /// The process of a thread, which is what FUSE names as the caller; the same number where it
    /// can't be told. `proc_pid_status(5)`, Tgid
    static func process(of thread: ProcessID) -> ProcessID {
        ProcessID((try? ProcessStatus(thread))?["Tgid"].flatMap { Int32($0) } ?? thread.number)
    }

    /// When a process started, in clock ticks since boot; nil where there is none.
    /// `proc_pid_stat(5)`, field 22
    static func startTime(of id: ProcessID) throws(Errno) -> UInt64? {
        do throws(Errno) {
            return try ProcessStat(id).number(22)
        } catch .noSuchFileOrDirectory {
            return nil
        } catch .noSuchProcess {
            return nil
        }
    }

    /// The process has ended, is ending, or was killed and will. `proc_pid_status(5)`
    static func isEnding(_ id: ProcessID) -> Bool {
        guard let stat = try? ProcessStat(id), let status = try? ProcessStatus(id) else {
            return true
        }
        if stat.state == "Z" || stat.state == "X" { return true }
        // PF_EXITING of <linux/sched.h>, among the flags.
        if let flags = stat.number(9), flags & 4 != 0 { return true }
        if status["CoreDumping"] == "1" { return true }
        let killed: UInt64 = 1 << UInt64(SIGKILL - 1)
        return ["SigPnd", "ShdPnd"].contains { name in
            (status[name].flatMap { UInt64($0, radix: 16) } ?? 0) & killed != 0
        }
    }
}
