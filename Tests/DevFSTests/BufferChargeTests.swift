import SystemPackage
import Testing

@testable import DevFS

/// SECURITY.md: `bytes`, "in whole pages"
@Suite struct BufferChargeTests {
    private static let user: UInt32 = 1000

    private static func bytes(_ quotas: Quotas) -> UInt64 {
        quotas.use.first { $0.uid == user }?.used[.bytes] ?? 0
    }

    @Test func `a byte takes a page, and is given back with the buffer`() throws {
        let quotas = Quotas(limits: [.bytes: 8192])
        do {
            let first = try BufferCharge.taking(1, of: Self.user, from: quotas)
            let second = try BufferCharge.taking(4096, of: Self.user, from: quotas)
            #expect(Self.bytes(quotas) == 8192)
            #expect(throws: Refusal.self) {
                _ = try BufferCharge.taking(1, of: Self.user, from: quotas)
            }
            #expect(quotas.use.first { $0.uid == Self.user }?.used[.buffers] == 2)
            _ = consume first
            _ = consume second
        }
        #expect(quotas.use.isEmpty)
    }

    @Test func `what it grows and shrinks by is counted in pages`() throws {
        let quotas = Quotas(limits: [.bytes: 8192])
        var charge = try BufferCharge.taking(of: Self.user, from: quotas)
        #expect(charge.change(to: 4097) == nil)
        #expect(Self.bytes(quotas) == 8192)
        #expect(charge.change(to: 8193)?.errno == .diskQuotaExceeded)
        #expect(Self.bytes(quotas) == 8192)
        charge.correct(to: 4095)
        #expect(Self.bytes(quotas) == 4096)
        for size: UInt64 in [.max, .max - 4094, .max - 4095, .max - 4096] {
            charge.correct(to: size)
            #expect(Self.bytes(quotas) >= size)
        }
        charge.correct(to: 0)
        #expect(Self.bytes(quotas) == 0)
    }
}
