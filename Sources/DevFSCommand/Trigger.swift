import ArgumentParser
import DevFS

struct TriggerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trigger",
        abstract: "Make events of a software signal.",
        discussion: """
            EXAMPLE
              devfs trigger /mnt/dma go
            """)

    @OptionGroup var mount: MountedPath

    @Argument(help: "The signal.")
    var signal: Name

    @Argument(help: ArgumentHelp("How many events, 1 to 1000000.", valueName: "n"))
    var count = 1

    func validate() throws {
        guard (1...1_000_000).contains(count) else {
            throw ValidationError("a trigger makes 1 to 1000000 events")
        }
    }

    func run() throws {
        let tree = try Tree(containing: mount.path)
        try tree.write(
            "\(count)", to: "signals/\(signal.text)/trigger", for: "triggering \(signal.text)")
    }
}
