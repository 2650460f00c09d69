import CFuse
import Glibc
import Synchronization
import SystemPackage

/// What must outlive the server of a kept mount: a file in memory that the keeper holds and each
/// server maps.
///
/// Whatever moment a server dies at, the next one finds one state or the other: a record is written
/// first, then the word that makes it valid. Nothing here is a system call, so it is done under the
/// locks of what it tells of.
///
/// *Safety*: the mapping stays as long as the process, and numbers of records are checked.
@safe final class Ledger: @unchecked Sendable {
    /// Changes with the layout: a server of another one leaves the ledger alone.
    static let format: UInt64 = 0x6466_735f_0003

    /// Bytes from the start, and sizes.
    private enum Place {
        static let start = 1024
        static let path = 2048
        static let requests = (at: 4096, size: 256, count: 4096)
        static let backing = (at: 2 << 20, size: 32, count: 65_536)
        static let handles = (at: 4 << 20, size: 1024, count: 65_536)
        static let signals = (at: 72 << 20, size: 20_480, count: 2048)
        static let streams = (at: 112 << 20, size: 1024, count: 1024)
        static let lines = (at: 128 << 20, size: 8192, count: 65_536)
        static let end = lines.at + lines.size * lines.count
    }

    /// Words of the head.
    private enum Head {
        static let format = 0
        static let lives = 1
        static let server = 2
        static let mount = 3
        static let nextSignal = 4
        static let lastBacking = 5
        static let nextStream = 6
        static let backingCount = 7
        static let signalCount = 8
        static let streamCount = 9
        static let requestCount = 10
        /// Bytes: texts with their length before.
        static let device = 256
        static let source = 384
    }

    @unsafe private let base: UnsafeMutableRawPointer
    private let head: LedgerRecord
    let requests: LedgerRequests
    let handles: LedgerHandles
    /// The server is not the first one of the mount.
    let isAdopted: Bool

    /// A file for a keeper to hold, with room for all; what is not used takes no memory.
    /// `memfd_create(2)`
    static func makeFile() throws(Errno) -> Descriptor {
        let file = Descriptor(
            owning: try check { unsafe cfuse_memory_file("devfs-ledger") })
        try Syscalls.truncate(file.raw, to: UInt64(Place.end))
        return file
    }

    /// - Throws: EINVAL where the file is no ledger, or that of another version.
    init(_ descriptor: CInt, isAdopted: Bool) throws(Errno) {
        guard try Syscalls.status(of: descriptor).size == UInt64(Place.end) else {
            throw .invalidArgument
        }
        guard let base = unsafe cfuse_map_ledger(descriptor, Place.end) else { throw lastError }
        unsafe self.base = base
        self.isAdopted = isAdopted
        head = unsafe LedgerRecord(base)
        let parts = unsafe LedgerParts(base)
        handles = LedgerHandles(
            records: parts.table(Place.handles), lines: parts.table(Place.lines))
        let life = head[Head.lives] + 1
        requests = LedgerRequests(
            parts.table(Place.requests), LedgerRecord.Counter(head, Head.requestCount), life: life)
        if isAdopted {
            guard head[Head.format] == Self.format else { throw .invalidArgument }
            requests.settle(by: handles)
        } else {
            head[Head.server] = UInt64(UInt32.random(in: 1...UInt32.max))
            head[Head.nextSignal] = 1
            head[Head.nextStream] = 1
            head[Head.format] = Self.format
        }
        head[Head.lives] = life
    }

    private var parts: LedgerParts { unsafe LedgerParts(base) }

    /// Servers that there were, with this one.
    var lives: UInt64 { head[Head.lives] }
    /// In the numbers that make a file handle.
    var server: UInt32 { UInt32(truncatingIfNeeded: head[Head.server]) }
    var nextSignal: UInt64 {
        get { head[Head.nextSignal] }
        set { head[Head.nextSignal] = newValue }
    }
    /// With a lock held that no other such call is made without.
    func takeStreamNumber() -> UInt64 {
        defer { head[Head.nextStream] += 1 }
        return head[Head.nextStream]
    }

    var lastBacking: UInt64 {
        get { head[Head.lastBacking] }
        set { head[Head.lastBacking] = newValue }
    }

    /// Places of `backing` that were ever used: those behind are free.
    var backingCount: UInt64 {
        get { head[Head.backingCount] }
        set { head[Head.backingCount] = newValue }
    }

    /// The kernel's first request, and its answer.
    @unsafe var start: UnsafeMutablePointer<cfuse_init> {
        unsafe (base + Place.start).assumingMemoryBound(to: cfuse_init.self)
    }

    var canResend: Bool { unsafe cfuse_session_can_resend(start) }

