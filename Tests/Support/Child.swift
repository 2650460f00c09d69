import Glibc
import Synchronization

/// What a command left behind.
package struct Output: Sendable {
    /// The exit status; 128 + N for a command that signal N ended.
    package var status: Int32
    package var bytes: [UInt8]
    package var error: String

    /// Its standard output as text.
    package var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// A command that did not do what it was asked to.
package struct CommandFailure: Error, CustomStringConvertible {
    package var description: String

    package init(description: String) {
        self.description = description
    }

    /// What failed, with the reason of the call that this thread made last.
    static func ofCall(_ what: String, _ number: Int32 = errno) -> CommandFailure {
        CommandFailure(description: "\(what): \(unsafe String(cString: strerror(number)))")
    }
}

/// A child process whose output goes to files without a name, so that it never waits for us. It is
/// killed and reaped when its owner goes.
package final class Child: Sendable {
    package let pid: pid_t
    private let command: [String]
    private let out: Scratch
    private let err: Scratch
    /// As wait(2) gives it, once it was reaped.
    private let status = Mutex<Int32?>(nil)

    /// Starts `command`, found by PATH, as the leader of a process group of its own.
    package init(_ command: [String] = ["sleep", "300"], directory: String? = nil) throws {
        let words = directory.map { ["env", "-C", $0] + command } ?? command
        out = try Scratch()
        err = try Scratch()
        self.command = command
        pid = try Self.spawn(words, out: out.descriptor, err: err.descriptor)
    }

    deinit { end() }

    /// The number of a process that was ours and is gone.
    package static func deadNumber() throws -> pid_t {
        let child = try Child(["true"])
        child.end()
        return child.pid
    }

    /// What it has written to standard output up to now.
    package var textSoFar: String { String(decoding: out.contents(), as: UTF8.self) }
    package var errorSoFar: String { String(decoding: err.contents(), as: UTF8.self) }

    /// True as long as it has not ended.
    package var runs: Bool { !reap() }

    package func signal(_ number: Int32) {
        status.withLock { if $0 == nil { kill(pid, number) } }
    }

    /// Kills it and takes its status: afterwards its number is free.
    package func end() {
        signal(SIGKILL)
        _ = holds(within: .seconds(5)) { reap() }
    }

    /// Waits for the end of it; kills its process group and throws where it takes longer.
    @discardableResult
    package func wait(within limit: Duration = .seconds(20)) throws -> Output {
        if !holds(within: limit, { reap() }) {
            let running = command.joined(separator: " ")
            kill(-pid, SIGKILL)
            _ = holds(within: .seconds(5)) { reap() }
            throw CommandFailure(
                description: "still running after \(limit): \(running)\n\(textSoFar)\(errorSoFar)")
        }
        let raw = status.withLock { $0 } ?? 0
        let code = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
        return Output(status: code, bytes: out.contents(), error: errorSoFar)
    }

    private func reap() -> Bool {
        status.withLock { status in
            if status != nil { return true }
            var raw: Int32 = 0
            guard unsafe waitpid(pid, &raw, WNOHANG) == pid else { return false }
            status = raw
            return true
        }
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
        if failure != 0 { throw CommandFailure.ofCall(words[0], failure) }
        return pid
    }
}
