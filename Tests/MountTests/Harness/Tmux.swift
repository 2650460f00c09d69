import Glibc
import Synchronization
import Testing

/// A terminal with a shell in it, by tmux: keys are typed, and what is on the screen is read.
final class Tmux {
    private static let counter = Atomic<Int>(0)
    static let isThere = Machine.shell("command -v tmux") != nil

    private let socket: String

    /// - Parameter environment: `NAME=VALUE` for what runs in it.
    init(columns: Int = 80, rows: Int = 24, locale: String = "C.UTF-8", _ environment: String...)
        throws
    {
        let number = Self.counter.add(1, ordering: .relaxed).newValue
        socket = "devfs-test-\(getpid())-\(number)"
        let shell =
            ["env", "-u", "NO_COLOR", "LC_ALL=\(locale)", "PS1=$ ", "TERM=screen-256color"]
            + environment + [
                // Nothing is left of a run that was killed.
                "timeout", "--foreground", "300", "bash", "--norc", "--noprofile", "-i",
            ]
        try tell(
            ["new-session", "-d", "-s", "t", "-x", "\(columns)", "-y", "\(rows)"] + shell)
        // tmux leaves out the blank behind it.
        try shows { $0.contains("$") }
    }

    deinit { _ = try? tell(["kill-server"]) }

    @discardableResult
    private func tell(_ words: [String]) throws -> String {
        let output = try Child(["tmux", "-u", "-L", socket, "-f", "/dev/null"] + words).wait()
        guard output.status == 0 else {
            throw CommandFailure(description: "tmux \(words): \(output.error)")
        }
        return output.text
    }

    /// Types a line and Return.
    func type(_ line: String) throws {
        try tell(["send-keys", "-t", "t", "-l", line])
        try press("Enter")
    }

    /// Keys as tmux(1) names them: `q`, `C-c`, `Tab`.
    func press(_ keys: String...) throws {
        for key in keys { try tell(["send-keys", "-t", "t", key]) }
    }

    func resize(columns: Int, rows: Int) throws {
        try tell(["resize-window", "-t", "t", "-x", "\(columns)", "-y", "\(rows)"])
    }

    /// The lines on the screen, without the blanks at their ends; `escapes` has colours in it.
    func screen(escapes: Bool = false) throws -> [String] {
        try tell(["capture-pane", "-p", "-t", "t"] + (escapes ? ["-e"] : []))
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// Waits until the screen is as `condition` wants it.
    func shows(
        within limit: Duration = .seconds(15), _ condition: ([String]) throws -> Bool,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        var lines: [String] = []
        let holds = try holds(within: limit) {
            lines = try screen()
            return try condition(lines)
        }
        #expect(holds, "\(lines.joined(separator: "\n"))", sourceLocation: sourceLocation)
    }

    func shows(
        _ text: String, within limit: Duration = .seconds(15),
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try shows(
            within: limit, { $0.contains { $0.contains(text) } }, sourceLocation: sourceLocation)
    }

    /// The program has the screen to itself.
    var isAlternate: Bool { get throws { try flag("alternate_on") } }

    private func flag(_ name: String) throws -> Bool {
        try tell(["display-message", "-p", "-t", "t", "#{\(name)}"]).hasPrefix("1")
    }

    /// The terminal is what a shell wants: no alternate screen, a cursor, lines with an echo.
    func isRestored() throws -> Bool {
        try type("clear; stty -a | tr ' ;' '\\n' | grep -cx 'icanon\\|echo\\|isig'")
        let isOne = try holds { try screen().contains("3") }
        return try isOne && !isAlternate && flag("cursor_flag")
    }
}
