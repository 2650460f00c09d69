import ArgumentParser
import DevFS

struct SyncCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync",
        abstract: "Hand a buffer, or a range of it, to the cpu or to the device.",
        discussion: """
            For programs that use mmap: `cpu` before the cpu reads what the device wrote, `device` \
            before the device reads what the cpu wrote. read(2) and write(2) need neither.

            EXAMPLE
              devfs sync /mnt/dma rx cpu --offset 64K --length 4K
            """)

    enum Side: String, ExpressibleByArgument, CaseIterable {
        case cpu
        case device
    }

    @OptionGroup var mount: MountedPath

    @Argument(help: "The buffer.")
    var name: Name

    @Argument(help: "Who has it from now on: cpu or device.")
    var side: Side

    @Option(help: ArgumentHelp("First byte; K, M and G are understood.", valueName: "bytes"))
    var offset: ByteCount?

    @Option(help: ArgumentHelp("How many bytes; 0 is the rest.", valueName: "bytes"))
    var length: ByteCount?

    func run() throws {
        let tree = try Tree(containing: mount.path)
        var command = "\(name.text) for_\(side.rawValue)"
        if offset != nil || length != nil {
            command += " \(offset?.bytes ?? 0) \(length?.bytes ?? 0)"
        }
        try tree.write(command, to: "control/sync", for: "syncing \(name.text)")
    }
}
