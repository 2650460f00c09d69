import ArgumentParser
import DevFS
import SystemPackage

struct RegistersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registers",
        abstract: "Show registers by their names, watch them, keep and restore their values.",
        usage: """
            devfs registers [<mount>] [<register>] [--json]
            devfs registers [<mount>] [<register>] --watch [--interval <seconds>] [--count <count>]
            devfs registers [<mount>] [<register>] --snapshot
            devfs registers --diff <snapshot> <snapshot>
            devfs registers [<mount>] [<register>] --restore <snapshot> [--force]
            """,
        discussion: """
            The mount has a map of its registers: `devfs mount -o registers=FILE:REGION`. A register \
            is `dma.status` or `dma/status`, a block of them `dma`. Of a register each field is \
            shown, of a block each register. What can't be read is shown as `-`. So is what has an \
            effect when it is read, unless it is the one register that is named, and the mount has \
            read_effects.

            --restore checks the whole snapshot first. Then it writes what is different and can be \
            restored; it says what it leaves.

            EXAMPLE
              devfs registers /mnt/dev dma.status
              devfs registers /mnt/dev --watch dma
              devfs registers /mnt/dev --snapshot >before.json
            """)

    @Argument(
        help: ArgumentHelp(
            "The mount, or a path below its registers/; then a register or a block.",
            valueName: "mount"),
        completion: Completions.registers)
    var words: [String] = []

    @Flag(help: "Print a line for each change, until Ctrl-C: NS PATH OLD NEW.")
    var watch = false

    @Option(help: ArgumentHelp("How often --watch reads (0.1).", valueName: "seconds"))
    var interval: Seconds?

    @Option(name: [.short, .long], help: "How many changes --watch waits for; 0 goes on.")
    var count: UInt64 = 0

    @Flag(help: "Print all values as JSON, for --diff and --restore.")
    var snapshot = false

    @Flag(help: "Compare two snapshots: exits with 1 where they differ.")
    var diff = false

    @Option(
        help: ArgumentHelp("Write the values of a snapshot.", valueName: "snapshot"),
        completion: .file(extensions: ["json"]))
    var restore: String?

    @Flag(help: "Restore a snapshot of another device.")
    var force = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup
    var answers: AnswerOptions

    func validate() throws {
        let modes = [watch, snapshot, diff, restore != nil].filter { $0 }.count
        guard modes <= 1 else {
            throw ValidationError("one of --watch, --snapshot, --diff and --restore")
        }
        guard watch || (interval == nil && count == 0) else {
            throw ValidationError("--interval and --count are for --watch")
        }
        guard restore != nil || !force else { throw ValidationError("--force is for --restore") }
        guard words.count <= 2, !diff || words.count == 2 else {
            throw ValidationError(diff ? "which two snapshots?" : "one mount, and one register")
        }
    }

    func run() throws {
        if diff {
            let (old, new) = (
                try RegisterSnapshot(file: words[0]), try RegisterSnapshot(file: words[1])
            )
            let rows = old.changes(to: new)
            try Output.table(["REGISTER", "BEFORE", "AFTER"], rows)
            if !rows.isEmpty { throw Failure.silent(.failed) }
            return
        }
        let tree = try RegisterTree(words)
        if let restore { return try RegisterRestore(tree, restore, force: force).run() }
        if watch { return try watch(tree) }
        if snapshot { return try Output.json(RegisterSnapshot(try tree.records(), of: tree)) }
        let records = try tree.records()
        if json { return try Output.json(["registers": records]) }
        let rows = records.flatMap { $0.rows(withFields: tree.isRegister) }
        try Output.table(RegisterRecord.heading, rows)
    }

    private func watch(_ tree: RegisterTree) throws {
        let what = "watching registers"
        let interrupts = try Interrupts()
        let milliseconds = (interval?.duration ?? .milliseconds(100)) / .milliseconds(1)
        let pause = Int32(min(max(milliseconds, 1), 1e9))  // fits: clamped
        var records = try tree.records().filter { $0.value != nil }
        guard !records.isEmpty else {
            throw Failure(what, "none of them can be read", status: .notFound)
        }
        var seen: UInt64 = 0
        while true {
            try interrupts.check(what)
            for index in records.indices {
                let old = records[index]
                try records[index].readAgain(in: tree)
                for change in old.changes(to: records[index]) where count == 0 || seen < count {
                    try Output.line("\(Syscalls.monotonic) \(change)")
                    seen += 1
                }
            }
            if count > 0 && seen >= count { return }
            try interrupts.wait(milliseconds: pause)
        }
    }
}
