import DevFS
import Glibc
import SystemPackage

/// What people read on stderr.
enum Terminal {
    /// Prints `devfs: MESSAGE` on one line. Names of others are in it, so that what does not print
    /// is escaped.
    ///
    /// The journal takes it for an error by the number before it. `sd-daemon(3)`
    static func complain(_ message: String) {
        let level = JournalSocket.isStandardError ? "<3>" : ""
        write("\(level)devfs: \(message.printable)\n")
    }

    /// Nobody can be told when stderr itself fails.
    fileprivate static func write(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
    }
}

/// One line about a long operation, rewritten in place; silent where stderr is not a terminal.
/// Whoever shows it clears it.
struct Progress {
    /// Often enough to look alive, seldom enough to cost nothing.
    private static let interval = Duration.milliseconds(200)

    let isShown = isatty(STDERR_FILENO) == 1
    private let start = ContinuousClock.now
    private var last: ContinuousClock.Instant
    private var isOnScreen = false

    /// Nothing is shown for operations that end within the first interval.
    init() { last = start }

    /// Shows `text`, which is given the time since the operation began.
    mutating func show(_ text: (Duration) -> String) {
        guard isShown else { return }
        let now = ContinuousClock.now
        guard now - last >= Self.interval else { return }
        last = now
        isOnScreen = true
        Terminal.write("\r\u{1B}[K\(text(now - start).printable)")
    }

    /// Clears the line, so that what is printed next starts on an empty one.
    mutating func clear() {
        guard isOnScreen else { return }
        isOnScreen = false
        Terminal.write("\r\u{1B}[K")
    }
}
