import Testing

@testable import DevFS

@Suite("A ring of periods", .timeLimit(.minutes(1)))
struct RingTests {
    /// What a ring does, byte by byte: the positions that are filled and not yet read.
    private struct Model {
        var filled: [UInt64] = []
        var produced: UInt64 = 0
        var lost: UInt64 = 0
        let period: UInt64
        let capacity: Int

        mutating func produce() {
            filled += produced..<produced + period
            produced += period
            while filled.count > capacity {
                // Whole periods go, oldest first; what was read of one is gone already.
                let oldest = filled[0] / period
                filled.removeAll { $0 / period == oldest }
                lost += 1
            }
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `a ring does what a list of its bytes does`(seed: UInt64) {
        var random = SeededRandom(seed)
        let period = UInt64(4 * (1 + random.below(5)))
        let periods = UInt64(2 + random.below(5))
        var ring = Ring(period: period, periods: periods)
        var model = Model(period: period, capacity: Int(period * (periods - 1)))
        #expect(ring.size == period * periods && ring.capacity == UInt64(model.capacity))
        for step in 0..<2000 {
            if random.below(2) == 0 {
                let isFull = model.filled.count + Int(period) > model.capacity
                #expect(ring.isFull == isFull)
                ring.produce()
                model.produce()
            } else {
                let position = ring.consumed
                let count = UInt64(random.below(Int(period) * 2))
                let fits = count <= UInt64(model.filled.count)
                #expect(ring.readOffset == (model.filled.first ?? model.produced) % ring.size)
                #expect(ring.consume(count, from: position) == fits)
                if fits { model.filled.removeFirst(Int(count)) }
            }
            let isSame =
                ring.available == UInt64(model.filled.count) && ring.overruns == model.lost
                && ring.writeOffset == model.produced % ring.size
            guard isSame else {
                Issue.record("seed \(seed), step \(step): \(ring), lost \(model.lost)")
                return
            }
        }
        #expect(ring.overruns > 0)
    }

    /// "The period that the device fills at the moment is never handed out, so a ring of N periods
    /// holds N-1 for the reader."
    @Test func `a ring of N periods holds N-1`() {
        var ring = Ring(period: 8, periods: 4)
        for produced in 1...3 {
            #expect(!ring.isFull)
            ring.produce()
            #expect(ring.available == UInt64(produced) * 8)
        }
        #expect(ring.isFull && ring.overruns == 0)
        ring.produce()
        #expect(ring.available == 24 && ring.overruns == 1 && ring.readOffset == 8)
    }

    @Test func `bytes that were overwritten while they were copied are not given out`() {
        var ring = Ring(period: 8, periods: 2)
        ring.produce()
        let position = ring.consumed
        ring.produce()
        let isGiven = ring.consume(8, from: position)
        #expect(!isGiven && ring.available == 8 && ring.overruns == 1)
        let isMore = ring.consume(9, from: ring.consumed)
        #expect(!isMore)
    }

    @Test func `a period that was read in part is lost as a whole, and counts once`() {
        var ring = Ring(period: 8, periods: 3)
        ring.produce()
        ring.produce()
        let isGiven = ring.consume(3, from: 0)
        #expect(isGiven)
        ring.produce()
        #expect(ring.overruns == 1 && ring.consumed == 8 && ring.available == 16)
    }

    /// Stop policy: "an event that finds the ring full counts one overrun and stops the stream",
    /// and a restart "starts with an empty ring".
    @Test func `a refused period counts, and a restart keeps the count`() {
        var ring = Ring(period: 8, periods: 3)
        ring.produce()
        ring.produce()
        ring.refuse()
        #expect(ring.overruns == 1 && ring.available == 16)
        ring.restart()
        #expect(ring.overruns == 1 && ring.available == 0)
        #expect(ring.readOffset == 0 && ring.writeOffset == 0)
    }

    /// `produce(n)` is `produce()` n times, but for the wrap of positions, which is by whole
    /// rings.
    @Test(arguments: 0..<40 as Range<UInt64>)
    func `many periods at once are what they are one by one`(seed: UInt64) {
        var random = SeededRandom(seed)
        let period = UInt64(4 * (1 + random.below(5)))
        var ring = Ring(period: period, periods: UInt64(2 + random.below(5)))
        var model = ring
        for step in 0..<2000 {
            if random.below(2) == 0 {
                let count = UInt64(random.below(random.below(20) == 0 ? 1000 : 8))
                ring.produce(count)
                for _ in 0..<count { model.produce() }
            } else {
                let count = min(ring.available, UInt64(random.below(Int(period) * 2)))
                let isGiven = ring.consume(count, from: ring.consumed)
                let isExpected = model.consume(count, from: model.consumed)
                #expect(isGiven && isExpected)
            }
            guard ring == model else {
                Issue.record("seed \(seed), step \(step): \(ring), not \(model)")
                return
            }
        }
        #expect(ring.overruns > 0)
    }

    /// Any number of events, up to 2^63 at a time.
    @Test(
        arguments: [
            1, 1 << 31, 1 << 32, 1 << 58, 1 << 60, 1 << 62, (1 << 63) - 1, 1 << 63, .max - 1, .max,
        ] as [UInt64])
    func `no number of periods is too many`(count: UInt64) {
        for (period, periods) in [(4, 2), (12, 5), (4096, 1000), (1 << 40, 3), (1 << 61, 2)]
            as [(UInt64, UInt64)]
        {
            var ring = Ring(period: period, periods: periods)
            ring.produce()
            let isGiven = ring.consume(4, from: 0)
            #expect(isGiven)
            let room = ring.room
            let place = ring.consumed
            ring.produce(count)
            let filled = (UInt128(count) + 1) * UInt128(period)
            #expect(ring.writeOffset == UInt64(filled % UInt128(ring.size)))
            #expect(ring.overruns == count - min(count, room))
            if ring.overruns > 0 {
                #expect(ring.available == ring.capacity && ring.isFull)
                // A copy that was under way is not taken for what is there now.
                #expect(ring.consumed != place)
            }
            // The count of what is lost stays at its largest number.
            for _ in 0..<2 { ring.produce(.max) }
            #expect(ring.overruns == .max)
            ring.refuse()
            #expect(ring.overruns == .max)
        }
    }
}
