import SystemPackage

/// A name in the tree: 1 to 63 bytes of `A-Za-z0-9._-`, not starting with a dot.
public struct Name: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    /// Bytes of a name at the most.
    static let longest = 63

    /// Why a text is no name: too long, or with bytes that names do not have.
    static func obstacle(_ text: some StringProtocol) -> Refusal? {
        if text.utf8.count > longest {
            return Refusal(.fileNameTooLong, "a name has \(longest) bytes at the most")
        }
        return Name(text) == nil ? .invalid("not a name: \(rule)") : nil
    }

    static let rule = "1 to \(longest) bytes of A-Za-z0-9._-, not starting with a dot"

    /// - Throws: ENAMETOOLONG, EINVAL.
    init(checking text: some StringProtocol) throws(Refusal) {
        guard let name = Name(text) else {
            throw Self.obstacle(text) ?? .invalid("not a name")
        }
        self = name
    }

    /// Nil where the text is no such name.
    public init?(_ text: some StringProtocol) {
        let bytes = text.utf8
        guard (1...Name.longest).contains(bytes.count), bytes.first != UInt8(ascii: "."),
            bytes.allSatisfy(Name.isAllowed)
        else { return nil }
        self.text = String(text)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }

    public var description: String { text }
}

/// Why a command was not carried out: the errno for the caller, the reason for `control/log`.
public struct Refusal: Error, Sendable, Equatable {
    public var errno: Errno
    public var why: String
    /// A command that may become one by what follows.
    var isIncomplete = false

    public init(_ errno: Errno, _ why: String) {
        self.errno = errno
        self.why = why
    }

    static func invalid(_ why: String) -> Refusal { Refusal(.invalidArgument, why) }

    static func incomplete(_ why: String) -> Refusal {
        var refusal = invalid(why)
        refusal.isIncomplete = true
        return refusal
    }
}

/// What fails in it is refused with that reason.
func refusing<T>(_ why: String, _ body: () throws(Errno) -> T) throws(Refusal) -> T {
    do throws(Errno) {
        return try body()
    } catch {
        throw Refusal(error, why)
    }
}

/// Direction of the transfers of a buffer, as in `enum dma_data_direction` (linux/dma-direction.h).
public enum Direction: Int, Sendable, CaseIterable {
    case bidirectional = 0
    case toDevice = 1
    case fromDevice = 2

    public var name: String {
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
public enum Heap: Int, Sendable, CaseIterable {
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

    public var name: String {
        switch self {
        case .system: "system"
        case .contiguous: "contiguous"
        case .coherent: "coherent"
        case .reserved: "reserved"
        case .user: "user"
        case .imported: "imported"
        }
    }

    public init?(name: some StringProtocol) {
        guard let match = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = match
    }

    /// Sized once: memory that can't grow.
    var isFixed: Bool { self != .system }
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
public enum Lease: String, Sendable {
    /// Until it is removed.
    case none
    /// Until the process that allocated it ends.
    case process
}

/// Who a device access is handed to by a sync.
public enum SyncTarget: String, Sendable {
    case cpu = "for_cpu"
    case device = "for_device"
}

/// Numbers as the tree takes them.
enum Number {
    /// What `parse` takes, for whoever wrote something else. `4MB` may be meant as a power of ten.
    static let form = "decimal or 0x, with K, M or G (KiB, MiB, GiB) behind, as in 4M"

    /// Decimal or `0x` hexadecimal with an optional K, M or G, or KiB, MiB or GiB (binary), 63 bits;
    /// nil for anything else.
    static func parse(_ text: some StringProtocol) -> UInt64? {
        var digits = Substring(text)
        let isLong = digits.utf8.suffix(2).elementsEqual("iB".utf8)
        if isLong { digits.removeLast(2) }
        var shift: UInt64 = 0
        switch digits.utf8.last {
        case UInt8(ascii: "K"), UInt8(ascii: "k"): shift = 10
        case UInt8(ascii: "M"), UInt8(ascii: "m"): shift = 20
        case UInt8(ascii: "G"), UInt8(ascii: "g"): shift = 30
        default: if isLong { return nil }
        }
        if shift > 0 { digits.removeLast() }
        guard let value = plain(digits), value <= Int64.max >> shift else { return nil }
        return value << shift  // fits: a shift never traps, and no bit is lost
    }

    /// Decimal or `0x` hexadecimal, 64 bits, without a suffix.
    static func plain(_ text: some StringProtocol) -> UInt64? {
        let isHex = text.hasPrefix("0x") || text.hasPrefix("0X")
        let digits = isHex ? text.dropFirst(2) : text[...]
        // UInt64's own parser takes a sign.
        guard let first = digits.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-")
        else { return nil }
        return UInt64(digits, radix: isHex ? 16 : 10)
    }

    /// A time with its unit, `10ms`, in nanoseconds; nil for anything else or more than 63 bits.
    static func nanoseconds(_ text: some StringProtocol) -> UInt64? {
        let units: [(String, UInt64)] = [
            ("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000),
        ]
        guard let (unit, factor) = units.first(where: { text.hasSuffix($0.0) }),
            let value = plain(text.dropLast(unit.utf8.count))
        else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: factor)
        return overflow || product > Int64.max ? nil : product
    }

    /// 16 hexadecimal digits, as addresses are written.
    static func address(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        let zeros = String(repeating: "0", count: 16 - digits.utf8.count)  // fits: 1 to 16 digits
        return "0x\(zeros)\(digits)"
    }

    /// A count of bytes for people: `4M`, `1536`.
    static func human(_ bytes: UInt64) -> String {
        for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")]
        where bytes != 0 && bytes.trailingZeroBitCount >= shift {
            return "\(bytes >> shift)\(unit)"
        }
        return "\(bytes)"
    }
}
