import ArgumentParser
import DevFS

struct SyncCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync",
        abstract: "Hand a buffer, or a range of it, to the cpu or to the device.",
        usage: "devfs sync [<mount>] <buffer> cpu|device [--offset <bytes>] [--length <bytes>]",
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

    @Argument(
        help: ArgumentHelp(
            "Path of the buffer, or the mount and its name; then who has it from now on: cpu or "
                + "device.", valueName: "buffer"),
        completion: Completions.operands(.buffers, Side.allCases.map(\.rawValue)))
    var words: [String]

    @Option(help: ArgumentHelp("First byte; K, M and G are understood.", valueName: "bytes"))
    var offset: ByteCount?

    @Option(help: ArgumentHelp("How many bytes; 0 is the rest.", valueName: "bytes"))
    var length: ByteCount?

    @OptionGroup
    var answers: AnswerOptions

    func run() throws {
        let operands = try Operands(words, in: .buffers)
        let (tree, name) = (operands.tree, operands.name)
        guard let side = try operands.rest.only(Side.self, "cpu or device") else {
            throw ValidationError("who has it from now on? cpu or device is missing")
        }
        var command = "\(name.text) for_\(side.rawValue)"
        if offset != nil || length != nil {
            command += " \(offset?.bytes ?? 0) \(length?.bytes ?? 0)"
        }
        try tree.write(command, to: "control/sync", for: "syncing \(name.text)")
    }
}
