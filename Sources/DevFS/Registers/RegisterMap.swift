/// Registers of a device as a file describes them, in whatever format it is.
///
/// Nothing is checked yet but what the format itself asks for: `RegisterTable` does that, and leaves
/// out what it can't have.
public struct RegisterMap: Sendable {
    /// The file, for messages.
    public var path: String
    /// The region that the map itself names; nil where it names none.
    public var region: String?
    /// The address of the region's first byte, as the map counts.
    public var base: UInt64 = 0
    public var isBigEndian = false
    /// What stands at the top.
    public var top = RegisterBlock(name: "")
    /// What was left out so far, and why.
    public var warnings: [String] = []

    public init(path: String) { self.path = path }

    /// Registers, fields and blocks that a mount has at the most.
    public static let largest = 1_000_000
}

/// Registers that belong together: a peripheral, a cluster, a register file.
public struct RegisterBlock: Sendable {
    public var name: String
    /// Bytes from what it is in; `UInt64.max` where there is no such address.
    public var offset: UInt64 = 0
    public var registers: [Register] = []
    public var blocks: [RegisterBlock] = []

    public init(name: String) { self.name = name }
}

public struct Register: Sendable {
    public var name: String
    public var summary = ""
    /// Bytes from the block that it is in; `UInt64.max` where there is no such address.
    public var offset: UInt64
    /// Bytes of one access: 1, 2, 4 or 8.
    public var width: UInt64
    /// How many accesses make up the register, the most significant word at the lowest address and
    /// first; 4 bytes apart.
    public var words: UInt64 = 1
    public var access = RegisterAccess.readWrite
    /// What a write does where no field says so.
    public var effect = WriteEffect.none
    public var readHasEffect = false
    public var reset: UInt64?
    public var fields: [RegisterField] = []

    public init(name: String, offset: UInt64, width: UInt64) {
        self.name = name
        self.offset = offset
        self.width = width
    }
}

public struct RegisterField: Sendable, Hashable {
    public var name: String
    public var summary = ""
    public var lowest: UInt64
    /// Bits.
    public var width: UInt64
    public var access = RegisterAccess.readWrite
    public var effect = WriteEffect.none
    public var readHasEffect = false
    /// Values with a name.
    public var values: [RegisterValue] = []
    /// What can be written, where that is less than fits.
    public var range: ClosedRange<UInt64>?
    /// Nothing else can be written than values with a name.
    public var isNamedOnly = false

    public init(name: String, lowest: UInt64, width: UInt64) {
        self.name = name
        self.lowest = lowest
        self.width = width
    }
}

public struct RegisterValue: Sendable, Hashable {
    public var name: String
    public var value: UInt64
    public var use = ValueUse.both

    public init(name: String, value: UInt64, use: ValueUse = .both) {
        self.name = name
        self.value = value
        self.use = use
    }
}

/// When a value has its name. A bit that is set by a one is `Enabled` when it is read, and `Set` what
/// is written.
public enum ValueUse: UInt8, Sendable, CaseIterable {
    case both, read, write

    public var reads: Bool { self != .write }
    public var writes: Bool { self != .read }
}

/// In the words of CMSIS-SVD and IP-XACT.
public enum RegisterAccess: UInt8, Sendable, CaseIterable {
    case readWrite, readOnly, writeOnly, writeOnce, readWriteOnce

    public var word: String {
        switch self {
        case .readWrite: "read-write"
        case .readOnly: "read-only"
        case .writeOnly: "write-only"
        case .writeOnce: "writeOnce"
        case .readWriteOnce: "read-writeOnce"
        }
    }

    public init?(word: some StringProtocol) {
        guard let access = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = access
    }

    public var reads: Bool { self == .readWrite || self == .readOnly || self == .readWriteOnce }
    public var writes: Bool { self != .readOnly }
    public var isOnce: Bool { self == .writeOnce || self == .readWriteOnce }
}

/// What a write does to a field, beyond giving it the value. In the words of CMSIS-SVD and IP-XACT.
public enum WriteEffect: String, Sendable, CaseIterable {
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
