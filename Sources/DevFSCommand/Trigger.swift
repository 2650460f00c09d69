import ArgumentParser
import DevFS

struct TriggerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trigger",
        abstract: "Make events of a software signal.",
        usage: "devfs trigger [<mount>] <signal> [<n>]",
        discussion: """
            EXAMPLE
              devfs trigger /mnt/dma go
              devfs trigger /mnt/dma/signals/go 3
            """)

    @Argument(
        help: ArgumentHelp(
            "Path of the signal, or the mount and its name; then how many events, 1 to 1000000.",
            valueName: "signal"),
        completion: Completions.operands(.signals))
    var words: [String]

    @OptionGroup
    var answers: AnswerOptions

    func run() throws {
        let operands = try Operands(words, in: .signals)
        let (tree, signal) = (operands.tree, operands.name)
        let count = try operands.rest.only(Int.self, "a number of events") ?? 1
        guard (1...1_000_000).contains(count) else {
            throw ValidationError("a trigger makes 1 to 1000000 events")
        }
        try tree.write(
            "\(count)", to: "signals/\(signal.text)/trigger", for: "triggering \(signal.text)")
    }
}
