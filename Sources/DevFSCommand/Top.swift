import ArgumentParser
import DevFS
import SystemPackage

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch buffers, signals, streams and the server of a mount.",
        usage: "devfs top [<mount>] [--interval <seconds>] [--once] [--json]",
        discussion: """
            Keys: q leaves, s sorts by name, size or rate, lost events, r reverses that, Tab and the \
            arrows move in the tables, + and - change the interval. Where there is no terminal it \
            is as with --once. The requests of `top` are counted, too.

            EXAMPLE
              devfs top /mnt/dma
              devfs top /mnt/dma --once --json
            """)

    @Argument(
        help: ArgumentHelp("The mount, or a path in it.", valueName: "mount"),
        completion: Completions.mounts)
    var path = "."

    @Option(help: ArgumentHelp("Time between two looks, 0.1 or more (1).", valueName: "seconds"))
    var interval: Seconds?

    @Flag(help: "Print the tables once, after one interval.")
    var once = false

    @Flag(help: "Print JSON: without --once a line for each interval, until Ctrl-C.")
    var json = false

    @OptionGroup
    var answers: AnswerOptions

    func validate() throws {
        guard interval.map({ $0.duration >= .milliseconds(100) }) ?? true else {
            throw ValidationError("--interval is 0.1 seconds or more")
        }
    }

    func run() throws {
        let tree = try Tree(containing: path)
        let what = "watching \(tree.mount.mountpoint)"
        do {
            if json || once || !Screen.isThere { return try print(tree, what) }
            var screen = TopScreen(tree.mount, interval: interval?.duration ?? .seconds(1))
            try screen.run(tree, what)
        } catch let failure as Failure {
            throw Self.explained(failure, tree.mount, what)
        }
    }

    /// Of a mount that is not there any more, each file is missing, or is another's.
    private static func explained(
        _ failure: Failure, _ mount: MountEntry, _ what: String
    ) -> Failure {
        let isThere = ((try? Mounts.devfs()) ?? []).contains { $0.id == mount.id }
        if isThere || failure.isSilent || failure.status == .interrupted
            || failure.status == .terminated
        {
            return failure
        }
        return Failure(what, "it was unmounted", status: .notFound)
    }

    private func print(_ tree: Tree, _ what: String) throws {
        let interrupts = try Interrupts()
        let milliseconds = (interval?.duration ?? .seconds(1)) / .milliseconds(1)
        let pause = Int32(min(milliseconds, 1e9))  // fits: clamped
        var before = try TopSample(tree)
        repeat {
            try interrupts.wait(milliseconds: pause)
            try interrupts.check(what)
            // A server that was stopped meanwhile.
            try Answers.check(tree.mount.mountpoint, on: tree.mount)
            let now = try TopSample(tree)
            let report = TopReport(tree.mount, now, since: before)
            before = now
            if json {
                try once ? Output.json(report) : Output.jsonLine(report)
            } else {
                try Output.lines(Self.lines(of: report, tree.mount))
            }
        } while json && !once
    }

    private static func lines(of report: TopReport, _ mount: MountEntry) -> [String] {
        let glyphs = Glyphs.ofLocale
        let columns = Screen.columnsOfOutput ?? .max / 2
        let tables = TopTable.all(of: report, glyphs).filter { !$0.rows.isEmpty }
        return TopScreen.head(mount, report, glyphs).map { glyphs.cut($0, to: columns) }
            + tables.flatMap { table -> [String] in
                let (heading, lines) = table.lines(nil, columns, glyphs)
                return [""]
                    + ([heading] + lines).map { String($0.trimmedSuffix { $0 == " " }) }
            }
    }
}

extension String {
    func trimmedSuffix(while predicate: (Character) -> Bool) -> Substring {
        var rest = self[...]
        while let last = rest.last, predicate(last) { rest.removeLast() }
        return rest
    }
}
