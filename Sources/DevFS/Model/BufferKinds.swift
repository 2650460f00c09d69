import SystemPackage

/// Direction of the transfers of a buffer, as in `enum dma_data_direction` (linux/dma-direction.h).
package enum Direction: Int, Sendable, CaseIterable {
    case bidirectional = 0
    case toDevice = 1
    case fromDevice = 2

    package var name: String {
        switch self {
        case .bidirectional: "bidirectional"
        case .toDevice: "to_device"
        case .fromDevice: "from_device"
        }
    }

    init?(name: some StringProtocol) {
        guard let match = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }
}

/// Where the memory of a buffer comes from, numbered as in kmod/uapi/devfs_dma.h.
package enum Heap: Int, Sendable, CaseIterable {
    /// Cacheable pages, scatter-gather; grows.
    case system = 0
    /// Cacheable memory, one bus range; sized once.
    case contiguous = 1
    /// `dma_alloc_coherent` memory; sized once.
    case coherent = 2
    /// A memory region set aside; sized once.
    case reserved = 3
    /// Pinned pages of a process, made by the module's PIN.
    case user = 4
    /// A foreign dma-buf, made by the module's IMPORT.
    case imported = 5

    /// The kinds of `control/heaps/NAME/type`.
    enum Kind: String { case page, fixed, pinned, imported }

    package var name: String {
        switch self {
        case .system: "system"
        case .contiguous: "contiguous"
        case .coherent: "coherent"
        case .reserved: "reserved"
        case .user: "user"
        case .imported: "imported"
        }
    }

    package init?(name: some StringProtocol) {
        guard let match = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }

    /// Sized once: memory that can't grow.
    var isFixed: Bool { self != .system }
    /// Memory of another driver: an access waits for what other devices do with it, for ever where
    /// they do not end. No thread that serves others reads, writes or syncs it.
    var isForeign: Bool { self == .imported }
    /// A command can take memory from it.
    var isAllocatable: Bool { self != .user && self != .imported }

    var kind: Kind {
        switch self {
        case .system: .page
        case .contiguous, .coherent, .reserved: .fixed
        case .user: .pinned
        case .imported: .imported
        }
    }
}

/// How long a buffer lives.
package enum Lease: String, Sendable {
    /// Until it is removed.
    case none
    /// Until the process that allocated it ends.
    case process
}

/// Who a device access is handed to by a sync.
package enum SyncTarget: String, Sendable {
    case cpu = "for_cpu"
    case device = "for_device"
}
