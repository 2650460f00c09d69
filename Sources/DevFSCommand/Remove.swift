import ArgumentParser
import DevFS

struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Free buffers.",
        usage: "devfs rm [<mount>] <name> ... [--force]",
        discussion: """
            The names are free at once; the memory lives until its last user (descriptor, mapping, \
            stream) has gone. All are tried, even if one cannot be freed.

            EXAMPLE
              devfs rm /mnt/dma rx tx
              devfs rm /mnt/dma/buffers/rx
              cd /mnt/dma && devfs rm rx
            """)

    @Argument(
        help: ArgumentHelp("Paths of buffers, or a mount and names.", valueName: "buffer"),
        completion: Completions.operands(.buffers))
    var words: [String]

    @OptionGroup
    var answers: AnswerOptions

    @Flag(name: [.short, .long], help: "Ignore buffers that do not exist.")
    var force = false

    func run() throws {
        let operands = try Operands(words, in: .buffers, isList: true)
        let (tree, names) = (operands.tree, operands.names)
        var status: ExitStatus?
        for name in names {
            do {
                try tree.doing("freeing \(name.text)") {
                    try Syscalls.unlink(tree.path("buffers/\(name.text)"))
                }
            } catch let failure as Failure {
                if force && failure.status == .notFound { continue }
                Terminal.complain(failure.description)
                status = failure.status == .notFound && status != .failed ? .notFound : .failed
            }
        }
        if let status { throw Failure.silent(status) }
    }
}
