import Testing

@testable import DevFS

@Suite("Addresses of a device", .timeLimit(.minutes(1)))
struct AddressSpaceTests {
    private static let start = AddressSpace.lowest

    @Test func `the lowest that is free is given, and what is given back is given again`() {
        var space = AddressSpace([0...(1 << 30) - 1], bits: 64)
        let first = Self.start..<Self.start + 4096
        let second = first.upperBound..<first.upperBound + 4096
        let taken = [space.take(4096), space.take(4096)]
        #expect(taken == [first, second])
        space.give(first)
        let next = [space.take(8192), space.take(4096)]
        #expect(next == [second.upperBound..<second.upperBound + 8192, first])
    }

    @Test func `what is reserved between is left out`() throws {
        var space = AddressSpace([0...0xfedf_ffff, 0xfef0_0000...(1 << 34) - 1], bits: 64)
        let reserved = [
            space.take(0xfee0_0000..<0xfee0_1000), space.take(0xfedf_f000..<0xfef0_1000),
        ]
        #expect(reserved == [false, false])
        let (large, larger) = (space.take(4 << 30), space.take(16 << 30))
        let start = try #require(large).lowerBound
        #expect(start >= 0xfef0_0000 && start % (2 << 20) == 0 && larger == nil)
    }

    @Test func `a large range is aligned to what page tables like`() throws {
        var space = AddressSpace([0...(1 << 30) - 1], bits: 64)
        _ = space.take(4096)
        let (small, large) = (space.take(64 << 10), space.take(3 << 20))
        #expect(try #require(small).lowerBound % (64 << 10) == 0)
        #expect(try #require(large).lowerBound % (2 << 20) == 0)
    }

    @Test(arguments: [24, 28, 32, 39, 64]) func `nothing is given beyond the address bits`(
        bits: Int
    ) throws {
        var space = AddressSpace([0...UInt64.max], bits: bits)
        let last = try #require(space.last)
        #expect(bits == 64 || last == (1 << UInt64(bits)) - 1)
        while let range = space.take(max(1 << 20, (last >> 8) & ~4095)) {
            #expect(range.upperBound - 1 <= last)
        }
        #expect(space.largest < max(1 << 20, (last >> 8) & ~4095))
    }

    @Test func `ranges that are not of whole pages, empty or in disorder are made good`() {
        let space = AddressSpace(
            [0x300_0800...0x300_57ff, 0x200_0000...0x200_0fff, 0x200_1000...0x200_1fff, 5...5],
            bits: 64)
        #expect(space.usable == [0x200_0000..<0x200_2000, 0x300_1000..<0x300_5000])
        #expect(AddressSpace([], bits: 64).last == nil)
    }

    /// Against a list of all pages.
    @Test func `random takes and gives agree with a list of pages`() {
        var random = SeededRandom(15)
        let pages = 512
        var space = AddressSpace(
            [Self.start...Self.start + UInt64(pages) * 4096 - 1], bits: 64)
        var isTaken = [Bool](repeating: false, count: pages)
        var taken: [Range<UInt64>] = []
        func indexes(_ range: Range<UInt64>) -> Range<Int> {
            Int(
                (range.lowerBound - Self.start) / 4096)..<Int(
                    (range.upperBound - Self.start) / 4096)
        }
        for _ in 0..<4000 {
            if Bool.random(using: &random) || taken.isEmpty {
                let count = Int.random(in: 1...20, using: &random)
                if let range = space.take(UInt64(count) * 4096) {
                    #expect(indexes(range).allSatisfy { !isTaken[$0] })
                    for page in indexes(range) { isTaken[page] = true }
                    taken.append(range)
                } else {
                    // Aligned to the power of two that is not above it.
                    let step = 1 << (Int.bitWidth - 1 - count.leadingZeroBitCount)
                    let base = Int(Self.start / 4096)
                    #expect(
                        !(0...pages - count).contains { first in
                            (base + first) % step == 0
                                && (first..<first + count).allSatisfy { !isTaken[$0] }
                        })
                }
            } else {
                let range = taken.remove(at: Int.random(in: 0..<taken.count, using: &random))
                for page in indexes(range) { isTaken[page] = false }
                space.give(range)
            }
        }
        for range in taken { space.give(range) }
        #expect(space.largest == UInt64(pages) * 4096)
    }
}
