import SystemPackage

/// What a read gives.
enum ReadResult: Sendable {
    case bytes(ArraySlice<UInt8>)

    static var end: ReadResult { .bytes([]) }
}

/// A read that waits. Exactly one of the two ways to finish it wins.
protocol ParkedRead: AnyObject, Sendable {
    /// Bytes that the reader takes at the most.
    var size: Int { get }
    /// What it is part of, where that outlives the server.
    var undertaking: Undertaking? { get }
    func finish(_ result: Result<ArraySlice<UInt8>, Errno>)
}

/// Someone who polls a file and wants to be woken once.
protocol PollWaiter: AnyObject, Sendable {
    func wake()
}

/// `poll(2)` events.
struct PollEvents: OptionSet, Sendable {
    let rawValue: UInt32

    static let readable = PollEvents(rawValue: 0x1 | 0x40)
    static let writable = PollEvents(rawValue: 0x4 | 0x100)
    static let error = PollEvents(rawValue: 0x8)
    static let hangUp = PollEvents(rawValue: 0x10)
}

/// An open file of the tree, one for each `open(2)`.
protocol OpenFile: AnyObject, Sendable {
    /// `lseek` makes sense.
    var isSeekable: Bool { get }
    /// A read may have to wait.
    var waits: Bool { get }

    /// - Parameter parked: taken, and kept until there is something to read, where the result is
    ///   nil; nil for a descriptor that does not wait (EAGAIN).
    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    /// Gives a parked read up; it is not finished afterwards by the file.
    func cancel(_ parked: any ParkedRead) -> Bool
    /// A read may take long, or wait for somebody: no thread that serves others does it.
    var readsWait: Bool { get }
    /// Writes with the rights of who opened the file.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int
    /// A write may take long, or wait for somebody: no thread that serves others does it.
    /// - Parameter count: bytes that are written.
    func writesWait(_ count: Int) -> Bool
    /// close(2) may have something to do, which `flush` does.
    var hasEnd: Bool { get }
    /// That may take long, or wait for somebody.
    var flushWaits: Bool { get }
    /// A descriptor of it is closed, which may be a copy.
    /// - Throws: what close(2) reports.
    func flush(by caller: Caller) throws(Errno)
    /// The buffer whose users it has to wait for, if any.
    var lane: BufferID? { get }
    /// The same of a write, which may name a buffer.
    func lane(writing bytes: UnsafeRawBufferPointer) -> BufferID?
    /// What can be done now; `waiter` is woken when that changes.
    func poll(_ waiter: (any PollWaiter)?) -> PollEvents
    /// Bytes that a reader of this open file will find, where it is a text.
    var length: UInt64? { get }
    /// Whose rights its commands have, where it takes some.
    var commander: Opener? { get }
    /// The answer to a read that comes again, by what the ledger has of it; nil for another one.
    func again(_ answer: [UInt8]) throws(Errno) -> ArraySlice<UInt8>?
    /// It is known to the next server from here on; or it was to the one before, and goes on.
    func keep(in handle: KeptHandle, isAdopted: Bool)
    func close()
}

/// An open file that is a regular file below, which FUSE passthrough can go to.
protocol BackedFile: OpenFile {
    var inode: Inode { get }
    /// The file below.
    var descriptor: CInt { get }
    /// A write has to pass the server, which keeps the size.
    var guardsSize: Bool { get }
}

extension ParkedRead {
    var undertaking: Undertaking? { nil }
}

extension OpenFile {
    var isSeekable: Bool { true }
    var waits: Bool { false }
    func writesWait(_ count: Int) -> Bool { false }
    var hasEnd: Bool { false }
    var flushWaits: Bool { false }
    func flush(by caller: Caller) throws(Errno) {}
    var readsWait: Bool { false }
    var lane: BufferID? { nil }
    func lane(writing bytes: UnsafeRawBufferPointer) -> BufferID? { lane }
    func cancel(_ parked: any ParkedRead) -> Bool { false }
    func poll(_ waiter: (any PollWaiter)?) -> PollEvents { [.readable, .writable] }
    var length: UInt64? { nil }
    var commander: Opener? { nil }
    func again(_ answer: [UInt8]) throws(Errno) -> ArraySlice<UInt8>? { answer[...] }
    func keep(in handle: KeptHandle, isAdopted: Bool) {}
    func close() {}

    /// The same of bytes that were kept.
    @discardableResult
    func write(_ bytes: [UInt8], at offset: UInt64 = 0) throws(Errno) -> Int {
        try unsafe bytes.span.bytes.withUnsafeBytes { (bytes) throws(Errno) in
            unsafe try write(bytes, at: offset)
        }
    }
}
