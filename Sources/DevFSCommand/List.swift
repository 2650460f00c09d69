import ArgumentParser

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the buffers of a mount, its signals, its streams, or all devices.",
        discussion: """
            EXAMPLE
              devfs list /mnt/dma
              devfs list /mnt/dma --streams --json | jq '.streams[].overruns'
            """,
        aliases: ["ls"])

    @Argument(
        help: ArgumentHelp("The mount point, or any path below it.", valueName: "mount"),
        completion: Completions.mounts)
    var path = "."

    @OptionGroup
    var answers: AnswerOptions

    @Flag(help: "The signals.")
    var signals = false

    @Flag(help: "The streams.")
    var streams = false

    @Flag(help: "Memory devices, nodes of the module, and PCI devices that could be bound to it.")
    var devices = false

    @Flag(help: "Print JSON: {\"buffers\": [...]}, \"signals\", \"streams\" or \"devices\".")
    var json = false

    /// The lists that were asked for; the others are left out of the JSON.
    private struct Listing: Encodable {
        var buffers: [BufferRecord]?
        var signals: [SignalRecord]?
        var streams: [StreamRecord]?
    }

    func validate() throws {
        guard !devices || (!signals && !streams && path == ".") else {
            throw ValidationError("--devices lists all devices, whatever is mounted where")
        }
    }

    func run() throws {
        if devices { return try HardwareTable.show(asJSON: json) }
        let tree = try Tree(containing: path)
        var listing = Listing()
        if signals { listing.signals = try SignalRecord.all(in: tree) }
        if streams { listing.streams = try StreamRecord.all(in: tree) }
        if !signals && !streams { listing.buffers = try BufferRecord.all(in: tree) }
        if json { return try Output.json(listing) }
        try Output.table(BufferRecord.heading, listing.buffers?.map(\.row) ?? [])
        try Output.table(SignalRecord.heading, listing.signals?.map(\.row) ?? [])
        if signals && streams { try Output.line("") }
        try Output.table(StreamRecord.heading, listing.streams?.map(\.row) ?? [])
    }
}
