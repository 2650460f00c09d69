import CFuse
import Glibc

/// POSIX signals by name. `signal(7)`
enum SignalNumber {
    private static let names: [(String, Int32)] = [
        ("HUP", SIGHUP), ("INT", SIGINT), ("QUIT", SIGQUIT), ("ILL", SIGILL), ("TRAP", SIGTRAP),
        ("ABRT", SIGABRT), ("BUS", SIGBUS), ("FPE", SIGFPE), ("KILL", SIGKILL), ("USR1", SIGUSR1),
        ("SEGV", SIGSEGV), ("USR2", SIGUSR2), ("PIPE", SIGPIPE), ("ALRM", SIGALRM),
        ("TERM", SIGTERM), ("STKFLT", SIGSTKFLT), ("CHLD", SIGCHLD), ("CONT", SIGCONT),
        ("STOP", SIGSTOP), ("TSTP", SIGTSTP), ("TTIN", SIGTTIN), ("TTOU", SIGTTOU),
        ("URG", SIGURG), ("XCPU", SIGXCPU), ("XFSZ", SIGXFSZ), ("VTALRM", SIGVTALRM),
        ("PROF", SIGPROF), ("WINCH", SIGWINCH), ("IO", SIGIO), ("PWR", SIGPWR), ("SYS", SIGSYS),
    ]
    /// The C library keeps 32 and 33 for itself.
    static let realTime: ClosedRange<Int32> = 34...64

    /// `SIGUSR1`, `USR1`, `SIGRTMIN+3`, `RTMAX-1` or 1 to 64; nil for anything else.
    static func parse(_ text: Substring) -> Int32? {
        if let number = Number.plain(text) {
            return (1...64).contains(number) ? Int32(exactly: number) : nil
        }
        let name = text.hasPrefix("SIG") ? text.dropFirst(3) : text
        // By bytes: as characters the Kelvin sign is a K.
        if let match = names.first(where: { $0.0.utf8.elementsEqual(name.utf8) }) {
            return match.1
        }
        // Both stay in the range.
        return offset(name, "RTMIN", "+").map { realTime.lowerBound &+ $0 }
            ?? offset(name, "RTMAX", "-").map { realTime.upperBound &- $0 }
    }

    /// The number after `base` and `sign`, 0 where there is none.
    private static func offset(_ text: Substring, _ base: String, _ sign: Character) -> Int32? {
        guard text.hasPrefix(base) else { return nil }
        let rest = text.dropFirst(base.count)
        guard let first = rest.first else { return 0 }
        let span = realTime.upperBound - realTime.lowerBound  // fits: constants
        guard first == sign, let value = Number.plain(rest.dropFirst()), value <= span
        else { return nil }
        return Int32(exactly: value)
    }

    /// `SIGUSR1`, `SIGRTMIN+3`, or the number where it has no name.
    static func name(_ signal: Int32) -> String {
        if let match = names.first(where: { $0.1 == signal }) { return "SIG\(match.0)" }
        if realTime.contains(signal) { return "SIGRTMIN+\(signal &- realTime.lowerBound)" }
        return "\(signal)"
    }
}
