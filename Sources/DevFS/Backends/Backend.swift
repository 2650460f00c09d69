import Glibc
import SystemPackage

/// The state of one heap, in bytes.
package struct HeapStatus: Sendable, Equatable {
    /// The limit.
    package var size: UInt64
    /// Allocated in this heap.
    package var used: UInt64
    /// The largest allocation that can succeed now.
    package var largest: UInt64
}

/// How the bytes of a buffer are read where the server has to copy them.
package enum ReadStrategy: Sendable {
    /// The reply goes out straight from a mapping of the buffer.
    case mapping
    /// By `pread(2)`: the module syncs there, and a PFN mapping can't be replied from.
    case descriptor
}

/// One line of `features`.
package struct Feature: Sendable, Equatable {
    package var name: String
    package var isThere: Bool
    package var why: String

    package init(_ name: String, _ isThere: Bool, _ why: String = "") {
        self.name = name
        self.isThere = isThere
        self.why = why
    }
}

/// A buffer that was just made.
struct NewBuffer: ~Copyable {
    let id: BufferID
    /// Nil where making it has opened none. For who wants it open; else it goes with this.
    var file: Descriptor?

    consuming func descriptor() -> Descriptor? { file }
}

/// What a list tells of a buffer.
struct BufferSummary: Sendable, Equatable {
    /// Bytes.
    var size: UInt64
    var owner: Ownership
}

/// A device that has DMA buffers. All calls are synchronous and may come from any thread.
///
/// A buffer is a regular file to every backend: its descriptor can be read, written, mapped and
/// registered for FUSE passthrough. Errors are the errno of the tree (docs/reference/errors.md).
protocol Backend: AnyObject, Sendable {
    /// What is mounted, as mount(8) shows it: `memory:lab`, `/dev/devfs/host`.
    var source: String { get }
    /// A directory of this device's own for sockets, which outlives the server.
    var runtimeDirectory: String { get }
    var readStrategy: ReadStrategy { get }
    /// What the kernel needs for passthrough is there on the backend's side.
    var allowsPassthrough: Bool { get }
    /// A write through passthrough keeps a fixed buffer's size.
    var keepsFixedSize: Bool { get }
    /// A write that makes a buffer longer has to pass the server, whatever its heap.
    var seesGrowth: Bool { get }
    var heaps: [Heap] { get }
    var features: [Feature] { get }

    /// A number that differs once others than this server have given, changed or taken the name of
    /// a buffer; nil where nobody else can.
    var foreignChanges: UInt64? { get }
    /// Others than this server change buffers, too, of which it may not hear.
    var isShared: Bool { get }
    /// The buffers that are there: a device outlives its mounts.
    func buffers() throws(Errno) -> [BufferDescription]
    /// Makes a buffer of zeros. A size of 0 makes an empty one that is sized later.
    /// - Throws: EEXIST the name is taken; ENOSPC the limit, which the reason names.
    func make(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> NewBuffer
    /// Opens a buffer to read, write and map it.
    func open(_ buffer: BufferDescription) throws(Errno) -> Descriptor
    /// Opens a buffer for a client to read and map; where it can be had, nobody can open the
    /// descriptor again for writing.
    func openReadOnly(_ buffer: BufferDescription) throws(Errno) -> Descriptor
    func status(of buffer: BufferDescription) throws(Errno) -> FileStatus
    /// What a list tells of all buffers, where that takes less than the status of each; else nil.
    func summaries() -> [BufferID: BufferSummary]?
    /// Changes the size of an open buffer; new bytes are zero and really there.
    /// - Throws: ENOSPC the limit, which the reason names.
    func resize(_ descriptor: CInt, to size: UInt64) throws(Refusal)
    /// Makes sure that a range inside the buffer has its memory.
    func populate(_ descriptor: CInt, _ range: Range<UInt64>) throws(Refusal)
    /// Makes a range inside the buffer zero.
    func zero(_ descriptor: CInt, _ range: Range<UInt64>) throws(Errno)
    /// Writes in a buffer, growing it where needed.
    func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, at offset: UInt64
    ) throws(Errno) -> Int
    /// Takes the name away; the memory lives on until its last user is gone.
    func remove(_ buffer: BufferDescription) throws(Errno)
    /// An existing target goes as by `remove`. `renameat2(2)`
    func rename(_ buffer: BufferDescription, to name: Name, flags: RenameFlags) throws(Errno)
    func setTraits(_ traits: BufferTraits, of buffer: BufferDescription) throws(Errno)
    /// Cache maintenance of a range for the cpu or the device; nothing on coherent memory.
    func sync(
        _ buffer: BufferDescription, _ range: Range<UInt64>, direction: Direction,
        for target: SyncTarget
    ) throws(Errno)
    /// The same of an open buffer, which need not have a name any more.
    func sync(
        _ descriptor: CInt, _ range: Range<UInt64>, direction: Direction, for target: SyncTarget
    ) throws(Errno)
    /// - Throws: ENODATA where the memory has no such address.
    func dmaAddress(of buffer: BufferDescription) throws(Errno) -> UInt64
    func physicalAddress(of buffer: BufferDescription) throws(Errno) -> UInt64
    /// Address and length of each entry of the scatter-gather list. May wait for who has the buffer.
    func scatterGather(of buffer: BufferDescription) throws(Errno) -> [(UInt64, UInt64)]
    /// Entries of the scatter-gather list. It waits for nobody.
    func segments(of buffer: BufferDescription) throws(Errno) -> Int
    /// Cpu and device see the same without a sync.
    func isCoherent(_ buffer: BufferDescription) throws(Errno) -> Bool
    /// The node of the memory; -1 for none or unknown.
    func numaNode(of buffer: BufferDescription) throws(Errno) -> Int
    /// Gives a buffer another owner or mode; nil leaves what is. On the memory backend it waits for
    /// no client.
    /// - Parameter descriptor: one of the buffer's own.
    func setOwner(
        of buffer: BufferDescription, by descriptor: CInt, uid: UInt32?, gid: UInt32?,
        mode: UInt32?
    ) throws(Errno)
    /// The status of a buffer that is open, which may have no name any more.
    func status(of id: BufferID, by descriptor: CInt) throws(Errno) -> FileStatus
    /// Takes away what `remove`, or a `rename` that replaced it, left of a buffer: once, after it.
    /// May wait for whoever holds the file's lock, which a client can for ever.
    func discard(_ id: BufferID)
    var discardMayWait: Bool { get }
    /// The file of a removed buffer until `discard`, to wait for its end; nil where there is none.
    func remains(of id: BufferID) -> String?
    /// The memory of a removed buffer is gone now: its last user closed it.
    func freed(_ id: BufferID)
    func status(of heap: Heap) throws(Errno) -> HeapStatus
    func space() throws(Errno) -> SpaceStatus
    /// What keeps other servers from the device; nil where nothing does.
    var lock: DeviceLock? { get }
    /// What the device has besides memory; nil for none.
    var hardware: (any Hardware)? { get }
}

