import ArgumentParser
import DevFS
import SystemPackage

struct ViewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "view",
        abstract: "Look at the samples of a buffer or a stream.",
        usage: """
            devfs view [<mount>] <buffer> [--type <type>] [--channels <n>] [--rate <rate>] [--fft]
            devfs view [<mount>] <stream> [--trigger <level>] [--falling] [--hold] [...]
            devfs view [<mount>] <buffer> --output <file> [...]
            devfs view [<mount>] <buffer> --hexdump [--addresses]
            """,
        discussion: """
            Draws a buffer once, or again and again with --watch; a stream is live on a terminal, \
            as of an oscilloscope, and drawn once elsewhere. A stream's bytes are taken from it: it \
            has one reader.

            A type is a name of numpy's (int16, <i2, complex64), one with bits and byte order \
            (i16le, ci16_le), or a format of Python's module struct (<hhI).

            Keys: q leaves, Space holds, t turns the trigger on and off, up and down move its \
            level, e its edge, left and right the time that is shown, f the spectrum, a scales anew.

            EXAMPLE
              devfs view /mnt/dma/buffers/rx --type i16le --channels 2 --rate 1M
              devfs view /mnt/dma/streams/adc --type uint32 --trigger 1000
              devfs view /mnt/dma/buffers/rx --hexdump --bytes 256
            """)

    @Argument(
        help: ArgumentHelp(
            "Path of the buffer or stream, or the mount and its name.", valueName: "buffer"),
        completion: Completions.operands(.buffers, or: .streams))
    var words: [String]

    @Option(help: ArgumentHelp("What the bytes are (uint8).", valueName: "type"))
    var type: SampleLayout = .bytes

    @Option(help: ArgumentHelp("Channels, sample by sample in turns (1).", valueName: "n"))
    var channels: Int = 1

    @Option(
        help: ArgumentHelp(
            "Samples of a channel a second, with k, M or G (times 1000); the axis is a time.",
            valueName: "rate"))
    var rate: SampleRate?

    @Option(help: ArgumentHelp("Begin at this byte of a buffer.", valueName: "size"))
    var offset: ByteCount?

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Bytes to show: all of a buffer, a period of a stream.", valueName: "size"))
    var bytes: ByteCount?

    @Flag(help: "Show the spectrum, of 65536 samples at most.")
    var fft = false

    @Flag(help: "Draw a buffer again and again.")
    var watch = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Begin where the first channel rises to this level.", valueName: "level")
    )
    var trigger: Double?

    @Flag(help: "Where it falls to that level.")
    var falling = false

    @Flag(help: "Hold the first picture that the trigger gives.")
    var hold = false

    @Flag(help: "Print the bytes as hexadecimal numbers.")
    var hexdump = false

    @Flag(help: "With the bus address of each line, of whoever may read sg_table.")
    var addresses = false

    @Option(
        name: [.short, .long],
        help: ArgumentHelp(
            "Draw to a .svg or .png instead, by the Python package with matplotlib.",
            valueName: "file"), completion: .file(extensions: ["svg", "png"]))
    var output: String?

    @Flag(help: "Overwrite that file.")
    var force = false

    @OptionGroup
    var answers: AnswerOptions

    func validate() throws {
        guard channels >= 1, channels <= 1024, channels * type.size <= SampleLayout.longest else {
            throw ValidationError("--channels is 1 to 1024, and a frame of them 64 KiB at most")
        }
        guard channels == 1 || type.isScalar else {
            throw ValidationError("--channels is for a type of one number, not for a struct")
        }
        if hexdump {
            let others = fft || watch || trigger != nil || falling || hold || output != nil
            guard !others else {
                throw ValidationError("--hexdump goes with --offset, --bytes and --addresses alone")
            }
        }
        guard hexdump || !addresses else { throw ValidationError("--addresses is for --hexdump") }
        guard trigger != nil || !(falling || hold) else {
            throw ValidationError("--falling and --hold need --trigger")
        }
        guard trigger?.isFinite ?? true else { throw ValidationError("--trigger is a number") }
        guard output != nil || !force else { throw ValidationError("--force is for --output") }
        if let output {
            guard output.hasSuffix(".svg") || output.hasSuffix(".png") else {
                throw ValidationError("--output is a file.svg or a file.png")
            }
            guard !watch, trigger == nil else {
                throw ValidationError("--output draws once: without --watch and --trigger")
            }
        }
        guard bytes.map({ $0.bytes > 0 }) ?? true else {
            throw ValidationError("--bytes is 1 or more")
        }
    }

    func run() throws {
        let source = try ViewSource(words)
        let layout = type.isScalar ? type.repeated(channels) : type
        let request = ViewRequest(
            source: source, layout: layout, rate: rate ?? source.rate(of: layout),
            offset: offset?.bytes ?? 0, bytes: bytes?.bytes, isSpectrum: fft)
        guard source.folder == .buffers || offset == nil else {
            throw ValidationError("--offset is for buffers")
        }
        guard source.folder == .buffers || !watch else {
            throw ValidationError("--watch is for buffers: a stream is live")
        }
        guard source.folder == .streams || trigger == nil else {
            throw ValidationError("--trigger is for streams")
        }
        if hexdump { return try dump(request) }
        if let output { return try ViewFigure(request, output, force: force).draw() }
        let trigger = trigger.map { Trigger(level: $0, isFalling: falling) }
        if Screen.isThere && (watch || source.folder == .streams) {
            var scope = Scope(request, trigger, holds: hold)
            return try scope.run()
        }
        let interrupts = try Interrupts()
        let lines = try request.picture(trigger, interrupts)
        try Output.lines(lines.map { $0.trimmedSuffix { $0 == " " || $0 == "\u{2800}" } })
    }

    private func dump(_ request: ViewRequest) throws {
        let interrupts = try Interrupts()
        let segments = try addresses ? request.source.segments() : nil
        var dump = Hexdump(columns: Screen.columnsOfOutput, segments: segments)
        try request.read(interrupts, chunk: Hexdump.chunk) { bytes, offset in
            try Output.lines(dump.lines(bytes, at: offset))
        }
        try Output.line(dump.lastLine)
    }
}
