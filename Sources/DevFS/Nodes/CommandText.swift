import SystemPackage

/// What was written to a command file.
struct CommandText {
    /// Bytes of commands that one write may carry.
    static let limit = 1 << 20
    /// Bytes of a line that may wait for its end.
    static let longest = 4096
    /// Nanoseconds after which a write has done enough, and says how much: who wrote it may be gone.
    static let patience: UInt64 = 1_000_000_000

    /// What becomes of a last line that has no newline.
    enum Ending {
        /// More may follow. A write that is one line, and a whole command, is carried out: nobody ends
        /// `1` by a newline. Else the line waits, as writers cut their output anywhere.
        case write
        /// The file is closed: a whole command is carried out, what is none is the rest.
        case close
    }

    struct Outcome: Equatable {
        /// Bytes of this write that are done.
        var taken: Int
        /// A line that waits for its end.
        var rest: ArraySlice<UInt8> = []
    }

    private let bytes: [UInt8]
    /// How many of them are of earlier writes.
    private let earlier: Int
    private let ending: Ending
    /// The path in the tree, for the log.
    let file: String

    /// - Parameter earlier: the line that earlier writes left.
    init(
        _ given: UnsafeRawBufferPointer, after earlier: ArraySlice<UInt8> = [],
        ending: Ending = .write, file: String
    ) {
        unsafe self.bytes = earlier + Array(given.prefix(Self.limit))
        self.earlier = earlier.count
        self.ending = ending
        self.file = file
    }

    /// Each line with a command, without its newline.
    private static func commands(in text: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        text.split(separator: UInt8(ascii: "\n"))
            .map { $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0 }
            .filter { line in
                let word = line.first { !isBlank($0) }
                return word != nil && word != UInt8(ascii: "#")
            }
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    /// Parses all lines, then carries them out in order.
    /// - Throws: EINVAL where any line is malformed; the errno of the first command.
    func carryOut<Command>(
        _ log: CommandLog, by opener: Opener, atMost limit: Int = .max,
        parse: (Substring) throws(Refusal) -> Command,
        run: (Command) throws(Refusal) -> Void
    ) throws(Errno) -> Outcome {
        func refuse(_ refusal: Refusal, _ line: ArraySlice<UInt8>) -> Errno {
            log.add(refusal, command: line, file: file, by: opener)
        }
        // A NUL at the end is that of a C string, and ends a line as well.
        let whole = bytes[..<(bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0)]
        let isWhole = limit == 1 || whole.count < bytes.count
        let newline = whole.lastIndex(of: UInt8(ascii: "\n"))
        var rest = isWhole ? [] : whole[(newline.map { $0 + 1 } ?? 0)...]
        var lines = Self.commands(in: whole.dropLast(rest.count))
        let isAlone = earlier == 0 && rest.count == bytes.count
        if ending == .write && !isAlone {
            // A comment waits, too, or its end would be a command.
            if rest.allSatisfy(Self.isBlank) { rest = [] }
        } else if let line = Self.commands(in: rest).first, waits(line, parse) {
            // Nothing is done but what was ended.
        } else {
            lines += Self.commands(in: rest)
            rest = []
        }
        guard rest.count <= Self.longest else {
            throw refuse(
                .invalid("a line of more than \(Self.longest) bytes without a newline"), rest)
        }
        guard let first = lines.first else {
            if rest.isEmpty && earlier == 0 { throw refuse(.invalid("no command"), []) }
            return Outcome(taken: bytes.count - earlier, rest: rest)
        }
        guard lines.count <= limit else {
            throw refuse(.invalid("more than one value"), first)
        }
        var commands: [Command] = []
        for line in lines {
            do throws(Refusal) {
                commands.append(try parse(String(decoding: line, as: UTF8.self)[...]))
            } catch {
                throw refuse(error, line)
            }
        }
        var done = 0
        let end = Clock.monotonic.addingClamped(Self.patience)
        let undertaking = Undertaking.current
        let before = undertaking?.isResent == true ? undertaking?.done ?? 0 : 0
        for (number, (command, line)) in zip(commands, lines).enumerated() {
            if done > earlier && Clock.monotonic > end { return Outcome(taken: done - earlier) }
            do throws(Refusal) {
                // By the server before this one.
                if number >= before {
                    undertaking?.begin(number)
                    try run(command)
                    undertaking?.finish(number)
                }
                done = self.end(of: line)
            } catch {
                if let undertaking, undertaking.mayBeDone(number), error.isEffect {
                    undertaking.finish(number)
                    done = self.end(of: line)
                    continue
                }
                let errno = refuse(error, line)
                if done > earlier { return Outcome(taken: done - earlier) }
                throw errno
            }
        }
        // What follows the last command is blank, or waits.
        return Outcome(taken: bytes.count - earlier, rest: rest)
    }

    /// Behind the line and its newline, where it has one.
    private func end(of line: ArraySlice<UInt8>) -> Int {
        let newline = bytes[line.endIndex...].firstIndex(of: UInt8(ascii: "\n"))
        return newline.map { $0 + 1 } ?? bytes.count
    }

    /// A line without an end is no command yet, but may become one.
    private func waits<Command>(
        _ line: ArraySlice<UInt8>, _ parse: (Substring) throws(Refusal) -> Command
    ) -> Bool {
        do throws(Refusal) {
            _ = try parse(String(decoding: line, as: UTF8.self)[...])
            return false
        } catch {
            return ending == .close || error.isIncomplete
        }
    }
}
