import SystemPackage

/// What a read gives.
public enum ReadResult: Sendable {
    case bytes(ArraySlice<UInt8>)

    static var end: ReadResult { .bytes([]) }
}

/// A read that waits. Exactly one of the two ways to finish it wins.
public protocol ParkedRead: AnyObject, Sendable {
    /// Bytes that the reader takes at the most.
    var size: Int { get }
    func finish(_ result: Result<ArraySlice<UInt8>, Errno>)
}

/// Someone who polls a file and wants to be woken once.
public protocol PollWaiter: AnyObject, Sendable {
    func wake()
}

/// `poll(2)` events.
public struct PollEvents: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let readable = PollEvents(rawValue: 0x1 | 0x40)
    public static let writable = PollEvents(rawValue: 0x4 | 0x100)
    public static let error = PollEvents(rawValue: 0x8)
    public static let hangUp = PollEvents(rawValue: 0x10)
}

/// An open file of the tree, one for each `open(2)`.
public protocol OpenFile: AnyObject, Sendable {
    /// `lseek` makes sense.
    var isSeekable: Bool { get }
    /// A read may have to wait.
    var waits: Bool { get }

    /// - Parameter parked: taken, and kept until there is something to read, where the result is
    ///   nil; nil for a descriptor that does not wait (EAGAIN).
    func read(at offset: UInt64, size: Int, parked: (any ParkedRead)?) throws(Errno) -> ReadResult?
    /// Gives a parked read up; it is not finished afterwards by the file.
    func cancel(_ parked: any ParkedRead) -> Bool
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64, by caller: Caller) throws(Errno)
        -> Int
    /// What can be done now; `waiter` is woken when that changes.
    func poll(_ waiter: (any PollWaiter)?) -> PollEvents
    /// Bytes that a reader of this open file will find, where it is a text.
    var length: UInt64? { get }
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

extension OpenFile {
    public var isSeekable: Bool { true }
    public var waits: Bool { false }
    public func cancel(_ parked: any ParkedRead) -> Bool { false }
    public func poll(_ waiter: (any PollWaiter)?) -> PollEvents { [.readable, .writable] }
    public var length: UInt64? { nil }
    public func close() {}
}
