import ArgumentParser
import DevFS
import Glibc
import SystemPackage

struct StreamCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream",
        abstract: "Copy what a stream delivers to stdout or to a file.",
        usage: "devfs stream [<mount>] <stream> [--output <file>] [--bytes <size>] "
            + "[--timeout <seconds>] [--allow-loss] [--json]",
        discussion: """
            Ends when the stream is stopped, after --bytes, after --timeout (exit code 124), or by \
            Ctrl-C (130). Periods that were lost are reported on stderr at the end, and make the \
            exit code 1 unless --allow-loss is given.

            EXAMPLE
              devfs stream /mnt/dma adc --bytes 64M --output adc.bin
            """)

    @Argument(
        help: ArgumentHelp(
            "Path of the stream, or the mount and its name.", valueName: "stream"),
        completion: Completions.operands(.streams))
    var words: [String]

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("Write to this file instead of stdout.", valueName: "file"),
        completion: .file())
    var output: String?

    @Option(
        name: [.short, .long], help: ArgumentHelp("End after this many bytes.", valueName: "size"))
    var bytes: ByteCount?

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("End after this time.", valueName: "seconds"))
    var timeout: Seconds?

    @Flag(help: "Succeed even if periods were lost.")
    var allowLoss = false

    @Flag(help: "Print what was copied as JSON; needs --output.")
    var json = false

    /// What `--json` prints.
    private struct Report: Encodable {
        var stream: String
        var bytes: UInt64
        /// Periods lost while this command ran.
        var overruns: UInt64
        var seconds: Double
    }

    func validate() throws {
        // It is over by then, whether the server answers or not.
        Answers.shorten(to: timeout)
        guard !json || output != nil else {
            throw ValidationError("--json prints to stdout, so the data need --output")
        }
    }

    func run() throws {
        let operands = try Operands(words, in: .streams)
        try operands.end()
        let (tree, name) = (operands.tree, operands.name)
        let what = "streaming \(name.text)"
        let interrupts = try Interrupts()
        let lostBefore = tree.number("streams/\(name.text)/overruns") ?? 0
        let data = try tree.openToWait("streams/\(name.text)/data", for: what)
        defer { try? data.close() }
        let sink = try openSink()
        defer { if output != nil { try? sink.close() } }

        let start = ContinuousClock.now
        let loop = Copying(
            source: data, sink: sink, what: what,
            writing: "writing to \(output ?? "the standard output")")
        let (copied, end) = loop.run(
            limit: bytes?.bytes, of: bytes?.bytes, deadline: Deadline(after: timeout), interrupts)
        let lostAfter = tree.number("streams/\(name.text)/overruns") ?? lostBefore
        let lost = lostAfter - min(lostBefore, lostAfter)
        if json {
            let time = ContinuousClock.now - start
            try Output.json(
                Report(
                    stream: name.text, bytes: copied, overruns: lost, seconds: time.inSeconds))
        }
        if lost > 0 { Terminal.complain("\(what): \(lost) periods were lost") }
        try finish(end, tree, what, copied: copied, lost: lost)
    }

    private func openSink() throws -> FileDescriptor {
        guard let output else { return .standardOutput }
        return try attempting("opening \(output)") {
            try Files.open(
                output, .writeOnly, options: [.create, .truncate],
                permissions: FilePermissions(rawValue: 0o666))
        }
    }

    private func finish(
        _ end: Copying.End, _ tree: Tree, _ what: String, copied: UInt64, lost: UInt64
    ) throws {
        switch end {
        case .complete: break
        case .timedOut:
            throw Failure(what, "timed out after \(copied) bytes", status: .timedOut)
        case .failed(let failure): throw failure
        case .refused(.brokenPipe):
            // `policy=stop`: all that was in the ring has been copied.
            if !allowLoss { throw Failure(what, "an overrun stopped the stream") }
        case .refused(.operationNotSupportedByDevice): throw Failure(what, "the stream was removed")
        case .refused(let errno): throw tree.failure(what, errno)
        }
        if lost > 0 && !allowLoss { throw Failure.silent(.failed) }
    }
}
