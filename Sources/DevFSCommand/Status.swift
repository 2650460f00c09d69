import ArgumentParser

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the state of a mount and what it can do.",
        discussion: """
            The JSON has all of it: version, status, features, heaps and metrics.

            EXAMPLE
              devfs status /mnt/dma --json | jq '.heaps[] | {name, used}'
            """)

    @Argument(
        help: ArgumentHelp("The mount point, or any path below it.", valueName: "mount"),
        completion: Completions.mounts)
    var path = "."

    @OptionGroup
    var answers: AnswerOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let tree = try Tree(containing: path)
        if json { return try Output.json(StatusReport(tree)) }
        let (status, features) = (try tree.text("status"), try tree.text("features"))
        let list = features.split(separator: "\n").map { "  \($0)" }
        try Output.lines(status.split(separator: "\n").map(String.init) + ["features:"] + list)
    }
}

/// Everything that a tree tells about itself.
struct StatusReport: Encodable {
    struct Feature: Encodable {
        var name: String
        var available: Bool
        /// Why, or why not.
        var why: String?
    }

    struct HeapUse: Encodable {
        var name: String
        /// `page` or `fixed`.
        var type: String?
        /// Limit, bytes.
        var size: UInt64?
        /// Bytes.
        var used: UInt64?
        /// Largest allocation that can succeed now, bytes.
        var max: UInt64?
    }

    var source: String
    var mountpoint: String
    var version: String
    /// The lines of `status`, by their first word.
    var status: [String: String]
    var features: [Feature]
    var heaps: [HeapUse]
    var metrics: [MetricSample]

    init(_ tree: Tree) throws {
        source = tree.mount.source
        mountpoint = tree.mount.mountpoint
        version = try tree.text("version")
        let lines = try tree.lines("status").map { $0.split(separator: " ", maxSplits: 1) }
        status = Dictionary(
            lines.map { (String($0[0]), $0.count > 1 ? String($0[1].drop { $0 == " " }) : "") },
            uniquingKeysWith: { first, _ in first })
        features = try tree.lines("features").compactMap(Self.feature)
        heaps = try tree.names(in: "control/heaps").map { name in
            HeapUse(
                name: name, type: tree.optionalText("control/heaps/\(name)/type"),
                size: tree.number("control/heaps/\(name)/size"),
                used: tree.number("control/heaps/\(name)/used"),
                max: tree.number("control/heaps/\(name)/max"))
        }
        metrics = try MetricSample.all(in: tree)
    }

    /// `NAME yes|no [why]`
    private static func feature(_ line: Substring) -> Feature? {
        let fields = line.split(separator: " ", maxSplits: 2)
        guard fields.count >= 2 else { return nil }
        return Feature(
            name: String(fields[0]), available: fields[1] == "yes",
            why: fields.count > 2 ? String(fields[2]) : nil)
    }
}
