import Glibc
import SystemPackage

/// A directory of the tree that is always there, as the rows of `Layout.folders` have them. The
/// number is part of inode numbers: new ones go to the end.
enum Directory: UInt64, CaseIterable {
    case root = 1
    case buffers, attributes, control, heaps, signals, streams, regions, registers
}

/// A row of the tree: a directory that is always there, and what is in it. What look-up, open, status
/// and listing do with it is in `FileSystem`, once for all of them.
struct Folder: Sendable {
    let directory: Directory
    let name: String
    let parent: Directory
    let numbers: Numbers
    /// Nil is always.
    var isThere: (@Sendable (FileSystem) -> Bool)?
    /// Files that are there by themselves.
    var files: (any FileRows)?
    /// What bears the names of objects.
    var children: Children?
    /// Directories in directories.
    var nested: Nested?
    /// When an entry came or went last; nil is never.
    var changed: (@Sendable (FileSystem) -> Timestamp)?

    init(
        _ directory: Directory, _ name: String, in parent: Directory = .root, _ numbers: Numbers,
        isThere: (@Sendable (FileSystem) -> Bool)? = nil, files: (any FileRows)? = nil,
        children: Children? = nil, nested: Nested? = nil,
        changed: (@Sendable (FileSystem) -> Timestamp)? = nil
    ) {
        self.directory = directory
        self.name = name
        self.parent = parent
        self.numbers = numbers
        self.isThere = isThere
        self.files = files
        self.children = children
        self.nested = nested
        self.changed = changed
    }

    /// What the numbers of its files are, by the bits 5:0 of them. See `Node`.
    struct Numbers: Sendable {
        /// Of a child.
        var child: UInt64?
        /// Of files in a child, one a row: the rest is the object's number.
        var rows: ClosedRange<UInt64>?
        /// Of all files: the rest is `perObject` times the object's number, and the row.
        var packed: UInt64?
        /// Of all that is nested: the rest is the entry's number, which is not 0.
        var nested: UInt64?
        /// Objects have numbers below.
        var limit = UInt64.max
        /// Each server numbers the objects anew.
        var isEachServersOwn = false

        static let perObject: UInt64 = 16
        static let none = Numbers()
    }
}

/// What is in a folder by the names of objects: a file each, or a directory each.
struct Children: Sendable {
    /// The object's number, nil for no such name.
    let find: @Sendable (FileSystem, String) -> UInt64?
    let list: @Sendable (FileSystem) -> [(name: String, number: UInt64)]
    /// Of one, by its number, which may be gone: ESTALE.
    let status: @Sendable (FileSystem, UInt64) throws(Errno) -> FileStatus
    /// Nil for a directory.
    var open: (@Sendable (FileSystem, UInt64, OpenRequest) throws(Errno) -> any OpenFile)?
    /// In each directory.
    var files: (any FileRows)?

    var isDirectory: Bool { open == nil }
}

/// What is in a folder as a tree of its own, by the numbers of its entries. The folder itself is 0.
struct Nested: Sendable {
    /// Nil for no such name.
    let find: @Sendable (FileSystem, UInt64, String) throws(Errno) -> UInt64?
    let list: @Sendable (FileSystem, UInt64) throws(Errno) -> [(name: String, number: UInt64)]
    let status: @Sendable (FileSystem, UInt64) throws(Errno) -> FileStatus
    let open: @Sendable (FileSystem, UInt64, OpenRequest) throws(Errno) -> any OpenFile
    let parent: @Sendable (FileSystem, UInt64) throws(Errno) -> UInt64
    /// By the number alone, as what follows.
    let isPossible: @Sendable (UInt64) -> Bool
    let isDirectory: @Sendable (UInt64) -> Bool
    /// Each look-up gives another inode number, as of a command file.
    let hasInodes: @Sendable (UInt64) -> Bool
}

/// An `open(2)`: of what, how, by whom.
struct OpenRequest: Sendable {
    let inode: Inode
    let flags: OpenFlags
    let caller: Caller
    /// As an earlier server saw him, where it is opened once more.
    var opener: Opener?
}

