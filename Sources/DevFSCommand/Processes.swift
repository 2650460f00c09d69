import DevFS
import Glibc
import SystemPackage

/// Starting programs, without a shell.
enum Processes {
    /// How a process ended.
    enum Ending: CustomStringConvertible {
        case exited(Int32)
        case killed(Int32)

        var description: String {
            switch self {
            case .exited(let status): "exit code \(status)"
            case .killed(let signal): "signal \(signal)"
            }
        }
    }

    /// Starts `program` with signals as at login.
    ///
    /// No descriptor but the standard output and error and `descriptor` is passed on: a daemon that
    /// kept a caller's pipe open would make the caller wait for its end.
    /// - Parameter descriptor: becomes descriptor 3 of the process.
    static func startDaemon(
        _ program: String, _ arguments: [String], passing descriptor: FileDescriptor
    ) throws -> pid_t {
        try keepDescriptors()
        return try unsafe start(program, arguments) { attributes, actions in
            unsafe posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
            unsafe posix_spawn_file_actions_adddup2(actions, descriptor.rawValue, 3)
            var signals = sigset_t()
            unsafe sigemptyset(&signals)
            unsafe posix_spawnattr_setsigmask(attributes, &signals)
            unsafe sigfillset(&signals)
            unsafe posix_spawnattr_setsigdefault(attributes, &signals)
            let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
            unsafe posix_spawnattr_setflags(attributes, Int16(flags))
        }
    }

    /// Marks all descriptors above the standard ones as not to be inherited.
    private static func keepDescriptors() throws {
        for descriptor in try Syscalls.names(in: "/proc/self/fd").compactMap({ Int32($0) })
        where descriptor > STDERR_FILENO {
            // The one that listed the directory is closed by now.
            try? Syscalls.setCloseOnExec(FileDescriptor(rawValue: descriptor))
        }
    }

    /// Runs `program` to its end.
    static func run(_ program: String, _ arguments: [String]) throws -> Ending {
        try wait(for: unsafe start(program, arguments) { _, _ in })
    }

    /// What a line for the shell prints first, without its end; empty where it prints nothing. `popen(3)`
    static func firstLine(of line: String) -> String {
        guard let pipe = unsafe popen(line, "re") else { return "" }
        defer { unsafe _ = pclose(pipe) }
        var room = [CChar](repeating: 0, count: 512)
        guard unsafe fgets(&room, CInt(room.count), pipe) != nil else { return "" }
        let bytes = room.prefix { $0 != 0 && $0 != 0x0a }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Waits for the end of a child.
    static func wait(for pid: pid_t) throws -> Ending {
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw Errno(rawValue: errno) }
        }
        // WIFEXITED and its like are macros that Swift does not see.
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .killed(signal)
    }

    /// Becomes another program, found in PATH; returns only if it cannot be started.
    static func replaceSelf(with command: [String]) throws -> Never {
        unsafe withCStrings(command) { argv in
            if let name = command.first { unsafe _ = execvp(name, argv) }
        }
        throw Errno(rawValue: errno)
    }

    private typealias Attributes = UnsafeMutablePointer<posix_spawnattr_t>
    private typealias FileActions = UnsafeMutablePointer<posix_spawn_file_actions_t>

    private static func start(
        _ program: String, _ arguments: [String],
        _ prepare: (Attributes, FileActions) -> Void
    ) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawnattr_init(&attributes)
        unsafe posix_spawn_file_actions_init(&actions)
        defer {
            unsafe posix_spawnattr_destroy(&attributes)
            unsafe posix_spawn_file_actions_destroy(&actions)
        }
        unsafe prepare(&attributes, &actions)
        var pid: pid_t = 0
        let result = unsafe withCStrings(arguments) { argv in
            unsafe posix_spawnp(&pid, program, &actions, &attributes, argv, environ)
        }
        // It returns the error, and leaves errno alone.
        guard result == 0 else { throw Errno(rawValue: result) }
        return pid
    }

    /// Lends `strings` as an argument vector that ends with NULL.
    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = unsafe strings.map { unsafe strdup($0) }
        let result = unsafe body(unsafe copies + [nil])
        for index in unsafe copies.indices { unsafe free(copies[index]) }
        return result
    }
}
