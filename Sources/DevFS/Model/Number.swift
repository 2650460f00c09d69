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
