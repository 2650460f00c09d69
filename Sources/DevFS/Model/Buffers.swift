import Glibc
import SystemPackage

/// A buffer's number, unique in its device and kept as long as the buffer lives.
public struct BufferID: Hashable, Sendable, Comparable {
    /// 1 to 2^48 - 1.
    public let number: UInt64

    public init(_ number: UInt64) {
        self.number = number
    }

    public static func < (left: BufferID, right: BufferID) -> Bool { left.number < right.number }
}

/// What a buffer is, apart from what `stat(2)` tells.
public struct BufferDescription: Sendable, Equatable {
    public var id: BufferID
    public var name: Name
    public var traits: BufferTraits
    /// Nothing but its users keeps it.
    public var isTransient = false
}

/// What is kept with a buffer for good.
public struct BufferTraits: Sendable, Equatable {
    public var heap: Heap
    public var direction: Direction
    public var lease: Lease
    /// The process that allocated it, and when that process started (clock ticks since boot,
    /// `proc_pid_stat(5)`), so that a later process of the same number is not taken for it.
    public var owner: ProcessID
    public var ownerStart: UInt64

    public init(
        heap: Heap, direction: Direction = .bidirectional, lease: Lease = .none,
        owner: ProcessID = ProcessID(0), ownerStart: UInt64 = 0
    ) {
        self.heap = heap
        self.direction = direction
        self.lease = lease
        self.owner = owner
        self.ownerStart = ownerStart
    }
}

/// Who a new buffer belongs to.
public struct Ownership: Sendable, Hashable {
    public var uid: UInt32
    public var gid: UInt32
    /// Permission bits.
    public var mode: UInt32
}
