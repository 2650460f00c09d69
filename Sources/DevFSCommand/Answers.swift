import ArgumentParser
import DevFS
import DevFSClient
import Glibc
import Synchronization
import SystemPackage

/// No command waits for ever for a server that hangs or was stopped: before it uses a mount it asks
/// for one answer, and gives up where none comes.
enum Answers {
    /// Milliseconds.
    private static let patience = Atomic<Int32>(10_000)

    static var milliseconds: Int32 { patience.load(ordering: .relaxed) }

    static func wait(atMost limit: Seconds) {
        let milliseconds = limit.duration / .milliseconds(1)
        let clamped = Int32(min(max(milliseconds, 1), 1e9))  // fits: clamped
        patience.store(clamped, ordering: .relaxed)
    }

    /// For a command that has a limit of its own.
    static func shorten(to limit: Seconds?) {
        if let limit, limit.duration < .milliseconds(milliseconds) { wait(atMost: limit) }
    }

    /// Whether what is at a path can be had in time, with whatever answer.
    static func come(from path: String) -> Bool {
        Calls.answers(path, within: milliseconds)
    }

    /// - Parameter mount: the mount that the path is on, where that is known without asking.
    /// - Throws: "timed out".
    static func check(_ path: String, on mount: MountEntry?) throws(Failure) {
        if come(from: path) { return }
        throw Failure(path, mount.map { Silence(of: $0).text } ?? noAnswer, status: .timedOut)
    }

    private static var noAnswer: String {
        let time = milliseconds
        return "no answer for " + (time % 1000 == 0 ? "\(time / 1000) s" : "\(time) ms")
    }

    /// What is said of a server that does not answer, and what can be done.
    struct Silence {
        let text: String
        /// A command.
        let fix: String

        init(of mount: MountEntry) {
            let end = "devfs unmount --force -- \(mount.mountpoint.shellQuoted)"
            guard let server = Server(of: mount) else {
                (text, fix) = ("\(noAnswer); `\(end)` ends it", end)
                return
            }
            let start = "\(noAnswer) from its server, process \(server.pid)"
            guard server.isStopped else {
                (text, fix) = ("\(start); `\(end)` ends it", end)
                return
            }
            fix = "kill -CONT \(server.pid)"
            text = "\(start); it is stopped: `\(fix)`; `\(end)` ends it"
        }
    }

    /// The process that serves a mount, found without asking the mount.
    struct Server: ~Copyable {
        let pid: pid_t
        /// Ready to be read once it has ended.
        let handle: FileDescriptor

        /// Nil where it is dead, another user's, or not to be found out.
        init?(of mount: MountEntry) {
            guard let path = mount.socketPath,
                let socket = try? Syscalls.connect(to: path, waits: false)
            else {
                return nil
            }
            // The pid cannot become another process's while the server holds the other end.
            defer { try? socket.close() }
            guard let pid = try? Syscalls.peer(of: socket),
                let handle = try? Syscalls.openProcess(pid)
            else { return nil }
            (self.pid, self.handle) = (pid, handle)
        }

        var isStopped: Bool {
            let state = (try? ProcessStat(ProcessID(pid)))?.state
            return state == "T" || state == "t"
        }

        deinit { try? handle.close() }
    }
}

/// The limit of commands that are done at once.
struct AnswerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How long the mount's server may take to answer (10).", valueName: "seconds"))
    var timeout: Seconds?

    func validate() throws {
        if let timeout { Answers.wait(atMost: timeout) }
    }
}
