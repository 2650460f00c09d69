import SystemPackage

/// An inode number of the mount. It says by itself what it is: no table of inodes is kept, and a
/// buffer has the same number over renames, remounts and the death of the server.
///
/// Bits 5:0 are what it is of an object (see `Node`), the rest is the object's number. The root is 1, as
/// FUSE wants it. So numbers fit 32 bits as long as objects have numbers below 2^26: programs without
/// large-file support get EOVERFLOW for larger ones.
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

    /// What a number is of an object. Numbers of rows go on from those of their table.
    private enum Part: UInt64 {
        case directory = 1
        case rootFile, controlFile, heapDirectory, heapFile, region
        case signal
        case signalFile = 8
        case stream = 16
        case streamFile = 17
        case buffer = 25
        case attributes = 26
        case attribute = 27

        /// Numbers up to here are its.
        var last: UInt64 {
            switch self {
            case .signalFile: 15
            case .streamFile: 24
            case .attribute: 63
            default: rawValue
            }
        }

        init?(_ number: UInt64) {
            let first = [Part.signalFile, .streamFile, .attribute].first {
                ($0.rawValue...$0.last).contains(number)
            }
            guard let part = first ?? Part(rawValue: number) else { return nil }
            self = part
        }
    }

    private static let heapRows: UInt64 = 16

    private static func pack(_ part: Part, _ id: UInt64, _ row: Int = 0) -> Inode {
        let number = part.rawValue + UInt64(row)
        precondition(number <= part.last, "the table has more rows than numbers")
        return Inode(id << 6 | number)
    }

    var inode: Inode {
        switch self {
        case .directory(.root): Inode(1)
        case .directory(let directory): Self.pack(.directory, directory.rawValue)
        case .rootFile(let row): Self.pack(.rootFile, UInt64(row))
        case .controlFile(let row): Self.pack(.controlFile, UInt64(row))
        case .heapDirectory(let heap): Self.pack(.heapDirectory, UInt64(heap.rawValue))
        case .heapFile(let heap, let row):
            Self.pack(.heapFile, UInt64(heap.rawValue) * Self.heapRows + UInt64(row))
        case .buffer(let id): Self.pack(.buffer, id.number)
        case .attributes(let id): Self.pack(.attributes, id.number)
        case .attribute(let id, let row): Self.pack(.attribute, id.number, row)
        case .signal(let id): Self.pack(.signal, id.number)
        case .signalFile(let id, let row): Self.pack(.signalFile, id.number, row)
        case .stream(let id): Self.pack(.stream, id.number)
        case .streamFile(let id, let row): Self.pack(.streamFile, id.number, row)
        case .region(let index): Self.pack(.region, UInt64(index))
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
        if case .controlFile = self {
            return Inode(Self.isHandle | Self.isControl | nonce & Self.controlNonce | number)
        }
        // One with a larger number has no room.
        guard number <= UInt32.max else { return inode }
        return Inode(Self.isHandle | nonce & Self.nonce | number)
    }

    /// With the number it makes a file handle. Signals and streams are numbered anew by each server, so
    /// a handle of an earlier one's must not be taken for another's.
    var generation: UInt32 {
        switch self {
        case .signal, .signalFile, .stream, .streamFile: Self.server
        default: 0
        }
    }

    private static let server = UInt32.random(in: 1...UInt32.max)

    private static let isHandle: UInt64 = 1 << 63
    private static let isControl: UInt64 = 1 << 62
    private static let nonce: UInt64 = (1 << 30 - 1) << 32
    private static let controlNonce: UInt64 = (1 << 46 - 1) << 16

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
        guard inode.number & isHandle != 0 else { return inode }
        let isControl = inode.number & isControl != 0
        return Inode(
            inode.number & ~(isHandle | (isControl ? self.isControl | controlNonce : nonce)))
    }

    /// Nil for a number that no inode has.
    init?(_ inode: Inode) {
        let own = Self.own(inode)
        let id = own.number >> 6
        guard let part = Part(own.number & 0x3f), let place = Int(exactly: id) else { return nil }
        let row = Int(own.number & 0x3f - part.rawValue)  // fits: `part` begins there or below
        switch part {
        case .directory:
            guard let directory = id == 0 ? .root : Directory(rawValue: id) else { return nil }
            self = .directory(directory)
        case .rootFile: self = .rootFile(place)
        case .controlFile: self = .controlFile(place)
        case .heapDirectory:
            guard let heap = Heap(rawValue: place) else { return nil }
            self = .heapDirectory(heap)
        case .heapFile:
            guard let heap = Heap(rawValue: place / Int(Self.heapRows)) else { return nil }
            self = .heapFile(heap, place % Int(Self.heapRows))
        case .buffer: self = .buffer(BufferID(id))
        case .attributes: self = .attributes(BufferID(id))
        case .attribute: self = .attribute(BufferID(id), row)
        case .signal: self = .signal(SignalID(number: id))
        case .signalFile: self = .signalFile(SignalID(number: id), row)
        case .stream: self = .stream(StreamID(number: id))
        case .streamFile: self = .streamFile(StreamID(number: id), row)
        case .region: self = .region(place)
        }
        // Bits that this kind has no use for are no number of ours.
        guard self.inode == own, own == inode || hasInodes else { return nil }
    }
}

extension Array {
    fileprivate func hasInodes<S>(_ row: Int) -> Bool where Element == TextFile<S> {
        indices.contains(row) && (self[row].write != nil || self[row].isFollowed)
    }
}
