import Glibc
import SystemPackage

/// A buffer's number, unique in its device and kept as long as the buffer lives.
package struct BufferID: Hashable, Sendable, Comparable {
    /// 1 to 2^48 - 1.
    package let number: UInt64

    package init(_ number: UInt64) {
        self.number = number
    }

    package static func < (left: BufferID, right: BufferID) -> Bool { left.number < right.number }
}

/// What a buffer is, apart from what `stat(2)` tells.
package struct BufferDescription: Sendable, Equatable {
    package var id: BufferID
    package var name: Name
    package var traits: BufferTraits
    /// Nothing but its users keeps it.
    package var isTransient = false
}

/// What is kept with a buffer for good.
package struct BufferTraits: Sendable, Equatable {
    package var heap: Heap
    package var direction: Direction
    package var lease: Lease
    /// The process that allocated it, and when that process started (clock ticks since boot,
    /// `proc_pid_stat(5)`), so that a later process of the same number is not taken for it.
    package var owner: ProcessID
    package var ownerStart: UInt64

    package init(
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
package struct Ownership: Sendable, Hashable {
    package var uid: UInt32
    package var gid: UInt32
    /// Permission bits.
    package var mode: UInt32
}
