import ArgumentParser
import Glibc

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check this machine's prerequisites and suggest fixes.",
        discussion: """
            One line a check: `ok`, `warn` (works, but slower or with less) or `FAIL` (needed), and \
            below what is not ok the command that mends it. Exits with 1 after a FAIL.

            EXAMPLE
              devfs doctor
              devfs doctor --json | jq -r '.checks[] | select(.state != "ok") | .fix'
            """)

    @OptionGroup
    var answers: AnswerOptions

    @Flag(help: "Print JSON: {\"checks\": [{name, state, what, fix}]}.")
    var json = false

    private struct Listing: Encodable {
        var checks: [Check]
    }

    func run() throws {
        let checks = Machine().checks()
        if json {
            try Output.json(Listing(checks: checks))
        } else {
            for check in checks {
                let state = check.state == .fail ? "FAIL" : check.state.rawValue
                try Output.line("\(state.padded(to: 4)) \(check.name): \(check.what)")
                if let fix = check.fix { try Output.line("       \(fix)") }
            }
        }
        if checks.contains(where: { $0.state == .fail }) { throw Failure.silent(.failed) }
    }
}

/// What one check found.
struct Check: Encodable {
    enum State: String, Encodable {
        case ok
        /// DevFS works, but slower or with less.
        case warn
        /// DevFS does not work.
        case fail
    }

    var name: String
    var state: State
    /// What was found, and what follows from it.
    var what: String
    /// A command to type; nil where there is nothing to mend, or nothing that mends it.
    var fix: String?

    static func ok(_ name: String, _ what: String) -> Check {
        Check(name: name, state: .ok, what: what)
    }

    static func warn(_ name: String, _ what: String, fix: String?) -> Check {
        Check(name: name, state: .warn, what: what, fix: fix)
    }

    static func fail(_ name: String, _ what: String, fix: String) -> Check {
        Check(name: name, state: .fail, what: what, fix: fix)
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