/// Text files of one kind of object, whatever kind that is.
protocol FileRows: Sendable {
    var names: [String] { get }
    /// On this device.
    func isThere(_ row: Int, in tree: FileSystem) -> Bool
    /// Each look-up of the row gives another inode number.
    func hasInodes(_ row: Int) -> Bool
    func status(
        _ row: Int, of number: UInt64, in tree: FileSystem
    ) throws(Errno) -> FileStatus
    func open(
        _ row: Int, of number: UInt64, in tree: FileSystem, _ request: OpenRequest
    ) throws(Errno) -> any OpenFile
}

/// The rows of a table, and what they are about.
struct Files<Subject: Sendable>: FileRows {
    let table: [TextFile<Subject>]
    /// For who is told of it: `signals/irq0/`.
    let path: @Sendable (Subject) -> String
    /// By its number, which may be gone: ESTALE.
    let subject: @Sendable (FileSystem, UInt64) throws(Errno) -> Subject
    /// Owner, times and mode, where they are not the mount's.
    var adjust:
        (
            @Sendable (FileSystem, Subject, TextFile<Subject>, inout FileStatus) throws(Errno) ->
                Void
        )?

    var names: [String] { table.map(\.name) }

    func isThere(_ row: Int, in tree: FileSystem) -> Bool {
        table.indices.contains(row) && table[row].isThere?(tree) ?? true
    }

    func hasInodes(_ row: Int) -> Bool {
        table.indices.contains(row) && (table[row].write != nil || table[row].isFollowed)
    }

    private func file(_ row: Int, in tree: FileSystem) throws(Errno) -> TextFile<Subject> {
        guard isThere(row, in: tree) else { throw .staleNFSFileHandle }
        return table[row]
    }

    func status(
        _ row: Int, of number: UInt64, in tree: FileSystem
    ) throws(Errno) -> FileStatus {
        let file = try file(row, in: tree)
        let subject = try subject(tree, number)
        var status = FileStatus(
            inode: 0, mode: S_IFREG | (file.mode & ~tree.options.umask), uid: tree.options.uid,
            gid: tree.options.gid, at: tree.started)
        status.size = tree.length(of: file, subject)
        // As much as a file without holes has, or cp(1) takes it for sparse.
        status.blocks = (status.size + 511) / 512
        // wc(1) seeks to the last block, which a length that is an estimate does not have.
        if file.isReport { status.blockSize = 1 << 20 }
        // Each look-up has an inode of its own, and who opens it to read asks for its length.
        // A buffer's have its owner and mode, of which nobody tells the kernel.
        if hasInodes(row) && !file.isFollowed && subject is Void {
            status.lifetime = FileSystem.lifetime
        }
        try adjust?(tree, subject, file, &status)
        return status
    }

    func open(
        _ row: Int, of number: UInt64, in tree: FileSystem, _ request: OpenRequest
    ) throws(Errno) -> any OpenFile {
        let subject = try subject(tree, number)
        let file = try file(row, in: tree)
        let flags = request.flags
        let isReadable = file.read != nil || file.open != nil
        let isWritable = file.write != nil || (file.open != nil && file.mode & 0o222 != 0)
        guard isReadable || !flags.reads, isWritable || !flags.writes else {
            throw .permissionDenied
        }
        if let open = file.open { return try open(tree, subject, request) }
        let opener =
            if let known = request.opener { known } else if flags.writes {
                Opener(waiting: request.caller, identifies: file.traits.contains(.identified))
            } else {
                Opener(request.caller)
            }
        return OpenTextFile(
            file, of: subject, in: tree, path: path(subject) + file.name, by: opener)
    }
}

extension Files<Void> {
    /// Files of the device as a whole, in the folder `path`.
    init(
        _ table: [TextFile<Void>], _ path: String,
        adjust: (
            @Sendable (FileSystem, Void, TextFile<Void>, inout FileStatus) throws(Errno) -> Void
        )? = nil
    ) {
        self.init(table: table, path: { _ in path }, subject: { _, _ in }, adjust: adjust)
    }
}
