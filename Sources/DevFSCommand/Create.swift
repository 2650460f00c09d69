import ArgumentParser
import DevFS
import Glibc
import SystemPackage

struct CreateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Allocate a buffer, and fill it from a file if asked to.",
        usage: "devfs create [<mount>] <name> [<size>] [<options>] [-- <command> ...]",
        discussion: """
            SIZE is decimal or 0x, with K, M or G (4M and 4MiB are the same); with --from it can be left out: the buffer gets \
            the size of the file. If the file cannot be copied, the buffer is freed again.

            With --lease process the buffer is freed when the process that allocated it ends. \
            COMMAND becomes that process; without one, devfs keeps the buffer until Ctrl-C.

            EXAMPLE
              devfs create /mnt/dma rx 4M --heap contiguous --direction from_device
              devfs create /mnt/dma/buffers/tx --from image.bin
              devfs create /mnt/dma tmp 1M --lease process -- ./measure tmp
            """)

    enum Direction: String, ExpressibleByArgument, CaseIterable {
        case bidirectional
        case toDevice = "to_device"
        case fromDevice = "from_device"
    }

    enum Lease: String, ExpressibleByArgument, CaseIterable {
        case none
        case process
    }

    // The parser has no list before the one behind `--`.
    @Argument(
        help: ArgumentHelp("Path of the buffer, or the mount and ...", valueName: "buffer"),
        completion: Completions.operands(.buffers))
    var first: String

    @Argument(
        help: ArgumentHelp("... its name.", valueName: "name"),
        completion: Completions.operands(.buffers))
    var second: String?

    @Argument(help: ArgumentHelp("Bytes, behind the buffer.", valueName: "size"))
    var third: String?

    @Option(
        help: ArgumentHelp(
            "Where the memory is from: system, contiguous, coherent, ...", valueName: "heap"),
        completion: .list(["system", "contiguous", "coherent"]))
    var heap: Name?

    @Option(help: "Direction of the transfers: bidirectional, to_device or from_device.")
    var direction: Direction?

    @Option(help: "How long it lives: none (until it is removed) or process.")
    var lease: Lease?

    @Option(
        help: ArgumentHelp("Copy this file into it; - is the standard input.", valueName: "file"),
        completion: .file())
    var from: String?

    @OptionGroup
    var answers: AnswerOptions

    @Flag(help: "Print the buffer as JSON.")
    var json = false

    @Argument(parsing: .postTerminator, help: "The command that owns the lease.")
    var command: [String] = []

    func validate() throws {
        guard command.isEmpty || lease == .process else {
            throw ValidationError("a COMMAND is for --lease process")
        }
    }

    func run() throws {
        let operands = try Operands([first, second, third].compactMap { $0 }, in: .buffers)
        let (tree, name) = (operands.tree, operands.name)
        let size = try operands.rest.only(ByteCount.self, ByteCount.form)
        guard size != nil || from != nil else {
            throw ValidationError("a buffer needs a SIZE, or a file to copy (--from)")
        }
        let source = try from.map { try CopySource($0) }
        defer { try? source?.close() }
        let bytes = try allocationSize(size, source)
        let interrupts = try Interrupts()
        try allocate(name, bytes, in: tree)
        do {
            try interrupts.check("allocating \(name.text)")
            try source?.copy(to: tree.path("buffers/\(name.text)"), limit: bytes, interrupts)
        } catch {
            try? Syscalls.unlink(tree.path("buffers/\(name.text)"))
            throw error
        }
        if json { try show(name, tree) }
        if lease == .process { try hold(name, interrupts) }
    }

    /// Bytes to allocate: as asked, else the size of the file.
    private func allocationSize(_ size: ByteCount?, _ source: CopySource?) throws -> UInt64 {
        guard let size else {
            guard let fileSize = source?.size else {
                throw ValidationError("a pipe has no size: give SIZE")
            }
            return fileSize
        }
        if let source, let fileSize = source.size, fileSize > size.bytes {
            throw Failure(
                "copying \(source.name)", "its \(fileSize) bytes are more than \(size.bytes)")
        }
        return size.bytes
    }

    private func allocate(_ name: Name, _ bytes: UInt64, in tree: Tree) throws {
        var line = "\(name.text) \(bytes)"
        if let heap { line += " heap=\(heap.text)" }
        if let direction { line += " direction=\(direction.rawValue)" }
        if let lease { line += " lease=\(lease.rawValue)" }
        try tree.write(line, to: "control/alloc", for: "allocating \(name.text)")
    }

    private func show(_ name: Name, _ tree: Tree) throws {
        let line = try tree.lines("control/alloc").first { $0.hasPrefix("\(name.text) ") }
        if let record = line.flatMap({ BufferRecord($0) }) {
            try Output.json(record)
        }
    }

    /// Stays alive as the owner of the lease, or becomes the program that is to be it.
    private func hold(_ name: Name, _ interrupts: borrowing Interrupts) throws {
        if let program = command.first {
            try attempting("starting \(program)") { try Processes.replaceSelf(with: command) }
        }
        while true {
            try interrupts.check("holding \(name.text)")
            try interrupts.wait()
        }
    }
}
