import SystemPackage

/// A source of events by its number on the device, which another one has once it is gone.
struct SourceID: Hashable, Sendable {
    let number: UInt32
}

/// A source of events as its device tells it.
struct SourceStatus: Sendable, Equatable {
    var id: SourceID
    var name: Name
    var source: SignalSource
    var isEnabled: Bool
    /// It came too fast and was masked.
    var isStorm = false
    /// All events so far.
    var count: UInt64
    /// Periods that a timer was too late for, and what a disabled source would have made.
    var missed: UInt64
    /// What befell the device last, of the source that tells it.
    var mishap: Mishap?
}

/// What befell a device, after which its registers are not what they were.
enum Mishap: Sendable {
    case reset
    /// PCI reported an error that was not corrected.
    case error
    case powerLoss
}

/// An event as a device reports it.
struct SourceEvent: Sendable, Equatable {
    var id: SourceID
    /// Its number: all events of the source so far.
    var count: UInt64
    /// CLOCK_MONOTONIC, ns.
    var time: UInt64
    /// The source came too fast, and was masked with it.
    var isStorm = false
}

/// A device that makes the events of its signals itself. No call waits. After the device was removed all
/// are ENODEV.
protocol EventDevice: Sendable {
    /// It has sources of software and timers, too, which outlive the server and go on without it.
    var makesSources: Bool { get }
    /// Readable, for epoll, while there are events to take, and once the device is gone.
    var eventDescriptor: CInt { get }
    /// Events that were not taken yet, oldest first; fewer than `batch` are all that there are now. A
    /// device keeps so many, and drops the oldest: what is lost shows by `count`.
    func takeEvents() throws(Errno) -> [SourceEvent]
    /// How many are taken at a time.
    var batch: Int { get }
    func sources() throws(Errno) -> [SourceStatus]
    func status(of source: SourceID) throws(Errno) -> SourceStatus
    /// Makes a source, which is disabled at first.
    /// - Throws: EEXIST the name is taken; EINVAL, ENOSPC a limit, which the reason names.
    func makeSource(_ name: Name, _ source: SignalSource) throws(Refusal) -> SourceStatus
    /// - Throws: EPERM for an interrupt; EBUSY where the device itself uses it.
    func removeSource(_ source: SourceID) throws(Errno)
    /// Masks or unmasks it.
    func setEnabled(_ isEnabled: Bool, _ source: SourceID) throws(Errno)
    /// Makes one event of an enabled software source.
    func trigger(_ source: SourceID) throws(Errno)
    /// Times of the newest events from number `first` on, and the number that the first has.
    func times(
        of source: SourceID, from first: UInt64
    ) throws(Errno) -> (first: UInt64, times: [UInt64])
    /// Marks a source as made by a mount, which the next mount takes over from a server that died.
    func mark(_ name: Name, asMount isOfMount: Bool)
    func isOfMount(_ name: Name) -> Bool
}

extension EventDevice {
    var makesSources: Bool { true }
}

/// Registers or memory of a device, as a file.
struct Region: Sendable, Equatable {
    /// Its place in the device's list.
    var index: Int
    var name: Name
    /// Bytes.
    var size: UInt64
    var isWritable: Bool
}

/// A region that is reached by calls, and not by a file of its own. No call waits but for the device.
protocol RegionPort: AnyObject, Sendable {
    /// - Throws: EINVAL for what is no access of the region's widths; ENODEV once the device is gone.
    func read(at offset: UInt64, count: Int) throws(Errno) -> [UInt8]
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(Errno) -> Int
}

/// What a device has besides memory.
protocol Hardware: Sendable {
    var events: any EventDevice { get }
    var regions: [Region] { get }
    /// Nil where the region has a file of its own.
    func port(of region: Region) throws(Errno) -> (any RegionPort)?
    /// The region's own file, a regular one, which FUSE passthrough takes.
    /// - Throws: ENOTSUP where it has none.
    func open(_ region: Region, writes: Bool) throws(Errno) -> Descriptor
    /// A foreign dma-buf as a buffer of the heap `imported`.
    func importMemory(
        _ dmaBuf: CInt, as name: Name, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> BufferID
    /// A part of a shared memory file as a buffer of the heap `user`.
    func pinMemory(
        _ memory: CInt, _ range: Range<UInt64>, as name: Name, traits: BufferTraits,
        owner: Ownership
    ) throws(Refusal) -> BufferID
    /// The device itself can be reset.
    var canReset: Bool { get }
    /// Its registers begin anew, and what is under way ends. It may take seconds.
    /// - Throws: EAGAIN while it is removed, suspended or reset by others.
    func reset() throws(Errno)
    /// Lines of `status`: a word, and what is to be said.
    func facts() throws(Errno) -> [(String, String)]
}

extension Hardware {
    func port(of region: Region) throws(Errno) -> (any RegionPort)? { nil }
}

/// What a signal's events come from.
enum SignalSource: Sendable, Equatable {
    case software
    /// Nanoseconds.
    case timer(period: UInt64)
    /// Of the device.
    case interrupt
}