extension Backend {
    var hardware: (any Hardware)? { nil }
    var foreignChanges: UInt64? { nil }
    var isShared: Bool { foreignChanges != nil }
    var seesGrowth: Bool { false }
    var lock: DeviceLock? { nil }
    func discard(_ id: BufferID) {}
    var discardMayWait: Bool { false }
    func remains(of id: BufferID) -> String? { nil }

    func summaries() -> [BufferID: BufferSummary]? { nil }

    func allocate(
        _ name: Name, size: UInt64, traits: BufferTraits, owner: Ownership
    ) throws(Refusal) -> BufferID {
        try make(name, size: size, traits: traits, owner: owner).id
    }

    func segments(of buffer: BufferDescription) throws(Errno) -> Int {
        try scatterGather(of: buffer).count
    }

    func openReadOnly(_ buffer: BufferDescription) throws(Errno) -> Descriptor {
        let own = try open(buffer)
        return try Syscalls.reopen(own.raw, flags: O_RDONLY | O_NONBLOCK)
    }

    func setOwner(
        of buffer: BufferDescription, by descriptor: CInt, uid: UInt32?, gid: UInt32?,
        mode: UInt32?
    ) throws(Errno) {
        if uid ?? gid != nil {
            try Syscalls.setOwner(descriptor, uid: uid ?? UInt32.max, gid: gid ?? UInt32.max)
        }
        if let mode { try Syscalls.setMode(descriptor, mode & 0o777) }
    }

    func status(of id: BufferID, by descriptor: CInt) throws(Errno) -> FileStatus {
        try Syscalls.status(of: descriptor)
    }
}

/// A backend whose memory is on no bus: cpu and "device" share it, and it has no addresses.
protocol BuslessBackend: Backend {}

extension BuslessBackend {
    func sync(
        _ buffer: BufferDescription, _ range: Range<UInt64>, direction: Direction,
        for target: SyncTarget
    ) {}
    func sync(
        _ descriptor: CInt, _ range: Range<UInt64>, direction: Direction, for target: SyncTarget
    ) {}
    func dmaAddress(of buffer: BufferDescription) throws(Errno) -> UInt64 { throw .noData }
    func physicalAddress(of buffer: BufferDescription) throws(Errno) -> UInt64 { throw .noData }
    func scatterGather(of buffer: BufferDescription) throws(Errno) -> [(UInt64, UInt64)] {
        throw .noData
    }
    func isCoherent(_ buffer: BufferDescription) -> Bool { true }
    func numaNode(of buffer: BufferDescription) -> Int { -1 }
}
