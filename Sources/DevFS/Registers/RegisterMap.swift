/// Registers of a device as a file describes them, in whatever format it is.
///
/// Nothing is checked yet but what the format itself asks for: `RegisterTable` does that, and leaves
/// out what it can't have.
package struct RegisterMap: Sendable {
    /// The file, for messages.
    package var path: String
    /// The region that the map itself names; nil where it names none.
    package var region: String?
    /// The address of the region's first byte, as the map counts.
    package var base: UInt64 = 0
    package var isBigEndian = false
    /// What stands at the top.
    package var top = RegisterBlock(name: "")
    /// What was left out so far, and why.
    package var warnings: [String] = []

    package init(path: String) { self.path = path }

    /// Registers, fields and blocks that a mount has at the most.
    package static let largest = 1_000_000
}

/// Registers that belong together: a peripheral, a cluster, a register file.
package struct RegisterBlock: Sendable {
    package var name: String
    /// Bytes from what it is in; `UInt64.max` where there is no such address.
    package var offset: UInt64 = 0
    package var registers: [Register] = []
    package var blocks: [RegisterBlock] = []

    package init(name: String) { self.name = name }
}

package struct Register: Sendable {
    package var name: String
    package var summary = ""
    /// Bytes from the block that it is in; `UInt64.max` where there is no such address.
    package var offset: UInt64
    /// Bytes of one access: 1, 2, 4 or 8.
    package var width: UInt64
    /// How many accesses make up the register, the most significant word at the lowest address and
    /// first; 4 bytes apart.
    package var words: UInt64 = 1
    package var access = RegisterAccess.readWrite
    /// What a write does where no field says so.
    package var effect = WriteEffect.none
    package var readHasEffect = false
    package var reset: UInt64?
    package var fields: [RegisterField] = []

    package init(name: String, offset: UInt64, width: UInt64) {
        self.name = name
        self.offset = offset
        self.width = width
    }
}

package struct RegisterField: Sendable, Hashable {
    package var name: String
    package var summary = ""
    package var lowest: UInt64
    /// Bits.
    package var width: UInt64
    package var access = RegisterAccess.readWrite
    package var effect = WriteEffect.none
    package var readHasEffect = false
    /// Values with a name.
    package var values: [RegisterValue] = []
    /// What can be written, where that is less than fits.
    package var range: ClosedRange<UInt64>?
    /// Nothing else can be written than values with a name.
    package var isNamedOnly = false

    package init(name: String, lowest: UInt64, width: UInt64) {
        self.name = name
        self.lowest = lowest
        self.width = width
    }
}

package struct RegisterValue: Sendable, Hashable {
    package var name: String
    package var value: UInt64
    package var use = ValueUse.both

    package init(name: String, value: UInt64, use: ValueUse = .both) {
        self.name = name
        self.value = value
        self.use = use
    }
}

/// When a value has its name. A bit that is set by a one is `Enabled` when it is read, and `Set` what
/// is written.
package enum ValueUse: UInt8, Sendable, CaseIterable {
    case both, read, write

    package var reads: Bool { self != .write }
    package var writes: Bool { self != .read }
}

/// In the words of CMSIS-SVD and IP-XACT.
package enum RegisterAccess: UInt8, Sendable, CaseIterable {
    case readWrite, readOnly, writeOnly, writeOnce, readWriteOnce

    package var word: String {
        switch self {
        case .readWrite: "read-write"
        case .readOnly: "read-only"
        case .writeOnly: "write-only"
        case .writeOnce: "writeOnce"
        case .readWriteOnce: "read-writeOnce"
        }
    }

    package init?(word: some StringProtocol) {
        guard let access = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = access
    }

    package var reads: Bool { self == .readWrite || self == .readOnly || self == .readWriteOnce }
    package var writes: Bool { self != .readOnly }
    package var isOnce: Bool { self == .writeOnce || self == .readWriteOnce }
}

/// What a write does to a field, beyond giving it the value. In the words of CMSIS-SVD and IP-XACT.
package enum WriteEffect: String, Sendable, CaseIterable {
    case none = "modify"
    case oneToClear, oneToSet, oneToToggle, zeroToClear, zeroToSet, zeroToToggle
    /// Whatever is written, to the register.
    case clear, set

    /// What is written to the field's bits to leave it as it is; nil where nothing does.
    var neutral: NeutralBits? {
        switch self {
        case .none: .kept
        case .oneToClear, .oneToSet, .oneToToggle: .zeros
        case .zeroToClear, .zeroToSet, .zeroToToggle: .ones
        case .clear, .set: nil
        }
    }

    enum NeutralBits { case kept, zeros, ones }

    var number: UInt8 { UInt8(Self.allCases.firstIndex(of: self) ?? 0) }
    init(number: UInt8) { self = Self.allCases[Int(number) % Self.allCases.count] }
}
