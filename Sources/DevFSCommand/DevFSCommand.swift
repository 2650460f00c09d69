import ArgumentParser
import DevFS
import Glibc

/// The `devfs` command: each subcommand is one file of this folder.
struct DevFSCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devfs",
        abstract: "DMA buffers, signals and streams of a device as a file tree.",
        discussion: """
            EXIT CODES
              0    done
              1    the operation failed; stderr says `devfs: WHAT: WHY`
              2    not a DevFS mount, or nothing of that name
              64   wrong usage
              78   a wrong mount option
              124  timed out
              130  interrupted by Ctrl-C

            EXAMPLE
              devfs mount memory:lab /mnt/dma -o size=64M
              devfs create /mnt/dma rx 4M
              devfs list /mnt/dma
            """,
        version: "devfs \(DevFSVersion.text)",
        subcommands: [
            MountCommand.self, UnmountCommand.self, ListCommand.self, CreateCommand.self,
            RemoveCommand.self, SyncCommand.self, WaitCommand.self, TriggerCommand.self,
            StreamCommand.self, RegistersCommand.self, TopCommand.self, ViewCommand.self,
            StatusCommand.self, DeviceCommand.self, BindCommand.self, UnbindCommand.self,
            DoctorCommand.self, UpgradeCommand.self,
        ])
}

/// Runs the command line and turns what goes wrong into a line on stderr and an exit code.
@main
enum Main {
    static func main() {
        var parsed: any ParsableCommand.Type = DevFSCommand.self
        do {
            try checkCommand()
            var command = try DevFSCommand.parseAsRoot()
            parsed = type(of: command)
            try command.run()
        } catch let failure as Failure {
            if !failure.isSilent { Terminal.complain(failure.description) }
            exit(failure.status.rawValue)
        } catch let error as SetupError {
            Terminal.complain(error.description)
            exit(ExitStatus.failed.rawValue)
        } catch {
            // It shows the usage of this command.
            (error is ValidationError ? parsed : DevFSCommand.self).exit(withError: error)
        }
    }

    /// The parser says of a command that there is not only that it is unexpected.
    private static func checkCommand() throws {
        var command: any ParsableCommand.Type = DevFSCommand.self
        for word in CommandLine.arguments.dropFirst() where !word.isEmpty {
            let known = command.configuration.subcommands
            // An option, a word for the parser's own use, or a command's argument.
            if known.isEmpty || word.hasPrefix("-") || word == "help" { return }
            guard let next = known.first(where: { names(of: $0).contains(word) }) else {
                let names = known.compactMap { $0.configuration.commandName }
                throw ValidationError(
                    "there is no '\(word)': \(Suggestion.text(word, "commands", names))")
            }
            command = next
        }
    }

    private static func names(of command: any ParsableCommand.Type) -> [String] {
        [command.configuration.commandName].compactMap { $0 } + command.configuration.aliases
    }
}
