import SystemPackage

/// An inode number of the mount. It says by itself what it is: no table of inodes is kept, and a
/// buffer has the same number over renames, remounts and the death of the server.
///
/// Bits 63:56 the kind, 55:8 the number of the buffer, signal or stream, 7:0 the file's row in its
/// table. The root is 1, as FUSE wants it.
public struct Inode: Hashable, Sendable {
    public let number: UInt64

    public init(_ number: UInt64) {
        self.number = number
    }
}

/// A directory that is always there.
enum Directory: UInt64, CaseIterable {
    case root = 1
    case buffers, attributes, control, heaps, signals, streams, regions

    var name: String {
        switch self {
        case .root: ""
        case .buffers: "buffers"
        case .attributes: "attributes"
        case .control: "control"
        case .heaps: "heaps"
        case .signals: "signals"
        case .streams: "streams"
        case .regions: "regions"
        }
    }

    var parent: Directory { self == .heaps ? .control : .root }
    var children: [Directory] { Self.allCases.filter { $0 != .root && $0.parent == self } }
}

/// What an inode is.
enum Node: Hashable {
    case directory(Directory)
    case rootFile(Int)
    case controlFile(Int)
    case heapDirectory(Heap)
    case heapFile(Heap, Int)
    case buffer(BufferID)
    case attributes(BufferID)
    case attribute(BufferID, Int)
    case signal(SignalID)
    case signalFile(SignalID, Int)
    case stream(StreamID)
    case streamFile(StreamID, Int)
    /// By its place in the device's list.
    case region(Int)

    private static func pack(_ kind: UInt64, _ id: UInt64, _ row: Int = 0) -> Inode {
        Inode(kind << 56 | id << 8 | UInt64(row))
    }

    var inode: Inode {
        switch self {
        case .directory(.root): Inode(1)
        case .directory(let directory): Self.pack(1, directory.rawValue)
        case .rootFile(let row): Self.pack(2, 0, row)
        case .controlFile(let row): Self.pack(3, 0, row)
        case .heapDirectory(let heap): Self.pack(4, UInt64(heap.rawValue))
        case .heapFile(let heap, let row): Self.pack(5, UInt64(heap.rawValue), row)
        case .buffer(let id): Self.pack(6, id.number)
        case .attributes(let id): Self.pack(7, id.number)
        case .attribute(let id, let row): Self.pack(8, id.number, row)
        case .signal(let id): Self.pack(9, id.number)
        case .signalFile(let id, let row): Self.pack(10, id.number, row)
        case .stream(let id): Self.pack(11, id.number)
        case .streamFile(let id, let row): Self.pack(12, id.number, row)
        case .region(let index): Self.pack(13, UInt64(index))
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
        if case .controlFile = self {
            return Inode(number | 0x80 << 56 | (nonce & (1 << 48 - 1)) << 8)
        }
        // Others have their object's number in the lower half. One that takes more has no room.
        guard number >> 32 & 0xff_ffff == 0 else { return inode }
        return Inode(number | 0x80 << 56 | (nonce & 0xff_ffff) << 32)
    }

    private var hasInodes: Bool {
        switch self {
        case .controlFile(let row): Layout.control.hasInodes(row)
        case .attribute(_, let row): Layout.attributes.hasInodes(row)
        case .signalFile(_, let row): Layout.signal.hasInodes(row)
        case .streamFile(_, let row): Layout.stream.hasInodes(row)
        default: false
        }
    }

    /// The file's own number, from one that `handle` gave.
    private static func own(_ inode: Inode) -> Inode {
        switch inode.number >> 56 {
        case 0x83: Inode(inode.number & 0x7f00_0000_0000_00ff)
        case 0x88, 0x8a, 0x8c: Inode(inode.number & 0x7f00_0000_ffff_ffff)
        default: inode
        }
    }

    /// Nil for a number that no inode has.
    init?(_ inode: Inode) {
        let inode = Self.own(inode)
        let id = inode.number >> 8 & (1 << 48 - 1)
        let row = Int(inode.number & 0xff)
        switch inode.number >> 56 {
        case 0:
            guard inode.number == 1 else { return nil }
            self = .directory(.root)
        case 1:
            guard let directory = Directory(rawValue: id) else { return nil }
            self = .directory(directory)
        case 2: self = .rootFile(row)
        case 3: self = .controlFile(row)
        case 4, 5:
            guard let heap = Heap(rawValue: Int(id)) else { return nil }
            self = inode.number >> 56 == 4 ? .heapDirectory(heap) : .heapFile(heap, row)
        case 6: self = .buffer(BufferID(id))
        case 7: self = .attributes(BufferID(id))
        case 8: self = .attribute(BufferID(id), row)
        case 9: self = .signal(SignalID(number: id))
        case 10: self = .signalFile(SignalID(number: id), row)
        case 11: self = .stream(StreamID(number: id))
        case 12: self = .streamFile(StreamID(number: id), row)
        case 13: self = .region(Int(id))
        default: return nil
        }
        // Bits that this kind has no use for are no number of ours.
        guard self.inode == inode else { return nil }
    }
}

extension Array {
    fileprivate func hasInodes<S>(_ row: Int) -> Bool where Element == TextFile<S> {
        indices.contains(row) && (self[row].write != nil || self[row].isFollowed)
    }
}
