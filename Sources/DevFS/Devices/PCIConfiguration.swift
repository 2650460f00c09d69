/// The configuration space of a PCI function, as far as it was read. PCI Local Bus Specification 3.0, 6
struct PCIConfiguration: Sendable {
    /// Offsets, of <linux/pci_regs.h>.
    static let command = 0x04
    static let status = 0x06
    private static let bars = 0x10
    private static let standardSize = 256

    /// PCI_COMMAND_MASTER
    static let busMaster: UInt8 = 4

    private static let vendorSpecific = 9
    private static let message = 5
    private static let messageX = 17
    private static let extendedVendorSpecific = 11

    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func word(_ at: Int) -> Int {
        at + 2 <= bytes.count ? Int(bytes[at]) | Int(bytes[at + 1]) << 8 : 0
    }

    private func long(_ at: Int) -> Int { word(at) | word(at + 2) << 16 }

    /// Where each capability of the standard list is: its number and its offset.
    var capabilities: [(id: Int, at: Int)] {
        guard bytes.count >= Self.standardSize, bytes[Self.status] & 0x10 != 0 else { return [] }
        var found: [(Int, Int)] = []
        var next = Int(bytes[0x34] & 0xfc)
        // As many as fit: a list that is a ring ends, too.
        for _ in 0..<48 where next >= 0x40 {
            found.append((Int(bytes[next]), next))
            next = Int(bytes[next + 1] & 0xfc)
        }
        return found
    }

    /// It can send messages in place of pulling a line.
    var hasMessages: Bool {
        capabilities.contains { $0.id == Self.message || $0.id == Self.messageX }
    }

    /// A BAR of I/O ports.
    func isPorts(_ bar: Int) -> Bool { word(Self.bars + 4 * bar) & 1 == 1 }

    /// The table that says what interrupts of the kind MSI-X are sent where: its BAR and its bytes there.
    var messageTable: (bar: Int, range: Range<UInt64>)? {
        guard let at = capabilities.first(where: { $0.id == Self.messageX })?.at,
            at + 8 <= bytes.count
        else { return nil }
        let entries = UInt64(word(at + 2) & 0x7ff) + 1
        let place = long(at + 4)
        let start = UInt64(place & ~7)
        return (place & 7, start..<start + 16 * entries)
    }

    /// What is the device's own, and not the kernel's: the status register and the bodies of
    /// vendor-specific capabilities.
    var writable: [Range<UInt64>] {
        var found: [Range<UInt64>] = [UInt64(Self.status)..<UInt64(Self.status + 2)]
        func add(_ start: Int, _ end: Int, within limit: Int) {
            let stop = min(end, limit)
            if start < stop { found.append(UInt64(start)..<UInt64(stop)) }
        }
        for (id, at) in capabilities where id == Self.vendorSpecific && at + 3 <= bytes.count {
            add(at + 3, at + Int(bytes[at + 2]), within: Self.standardSize)
        }
        var at = bytes.count > Self.standardSize ? Self.standardSize : 0
        for _ in 0..<960 where at >= Self.standardSize && at + 8 <= bytes.count {
            let header = long(at)
            if header & 0xffff == Self.extendedVendorSpecific {
                add(at + 8, at + long(at + 4) >> 20, within: bytes.count)
            }
            at = header >> 20 & 0xffc
        }
        return found
    }
}
