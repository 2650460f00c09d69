import Glibc

/// What a command left behind.
struct Output {
    /// The exit status; 128 + N for a command that signal N ended.
    var status: Int32
    var bytes: [UInt8]
    var error: String

    /// Its standard output as text.
    var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// A command that did not do what it was asked to.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String
}

/// A child process whose output goes to files without a name, so that it never waits for us.
final class Child {
    let pid: pid_t
    private let command: [String]
    private let out: Scratch
    private let err: Scratch
    private var status: Int32?

    /// Starts `command`, found by PATH, as the leader of a process group of its own.
    init(_ command: [String], directory: String? = nil) throws {
        let words = directory.map { ["env", "-C", $0] + command } ?? command
        out = try Scratch()
        err = try Scratch()
        self.command = command
        pid = try Self.spawn(words, out: out.descriptor, err: err.descriptor)
    }

    deinit {
        if status == nil {
            signal(SIGKILL)
            _ = try? wait(within: .seconds(5))
        }
    }

    /// What it has written to standard output up to now.
    var textSoFar: String { String(decoding: out.contents(), as: UTF8.self) }
    var errorSoFar: String { String(decoding: err.contents(), as: UTF8.self) }

    /// True as long as it has not ended.
    var runs: Bool { !reap() }

    func signal(_ number: Int32) {
        if status == nil { kill(pid, number) }
    }

    /// Waits for the end of it; kills its process group and throws where it takes longer.
    @discardableResult
    func wait(within limit: Duration = .seconds(20)) throws -> Output {
        if !holds(within: limit, { reap() }) {
            let running = command.joined(separator: " ")
            kill(-pid, SIGKILL)
            _ = holds(within: .seconds(5)) { reap() }
            throw CommandFailure(
                description: "still running after \(limit): \(running)\n\(textSoFar)\(errorSoFar)")
        }
        let raw = status ?? 0
        let code = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
        return Output(status: code, bytes: out.contents(), error: errorSoFar)
    }

    /// Waits until it has a descriptor whose path ends with `suffix` and sleeps.
    func waitsOn(_ suffix: String) -> Bool {
        holds { self.descriptors.contains { $0.hasSuffix(suffix) } && self.state == "S" }
    }

    /// Where its descriptors lead.
    var descriptors: [String] {
        names(in: "/proc/\(pid)/fd").map { target(of: "/proc/\(pid)/fd/\($0)") }
    }

    /// The state letter of proc_pid_stat(5).
    var state: Character? {
        guard let stat = try? text(of: "/proc/\(pid)/stat") else { return nil }
        return stat.split(separator: ")").last?.first { $0 != " " }
    }

    private func reap() -> Bool {
        if status != nil { return true }
        var raw: Int32 = 0
        guard unsafe waitpid(pid, &raw, WNOHANG) == pid else { return false }
        status = raw
        return true
    }

    private static func spawn(_ words: [String], out: Int32, err: Int32) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, out, 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, err, 2)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // Signals that this process ignores or blocks would be ignored or blocked in the child.
        var none = sigset_t()
        var defaults = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigemptyset(&defaults)
        for number in [SIGPIPE, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2] {
            unsafe sigaddset(&defaults, number)
        }
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let flags =
            POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { for index in 0..<words.count { unsafe free(arguments[index]) } }
        var pid: pid_t = 0
        let failure = unsafe posix_spawnp(
            &pid, words[0], &actions, &attributes, &arguments, environ)
        if failure != 0 { throw Errno(failure) }
        return pid
    }
}