    /// The mount, as the first server made it.
    struct MountRecord {
        var id: UInt64
        var device: String
        var source: String
        var path: String
    }

    var mount: MountRecord {
        MountRecord(
            id: head[Head.mount], device: head.text(at: Head.device),
            source: head.text(at: Head.source), path: head.text(at: Place.path))
    }

    /// - Throws: ENAMETOOLONG.
    func setMount(_ mount: MountRecord) throws(Errno) {
        guard mount.device.utf8.count <= 64, mount.source.utf8.count <= 128,
            mount.path.utf8.count <= 2000
        else { throw .fileNameTooLong }
        head.setText(mount.device, at: Head.device)
        head.setText(mount.source, at: Head.source)
        head.setText(mount.path, at: Place.path)
        head[Head.mount] = mount.id
    }

    /// Registrations for passthrough: inode, number, and whether it is being given up.
    var backing: LedgerTable { parts.table(Place.backing) }
    var signals: LedgerTable { parts.table(Place.signals) }
    var streams: LedgerTable { parts.table(Place.streams) }
    var signalPlaces: LedgerPlaces { places(of: signals, Head.signalCount) }
    var streamPlaces: LedgerPlaces { places(of: streams, Head.streamCount) }

    private func places(of table: LedgerTable, _ word: Int) -> LedgerPlaces {
        let head = head
        return LedgerPlaces(of: table, next: head[word]) { head[word] = UInt64($0) }
    }
}

/// Where the tables are.
@safe private struct LedgerParts {
    private let base: UnsafeMutableRawPointer

    init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

    func table(_ place: (at: Int, size: Int, count: Int)) -> LedgerTable {
        unsafe LedgerTable(base + place.at, size: place.size, count: place.count)
    }
}

/// Records of one size.
///
/// *Safety*: as of `Ledger`.
@safe struct LedgerTable: @unchecked Sendable {
    private let base: UnsafeMutableRawPointer
    private let size: Int
    let count: Int

    init(_ base: UnsafeMutableRawPointer, size: Int, count: Int) {
        unsafe self.base = base
        self.size = size
        self.count = count
    }

    subscript(index: Int) -> LedgerRecord {
        precondition((0..<count).contains(index), "a record that there is not")
        return unsafe LedgerRecord(base + index * size)
    }
}

/// Words and bytes that outlive the process.
///
/// *Safety*: as of `Ledger`; places in a record are those of its layout.
@safe struct LedgerRecord: @unchecked Sendable {
    private let base: UnsafeMutableRawPointer

    init(_ base: UnsafeMutableRawPointer) { unsafe self.base = base }

    /// By number. What was stored before a word is there when the word is.
    subscript(word: Int) -> UInt64 {
        get { unsafe cfuse_load((base + 8 * word).assumingMemoryBound(to: UInt64.self)) }
        nonmutating set {
            unsafe cfuse_store((base + 8 * word).assumingMemoryBound(to: UInt64.self), newValue)
        }
    }

    /// A part of it, by its first byte, a multiple of 8.
    func part(at offset: Int) -> LedgerRecord { unsafe LedgerRecord(base + offset) }

    /// That of a version, of two parts of one size that are written in turn: the version's number is
    /// stored behind it, so that one of them is whole at any time.
    func turn(of version: UInt64, at offset: Int, size: Int) -> LedgerRecord {
        part(at: offset + (version & 1 == 0 ? 0 : size))
    }

    func bytes(at offset: Int, count: Int) -> [UInt8] {
        unsafe Array(UnsafeRawBufferPointer(start: base + offset, count: count))
    }

    func setBytes(_ bytes: [UInt8], at offset: Int) {
        unsafe bytes.withUnsafeBytes { source in
            if let start = source.baseAddress {
                unsafe (base + offset).copyMemory(from: start, byteCount: source.count)
            }
        }
    }

    /// A text behind its length.
    func text(at offset: Int) -> String {
        let count = Int(clamping: part(at: offset)[0])
        return String(decoding: bytes(at: offset + 8, count: min(count, 4096)), as: UTF8.self)
    }

    func setText(_ text: String, at offset: Int) {
        setBytes(Array(text.utf8), at: offset + 8)
        part(at: offset)[0] = UInt64(text.utf8.count)
    }

    /// A word that counts.
    struct Counter: Sendable {
        private let record: LedgerRecord
        private let word: Int

        init(_ record: LedgerRecord, _ word: Int) { (self.record, self.word) = (record, word) }

        var value: Int {
            get { Int(clamping: record[word]) }
            nonmutating set { record[word] = UInt64(newValue) }
        }
    }

    /// All zero, up to a word.
    func clear(words: Range<Int>) { for word in words { self[word] = 0 } }
}
