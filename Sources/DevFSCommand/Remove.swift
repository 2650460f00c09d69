import ArgumentParser
import DevFS

struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Free buffers.",
        discussion: """
            The names are free at once; the memory lives until its last user (descriptor, mapping, \
            stream) has gone. All are tried, even if one cannot be freed.

            EXAMPLE
              devfs rm /mnt/dma rx tx
            """)

    @OptionGroup var mount: MountedPath

    @Argument(help: ArgumentHelp("Buffers.", valueName: "name"))
    var names: [Name]

    @Flag(name: [.short, .long], help: "It is no error if there is no such buffer.")
    var force = false

    func run() throws {
        let tree = try Tree(containing: mount.path)
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
