import DevFS
import Glibc
import Synchronization
import SystemPackage

/// The server's process while its parent, `devfs mount`, waits for it; 0 before it is started.
private let server = Atomic<pid_t>(0)
/// Seconds for a server that was asked to end.
private let grace: UInt32 = 4
/// What ended the parent's wait: SIGINT, SIGTERM or SIGALRM; 0 while nothing did.
private let waitEndedBy = Atomic<Int32>(0)

/// `devfs mount` in the background: a process of our own program that serves with `-f`.
///
/// A fresh process, not a fork: libfuse's and Swift's threads start in it as in any other.
enum Daemon {
    /// Seconds for a mount to answer, and for a server to shut down. It takes milliseconds; this
    /// is for a machine that swaps, or boots. Less than the 90 that systemd gives a mount unit, so
    /// that the reason is told.
    private static let patience: UInt32 = 80

    /// Starts the server and returns once its mount answers.
    ///
    /// - Throws: the server's own error; how it died, if it said nothing; a time-out.
    static func start(_ arguments: [String], _ source: String, on mountpoint: String) throws {
        let what = "mounting \(mountpoint)"
        let pipe = try attempting(what) { try FileDescriptor.pipe() }
        let pid = try attempting("starting the server") {
            try Syscalls.setCloseOnExec(pipe.readEnd)
            try Syscalls.setCloseOnExec(pipe.writeEnd)
            return try Processes.startDaemon(ownProgram, arguments, passing: pipe.writeEnd)
        }
        // Ours must be closed, or the end of the server would not be an end of file.
        try attempting(what) { try pipe.writeEnd.close() }
        server.store(pid, ordering: .relaxed)
        watch()

        let report = try attempting(what) { try DaemonReport.read(pipe.readEnd) }
        // The kernel has agreed by then, and whatever is asked of the mount is answered. A look-up
        // by its path could lead elsewhere, to somebody who does not.
        if report == .ready && waitEndedBy.load(ordering: .relaxed) == 0 {
            Syscalls.alarm(after: 0)
            return
        }
        Syscalls.kill(pid, SIGTERM)
        let ending = try attempting("waiting for the server") { try Processes.wait(for: pid) }
        Syscalls.alarm(after: 0)
        cleanUp(source)
        switch waitEndedBy.load(ordering: .relaxed) {
        case SIGALRM: throw Failure(what, "no answer for \(patience) s", status: .timedOut)
        case SIGINT: throw Failure(what, "interrupted", status: .interrupted)
        case SIGTERM: throw Failure(what, "terminated", status: .terminated)
        default: break
        }
        if case .failed(let text) = report {
            Terminal.complain(text)
            throw Failure.silent(.failed)
        }
        throw Failure(what, "the server ended before the mount answered (\(ending))")
    }

    /// Our own program by its name, which `ps` and `pgrep` show; by number if it was replaced.
    private static var ownProgram: String {
        let link = "/proc/self/exe"
        guard let path = try? Syscalls.realPath(link), Files.isExecutable(path) else { return link }
        return path
    }

    /// A server that was killed leaves a dead mount behind.
    private static func cleanUp(_ source: String) {
        let full = source == "memory" ? "memory:default" : source
        try? MountEntry.removeDead(of: full)
    }

    /// A server that hangs, or Ctrl-C, ends the server, and thereby every call of ours that waits
    /// for it: the pipe's end of file, and a look-up on the mount, which waits uninterruptibly.
    private static func watch() {
        for signal in [SIGINT, SIGTERM, SIGALRM] {
            Syscalls.handle(signal) { number in
                let isAsked = waitEndedBy.exchange(number, ordering: .relaxed) == SIGALRM
                // A keeper ends its server when it is asked; killed, it could not.
                let isLast = isAsked && number == SIGALRM
                Syscalls.kill(server.load(ordering: .relaxed), isLast ? SIGKILL : SIGTERM)
                if number == SIGALRM { Syscalls.alarm(after: grace) }
            }
        }
        Syscalls.alarm(after: patience)
    }
}

/// What the server tells the `devfs mount` that waits for it, through a pipe.
struct DaemonReport {
    /// What the parent has read.
    enum Message: Equatable {
        /// The mount is there.
        case ready
        /// It is not, and why.
        case failed(String)
        /// The server ended without a word.
        case nothing
    }

    /// The first byte; text follows after `failure`.
    private static let success = UInt8(ascii: "+")
    private static let failure = UInt8(ascii: "-")

    private let pipe: FileDescriptor
    let output = StandardOutput()

    init(_ pipe: FileDescriptor) {
        self.pipe = pipe
        // fusermount3 must not inherit it: the parent waits for the end of file.
        try? Syscalls.setCloseOnExec(pipe)
    }

    /// Reads to the first word of the server, or to its end.
    static func read(_ pipe: FileDescriptor) throws -> Message {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.first != success {
            let count = try unsafe chunk.withUnsafeMutableBytes { try unsafe pipe.read(into: $0) }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        switch bytes.first {
        case success: return .ready
        case failure: return .failed(String(decoding: bytes.dropFirst(), as: UTF8.self))
        default: return .nothing
        }
    }

    /// The mount is there: lets go of the terminal, then of the parent.
    func ready() {
        output.letGo()
        _ = try? pipe.writeAll([Self.success])
        try? pipe.close()
    }

    /// The mount could not be made: the parent prints why.
    func failed(_ why: String) {
        _ = try? pipe.writeAll([Self.failure] + Array(why.utf8))
        try? pipe.close()
    }
}

/// What a daemon has of a terminal, until it serves.
struct StandardOutput {
    /// Where errors go once there is no terminal. Connected to before the server gives up connect(2).
    private let journal = Journal.connect()
    /// Where its messages go then; what is left for `journal` is the text of a trap.
    let entries = JournalSocket(isOn: false)

    func letGo() {
        if let null = try? Files.open("/dev/null", .readWrite) {
            for standard in [FileDescriptor.standardInput, .standardOutput, .standardError] {
                _ = try? null.duplicate(as: standard)
            }
            try? null.close()
        }
        entries?.switchOn()
        guard let journal else { return }
        _ = try? journal.duplicate(as: .standardError)
        try? journal.close()
    }
}
