import Synchronization
import SystemPackage

/// A row of the tree: a file with a name, a mode and a behaviour. `Subject` is what it is about: a
/// buffer, a signal, a stream, a heap, or nothing.
struct TextFile<Subject: Sendable>: Sendable {
    typealias Reader = @Sendable (FileSystem, Subject) throws(Errno) -> String
    typealias Writer =
        @Sendable (FileSystem, Subject, CommandText, Opener) throws(Errno) -> CommandText.Outcome
    typealias Opening = @Sendable (FileSystem, Subject, OpenRequest) throws(Errno) -> any OpenFile

    typealias Lines = @Sendable (FileSystem, Subject) -> Int

    let name: String
    /// Permission bits before the mount's umask.
    let mode: UInt32
    let read: Reader?
    let write: Writer?
    /// A file that is more than text: it reads by itself.
    let open: Opening?
    /// Of how many lines the text is at most, of one that tells of many objects: its length is told by
    /// that, as making it takes long. Nil for any other.
    let lines: Lines?
    var isReport: Bool { lines != nil }
    /// Grows under its readers: each open file has an inode of its own, with a size of its own.
    let isFollowed: Bool
    /// How a command is carried out.
    let traits: CommandTraits
    var isForWriters: Bool { traits.contains(.forWriters) }
    /// Takes many commands: what a write leaves of a line waits for the rest.
    let takesLines: Bool
    /// Nil is on every device.
    private(set) var isThere: (@Sendable (FileSystem) -> Bool)?

    init(
        _ name: String, _ mode: UInt32, lines: Lines? = nil, isFollowed: Bool = false,
        takesLines: Bool = false, _ traits: CommandTraits = [], read: Reader? = nil,
        write: Writer? = nil, open: Opening? = nil
    ) {
        self.lines = lines
        self.isFollowed = isFollowed
        self.takesLines = takesLines
        self.traits = traits
        self.name = name
        self.mode = mode
        self.read = read
        self.write = write
        self.open = open
    }

    /// The same, on some devices alone.
    func only(where isThere: @escaping @Sendable (FileSystem) -> Bool) -> TextFile {
        var file = self
        file.isThere = isThere
        return file
    }

    /// A file that takes one command a line, and `limit` of them in one write.
    static func commands<Command>(
        _ name: String, _ mode: UInt32, atMost limit: Int = .max, lines: Lines? = nil,
        _ traits: CommandTraits = [], read: Reader? = nil,
        parse: @escaping @Sendable (Substring) throws(Refusal) -> Command,
        run: @escaping @Sendable (FileSystem, Subject, Command, Opener) throws(Refusal) -> Void
    ) -> TextFile {
        TextFile(
            name, mode, lines: lines, takesLines: limit > 1, traits, read: read,
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
    /// Making the text may take long, or wait for somebody.
    static let slowToRead = CommandTraits(rawValue: 32)
    /// The first word of a command is the buffer that it may have to wait for.
    static let naming = CommandTraits(rawValue: 64)
}
