import Testing

@testable import DevFS

@Suite("The configuration space of a PCI device")
struct PCIConfigurationTests {
    /// With capabilities at 0x40 (MSI-X of 3 vectors, its table at 0x2000 of BAR 4), 0x50 (vendor-specific
    /// of 16 bytes), and in the extended space at 0x100 one of another kind and at 0x140 a vendor's of 32.
    private static func sample() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        func put(_ at: Int, _ values: UInt8...) {
            for (index, value) in values.enumerated() { bytes[at + index] = value }
        }
        put(0x06, 0x10)
        put(0x10, 0x00, 0x00, 0x00, 0xf0, 0x01, 0xc0)
        put(0x34, 0x40)
        put(0x40, 17, 0x50, 0x02, 0x80, 0x04, 0x20)
        put(0x50, 9, 0, 16)
        put(0x100, 0x01, 0x00, 0x01, 0x14)
        put(0x140, 0x0b, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x02)
        return bytes
    }

    @Test func `the table of MSI-X, ports and messages are found`() {
        let space = PCIConfiguration(Self.sample())
        #expect(space.messageTable?.bar == 4 && space.messageTable?.range == 0x2000..<0x2030)
        #expect(!space.isPorts(0) && space.isPorts(1) && space.hasMessages)
        #expect(PCIConfiguration([]).messageTable == nil && !PCIConfiguration([]).hasMessages)
    }

    @Test func `the status register and the bodies of vendor-specific capabilities are written`() {
        #expect(PCIConfiguration(Self.sample()).writable == [6..<8, 0x53..<0x60, 0x148..<0x160])
    }

    @Test func `lists that are rings, or lead out of it, end`() {
        var bytes = Self.sample()
        bytes[0x51] = 0x40
        bytes[0x143] = 0x14
        bytes[0x147] = 0xff
        let space = PCIConfiguration(bytes)
        #expect(space.capabilities.count <= 48)
        #expect(space.writable.allSatisfy { $0.upperBound <= 4096 })
        let short = PCIConfiguration(Array(bytes.prefix(256)))
        #expect(short.writable.allSatisfy { $0.upperBound <= 256 })
    }
}
