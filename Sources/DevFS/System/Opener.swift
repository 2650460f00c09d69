import CFuse
import Glibc
import SystemPackage

/// Who opened a file. His are the rights of every command that is written to it, whoever writes it:
/// a setuid program writes its errors to whatever it was given as descriptor 2, and the kernel's own
/// control files go by the opener for that reason (`file->f_cred`).
///
/// What FUSE does not tell of him is read from /proc while he waits in his open(2): until that is
/// replied to his thread is in the kernel, so it can neither end nor become another program.
struct Opener: Sendable {
    /// His process: its number is taken for it only together with when it started.
    struct Process: Sendable {
        var id: ProcessID
        /// Clock ticks since boot, `proc_pid_stat(5)`.
        var start: UInt64
        var namespace: ProcessNamespace
    }

    /// The thread that opened it.
    let caller: Caller
    /// Supplementary groups; none where they can't be told for certain.
    let groups: [UInt32]
    /// The number of his process, to be shown; the thread's where it can't be told.
    let pid: ProcessID
    /// Nil where it was not asked for, or is not to be seen from here.
    let process: Process?

    var uid: UInt32 { caller.uid }

    private init(
        _ caller: Caller, _ groups: [UInt32], _ pid: ProcessID, _ process: Process?
    ) {
        self.caller = caller
        self.groups = groups
        self.pid = pid
        self.process = process
    }

    /// As an earlier server saw him when he opened it.
    init(kept caller: Caller, groups: [UInt32], pid: ProcessID, process: Process?) {
        self.init(caller, groups, pid, process)
    }

    /// Nothing is known but what FUSE tells.
    init(_ caller: Caller) { self.init(caller, [], caller.pid, nil) }

    /// Looks at the caller of a request that was not replied to yet.
    /// - Parameter identifies: who it is counts too, beside its rights.
    init(waiting caller: Caller, identifies: Bool = false) {
        guard caller.pid.number > 0, let status = try? ProcessStatus(caller.pid),
            // A thread that acts for another (io_uring's personalities) has that one's groups.
            status.numbers("Uid").last == caller.uid, status.numbers("Gid").last == caller.gid
        else {
            self.init(caller)
            return
        }
        let pid = ProcessID(status["Tgid"].flatMap { Int32($0) } ?? caller.pid.number)
        var process: Process?
        if identifies, let start = try? ProcessHandle.startTime(of: pid) {
            process = Process(
                id: pid, start: start,
                namespace: ProcessNamespace(of: caller.pid, numbers: status.numbers("NSpid")))
        }
        self.init(caller, status.numbers("Groups"), pid, process)
    }
}

/// The numbers by which a process knows others. `pid_namespaces(7)`
enum ProcessNamespace: Sendable, Equatable {
    /// Those of this server.
    case own
    /// Others, by what the link says that /proc has of it.
    case other(link: String)
    case unknown

    /// - Parameter numbers: of the thread in each namespace from /proc's own on, `NSpid`.
    init(of thread: ProcessID, numbers: [UInt32]) {
        if numbers.count == 1 {
            self = .own
        } else if let link = Self.link(of: thread) {
            self = .other(link: link)
        } else {
            self = .unknown
        }
    }

    private static func link(of thread: ProcessID) -> String? {
        try? Syscalls.link("/proc/\(thread.number)/ns/pid", at: Syscalls.currentDirectory)
    }

    /// The number that this server has for a process that is `number` there.
    /// - Throws: ESRCH where there is none, or it can't be told for certain.
    func process(_ number: Int32) throws(Errno) -> ProcessID {
        switch self {
        case .own: return ProcessID(number)
        case .unknown: throw .noSuchProcess
        case .other(let link):
            let directory = try Syscalls.open("/proc", flags: cfuse_o_path | O_DIRECTORY)
            for name in try Syscalls.names(in: directory.raw) {
                guard let id = Int32(name).map(ProcessID.init), let status = try? ProcessStatus(id)
                else { continue }
                let numbers = status.numbers("NSpid")
                // Of a process of that very namespace it is the last one.
                guard numbers.count > 1, numbers.last == UInt32(exactly: number) else { continue }
                if Self.link(of: id) == link { return id }
            }
            throw .noSuchProcess
        }
    }
}
