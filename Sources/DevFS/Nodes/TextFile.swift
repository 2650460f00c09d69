import Synchronization
import SystemPackage

/// A row of the tree: a file with a name, a mode and a behaviour. `Subject` is what it is about: a
/// buffer, a signal, a stream, a heap, or nothing.
struct TextFile<Subject: Sendable>: Sendable {
    typealias Reader = @Sendable (FileSystem, Subject) throws(Errno) -> String
    typealias Writer = @Sendable (FileSystem, Subject, CommandText, Opener) throws(Errno) -> Int
    typealias Opening = @Sendable (FileSystem, Subject, Caller) throws(Errno) -> any OpenFile

    let name: String
    /// Permission bits before the mount's umask.
    let mode: UInt32
    let read: Reader?
    let write: Writer?
    /// A file that is more than text: it reads by itself.
    let open: Opening?
    /// Tells of many objects, and may be longer than a page.
    let isReport: Bool
    /// Grows under its readers: each open file has an inode of its own, with a size of its own.
    let isFollowed: Bool
    /// How a command is carried out.
    let traits: CommandTraits
    var isForWriters: Bool { traits.contains(.forWriters) }

    init(
        _ name: String, _ mode: UInt32, isReport: Bool = false, isFollowed: Bool = false,
        _ traits: CommandTraits = [], read: Reader? = nil,
        write: Writer? = nil, open: Opening? = nil
    ) {
        self.isReport = isReport
        self.isFollowed = isFollowed
        self.traits = traits
        self.name = name
        self.mode = mode
        self.read = read
        self.write = write
        self.open = open
    }

    /// A file that takes one command a line, and `limit` of them in one write.
    static func commands<Command>(
        _ name: String, _ mode: UInt32, atMost limit: Int = .max, isReport: Bool = false,
        _ traits: CommandTraits = [], read: Reader? = nil,
        parse: @escaping @Sendable (Substring) throws(Refusal) -> Command,
        run: @escaping @Sendable (FileSystem, Subject, Command, Opener) throws(Refusal) -> Void
    ) -> TextFile {
        TextFile(
            name, mode, isReport: isReport, traits, read: read,
            write: { (tree, subject, text, opener) throws(Errno) in
                try text.carryOut(tree.log, by: opener, atMost: limit, parse: parse) {
                    (command) throws(Refusal) in
                    try run(tree, subject, command, opener)
                }
            })
    }
}

/// How the commands of a file are carried out, and what reading it tells.
struct CommandTraits: OptionSet, Sendable {
    let rawValue: Int

    /// They may take long, or wait for somebody: no thread that serves others does it.
    static let slow = CommandTraits(rawValue: 1)
    /// It matters which process opened the file, beside its rights.
    static let identified = CommandTraits(rawValue: 2)
    /// They take who may write the buffer, not its owner alone.
    static let forWriters = CommandTraits(rawValue: 4)
    /// Those of more than one digit take long.
    static let slowInBulk = CommandTraits(rawValue: 8)
    /// Who reads it knows where the buffer is.
    static let locating = CommandTraits(rawValue: 16)
}

/// What was written to a command file.
struct CommandText {
    /// Bytes of commands that one write may carry.
    static let limit = 1 << 20

    private let bytes: [UInt8]
    /// The path in the tree, for the log.
    let file: String

    init(_ bytes: UnsafeRawBufferPointer, file: String) {
        unsafe self.bytes = Array(bytes.prefix(Self.limit))
        self.file = file
    }

    /// Each line with a command, without its newline.
    private var lines: [ArraySlice<UInt8>] {
        bytes.split(separator: UInt8(ascii: "\n")).filter { line in
            let word = line.first { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
            return word != nil && word != UInt8(ascii: "#")
        }
    }

    /// Parses all lines, then carries them out in order: the bytes of those that were.
    /// - Throws: EINVAL where any line is malformed; the errno of the first command.
    func carryOut<Command>(
        _ log: CommandLog, by opener: Opener, atMost limit: Int = .max,
        parse: (Substring) throws(Refusal) -> Command,
        run: (Command) throws(Refusal) -> Void
    ) throws(Errno) -> Int {
        func refuse(_ refusal: Refusal, _ line: ArraySlice<UInt8>) -> Errno {
            log.add(refusal, command: line, file: file, by: opener)
        }
        let lines = lines
        guard let first = lines.first else { throw refuse(.invalid("no command"), []) }
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
        for (command, line) in zip(commands, lines) {
            do throws(Refusal) {
                try run(command)
                // With its newline, where it has one.
                done = min(line.endIndex + 1, bytes.count)
            } catch {
                let errno = refuse(error, line)
                if done > 0 { return done }
                throw errno
            }
        }
        // What follows the last command is blank.
        return bytes.count
    }
}

/// An open text file: one reader sees one whole text.
final class OpenTextFile<Subject: Sendable>: OpenFile {
    private let file: TextFile<Subject>
    private let subject: Subject
    private let tree: FileSystem
    private let path: String
    private let opener: Opener
    private let text = Mutex<(bytes: [UInt8], charge: Quotas.Charge?)?>(nil)

    /// - Parameters:
    ///   - path: in the tree, for the log.
    ///   - opener: whose rights its commands have.
    init(
        _ file: TextFile<Subject>, of subject: Subject, in tree: FileSystem, path: String,
        by opener: Opener
    ) {
        self.opener = opener
        self.file = file
        self.subject = subject
        self.tree = tree
        self.path = path
    }

    /// What this open file shows: made when it is first wanted, or `anew`.
    private func whole(anew: Bool) throws(Errno) -> [UInt8] {
        guard let read = file.read else { throw .badFileDescriptor }
        if !anew, let present = text.withLock({ $0?.bytes }) { return present }
        var fresh = Array(try read(tree, subject).utf8)
        if file.traits.contains(.locating) { (subject as? Buffer)?.located() }
        var isShared = false
        if file.isReport && subject is Void { (fresh, isShared) = tree.shared(fresh, of: path) }
        var charge: Quotas.Charge?
        if !isShared {
            charge = tree.quotas.tryCharge(.text, UInt64(fresh.count), to: opener.uid)
            guard charge != nil else { throw Quotas.Resource.text.errno }
        }
        let kept = (bytes: fresh, charge: charge)
        text.withLock { $0 = kept }
        return fresh
    }

    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    {
        let bytes = try whole(anew: offset == 0)
        guard offset < UInt64(bytes.count) else { return .end }
        return .bytes(bytes[Int(offset)...].prefix(size))
    }

    var length: UInt64? { (try? whole(anew: false)).map { UInt64($0.count) } }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int {
        guard let write = file.write else { throw .badFileDescriptor }
        return unsafe try write(tree, subject, CommandText(bytes, file: path), opener)
    }

    func writesWait(_ count: Int) -> Bool {
        file.traits.contains(.slow) || file.traits.contains(.slowInBulk) && count > 2
    }
    /// An attribute is one of a buffer's.
    var lane: BufferID? { (subject as? Buffer)?.id }
}
