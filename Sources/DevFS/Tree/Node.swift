import Synchronization
import SystemPackage

/// What an inode is.
enum Node: Hashable {
    /// A directory that is always there, a row of `Layout.folders`.
    case folder(Directory)
    /// A row of a folder's own files: `control/alloc`.
    case file(Directory, Int)
    /// What bears an object's name in a folder, by the object's number: `buffers/rx`, `signals/irq0`.
    case child(Directory, UInt64)
    /// A row of the files in such a directory: `signals/irq0/count`.
    case childFile(Directory, UInt64, Int)
    /// An entry of a folder's own tree, by its number.
    case nested(Directory, UInt64)

    static func buffer(_ id: BufferID) -> Node { .child(.buffers, id.number) }

    /// By its place in the device's list.
    static func region(_ index: Int) -> Node { .child(.regions, UInt64(index)) }

    /// Of a buffer's own file.
    var buffer: BufferID? {
        guard case .child(.buffers, let id) = self else { return nil }
        return BufferID(id)
    }

    /// A folder's own number, but for the root's, is in the others' place.
    private static let folder: UInt64 = 1

    private static let numbers = Directory.allCases.map { Layout[$0].numbers }
    private static func numbers(_ directory: Directory) -> Folder.Numbers {
        numbers[Int(directory.rawValue) - 1]  // fits: they are numbered from 1
    }

    /// What numbers are of which folder: by bits 5:0.
    private enum Part {
        case folder
        case child(Directory)
        case row(Directory, Int)
        case packed(Directory)
        case nested(Directory)
    }

    private static let parts: [Part?] = {
        var parts = [Part?](repeating: nil, count: 64)
        func set(_ number: UInt64, _ part: Part) {
            let place = Int(number)  // fits: they are literals of the table
            precondition(parts[place] == nil, "two kinds of files have one number")
            parts[place] = part
        }
        set(folder, .folder)
        for row in Layout.folders {
            let numbers = row.numbers
            if let child = numbers.child { set(child, .child(row.directory)) }
            if let nested = numbers.nested { set(nested, .nested(row.directory)) }
            if let packed = numbers.packed { set(packed, .packed(row.directory)) }
            if let rows = numbers.rows {
                for (place, number) in rows.enumerated() { set(number, .row(row.directory, place)) }
            }
        }
        return parts
    }()

    private static func pack(_ part: UInt64?, _ id: UInt64) -> Inode {
        guard let part else { preconditionFailure("the folder has no numbers for such files") }
        return Inode(id << 6 | part)
    }

    private static func pack(_ directory: Directory, _ id: UInt64, row: Int) -> Inode {
        let numbers = numbers(directory)
        guard let rows = numbers.rows else {
            return pack(numbers.packed, id * Folder.Numbers.perObject + UInt64(row))
        }
        precondition(row < rows.count, "the table has more rows than numbers")
        return pack(rows.lowerBound + UInt64(row), id)
    }

    var inode: Inode {
        switch self {
        case .folder(.root): Inode(1)
        case .folder(let directory): Self.pack(Self.folder, directory.rawValue)
        case .file(let directory, let row): Self.pack(directory, 0, row: row)
        case .child(let directory, let id): Self.pack(Self.numbers(directory).child, id)
        case .childFile(let directory, let id, let row): Self.pack(directory, id, row: row)
        case .nested(let directory, let id): Self.pack(Self.numbers(directory).nested, id)
        }
    }

    /// The number by which the kernel is to know the file after this look-up, which `Node(_:)` takes as
    /// well; `st_ino` stays `inode`.
    ///
    /// A write holds the lock of the kernel's inode while it fetches the writer's pages, which may
    /// never come. So each look-up of a command file gives another inode: no two openers share one.
    /// One of the log does, as each of its open files has another size.
    var handle: Inode {
        guard hasInodes else { return inode }
        let nonce = UInt64.random(in: 0...UInt64.max)
        let number = inode.number
        // The more bits, the longer must who wants to share another's inode try.
        if case .file = self {
            return Inode(Self.isHandle | Self.isControl | nonce & Self.controlNonce | number)
        }
        // One with a larger number has no room.
        guard number <= UInt32.max else { return inode }
        return Inode(Self.isHandle | nonce & Self.nonce | number)
    }

    /// A number that one look-up has for itself.
    static func isHandle(_ inode: Inode) -> Bool { inode.number & isHandle != 0 }

    /// With the number it makes a file handle. Signals and streams are numbered anew by each server, so
    /// a handle of an earlier one's must not be taken for another's.
    var generation: UInt32 {
        switch self {
        case .child(let directory, _), .childFile(let directory, _, _), .nested(let directory, _):
            Self.numbers(directory).isEachServersOwn
                ? Self.server.load(ordering: .relaxed) : 0
        case .folder, .file: 0
        }
    }

    /// The same in all servers of a mount.
    static let server = Atomic(UInt32.random(in: 1...UInt32.max))

    private static let isHandle: UInt64 = 1 << 63
    private static let isControl: UInt64 = 1 << 62
    private static let nonce: UInt64 = (1 << 30 - 1) << 32
    private static let controlNonce: UInt64 = (1 << 46 - 1) << 16

    private var isPossible: Bool {
        switch self {
        case .child(let directory, let id), .childFile(let directory, let id, _):
            id < Self.numbers(directory).limit
        case .nested(let directory, let id):
            id < Self.numbers(directory).limit
                && Layout[directory].nested?.isPossible(id) ?? false
        case .folder, .file: true
        }
    }

    private var hasInodes: Bool {
        switch self {
        case .file(let directory, let row): Layout[directory].files?.hasInodes(row) ?? false
        case .childFile(let directory, _, let row):
            Layout[directory].children?.files?.hasInodes(row) ?? false
        case .nested(let directory, let id): Layout[directory].nested?.hasInodes(id) ?? false
        default: false
        }
    }

    /// The file's own number, from one that `handle` gave.
    private static func own(_ inode: Inode) -> Inode {
        guard inode.number & isHandle != 0 else { return inode }
        let isControl = inode.number & isControl != 0
        return Inode(
            inode.number & ~(isHandle | (isControl ? self.isControl | controlNonce : nonce)))
    }

    /// Nil for a number that no inode has.
    init?(_ inode: Inode) {
        let own = Self.own(inode)
        let id = own.number >> 6
        switch Self.parts[Int(own.number & 0x3f)] {  // fits: 64 of them
        case .folder?:
            guard let directory = id == 0 ? .root : Directory(rawValue: id) else { return nil }
            self = .folder(directory)
        case .child(let directory)?: self = .child(directory, id)
        case .nested(let directory)?: self = .nested(directory, id)
        case .row(let directory, let row)?: self = .childFile(directory, id, row)
        case .packed(let directory)? where Self.numbers(directory).child == nil:
            guard let row = Int(exactly: id) else { return nil }
            self = .file(directory, row)
        case .packed(let directory)?:
            let (object, row) = id.quotientAndRemainder(dividingBy: Folder.Numbers.perObject)
            self = .childFile(directory, object, Int(row))  // fits: it is below `perObject`
        case nil: return nil
        }
        // Bits that this kind has no use for are no number of ours.
        if own != inode && inode.number & Self.isControl != 0 {
            guard case .file = self else { return nil }
        }
        guard isPossible, self.inode == own, own == inode || hasInodes else { return nil }
    }
}
