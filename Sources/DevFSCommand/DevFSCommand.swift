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
            StreamCommand.self, StatusCommand.self, DeviceCommand.self, BindCommand.self,
            UnbindCommand.self, DoctorCommand.self,
        ])
}

/// Runs the command line and turns what goes wrong into a line on stderr and an exit code.
@main
enum Main {
    static func main() {
        do {
            var command = try DevFSCommand.parseAsRoot()
            try command.run()
        } catch let failure as Failure {
            if !failure.isSilent { Terminal.complain(failure.description) }
            exit(failure.status.rawValue)
        } catch let error as SetupError {
            Terminal.complain(error.description)
            exit(ExitStatus.failed.rawValue)
        } catch {
            DevFSCommand.exit(withError: error)
        }
    }
}
