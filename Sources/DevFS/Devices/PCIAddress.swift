/// Where a PCI device is: domain, bus, device and function, `0000:00:09.0`.
package struct PCIAddress: Hashable, Sendable, CustomStringConvertible {
    /// In full and in lower case, as sysfs has it.
    package let description: String

    /// Nil for what is no address. Without a domain it is domain 0, as for `lspci -s`.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let last = parts.last, (2...3).contains(parts.count) else { return nil }
        let slot = last.split(separator: ".", omittingEmptySubsequences: false)
        guard slot.count == 2,
            let domain = Self.hex(parts.count == 3 ? parts[0] : "0000", 4...8),
            let bus = Self.hex(parts[parts.count - 2], 2...2),
            let device = Self.hex(slot[0], 2...2), let function = Self.hex(slot[1], 1...1)
        else { return nil }
        description = "\(domain):\(bus):\(device).\(function)"
    }

    private static func hex(_ text: some StringProtocol, _ count: ClosedRange<Int>) -> String? {
        let isHex = text.utf8.allSatisfy {
            UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9")
                || UInt8(ascii: "a") <= $0 | 0x20 && $0 | 0x20 <= UInt8(ascii: "f")
        }
        return isHex && count.contains(text.utf8.count) ? text.lowercased() : nil
    }
}
