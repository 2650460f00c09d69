import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// What a reader of `ready` is promised, by a list of the periods that are there.
private struct ReadyModel {
    let period: UInt64
    let periods: UInt64
    let stops: Bool
    /// Numbers of periods that were filled, and of the first that is not released or lost.
    var filled: UInt64 = 0
    var first: UInt64 = 0
    /// Bytes released of the first one.
    var part: UInt64 = 0
    var lost: UInt64 = 0
    var told: UInt64 = 0
    var held: Range<UInt64>?
    /// The device has gone over everything before this byte.
    var overwritten: UInt64 = 0
    var watermark: UInt64
    var isOver = false
    /// Events that found the ring full, with `stops`.
    var refused: UInt64 = 0

    var start: UInt64 { first * period + part }
    var end: UInt64 { filled * period }

    mutating func fill() {
        if isOver {
            refused += 1
            return
        }
        if filled - first < periods - 1 {
            filled += 1
            return
        }
        lost += 1
        if stops {
            isOver = true
            // The free period is filled by it; the next one fills the oldest.
            refused = 1
            return
        }
        filled += 1
        first += 1
        part = 0
        overwritten = first * period
    }

    /// Nil where a read waits.
    mutating func line() -> String? {
        let fresh = end - max(start, told)
        let isFull = filled - first == periods - 1
        let size = period * periods
        let wrap = (start / size + 1) * size
        let upper = min(end, wrap)
        guard fresh > 0, upper > told, isOver || isFull || fresh >= watermark else { return nil }
        held = start..<upper
        told = upper
        return "\(start) \(start % size) \(upper - start) \(lost)\n"
    }

    mutating func release(_ position: UInt64) -> Errno? {
        guard let range = held, range.lowerBound <= position, position <= range.upperBound else {
            return .invalidArgument
        }
        held = position..<range.upperBound
        if position > start { (first, part) = (position / period, position % period) }
        let oldest = (filled + refused) * period
        let isTorn =
            range.lowerBound < overwritten || range.lowerBound + period * periods < oldest
        return !range.isEmpty && isTorn ? .brokenPipe : nil
    }
}

@Suite("streams/NAME/ready", .timeLimit(.minutes(1)))
struct ReadyTests {
    private func stream(_ client: Client, periods: Int = 4, _ words: String = "") throws {
        try client.write("control/alloc", "rx \(periods * 16)")
        try client.write("control/signal", "go software")
        try client.write("control/stream", "adc buffer=rx period=16 source=go \(words)")
    }

    private func fill(_ client: Client, _ count: Int = 1) throws {
        try client.write("signals/go/trigger", "\(count)")
    }

    /// nil where it was carried out.
    private func release(_ file: any OpenFile, _ text: String) throws -> Errno? {
        do throws(Errno) {
            let count = try file.write(Array(text.utf8))
            #expect(count == text.utf8.count)
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: 0..<24 as Range<UInt64>)
    func `any run of events, reads and releases is what a list of periods says`(
        seed: UInt64
    ) throws {
        try withTree { (client) throws in
            var random = SeededRandom(seed)
            let periods = 2 + random.below(5)
            let stops = random.below(2) == 0
            try stream(client, periods: periods, stops ? "policy=stop" : "")
            let file = try client.open("streams/adc/ready", O_RDWR)
            defer { file.close() }
            try client.write("streams/adc/enable", "1")
            var model = ReadyModel(
                period: 16, periods: UInt64(periods), stops: stops, watermark: 16)
            for step in 0..<400 {
                switch random.below(6) {
                case 0, 1:
                    try fill(client)
                    model.fill()
                case 2, 3:
                    let expected = model.line()
                    let isAtEnd = model.isOver && model.end == max(model.told, model.start)
                    var got: String?
                    do throws(Errno) { got = try file.text() } catch {
                        let isExpected =
                            error == (isAtEnd ? .brokenPipe : .resourceTemporarilyUnavailable)
                        #expect(isExpected, "seed \(seed), step \(step): \(error)")
                    }
                    #expect(got == expected, "seed \(seed), step \(step)")
                case 4:
                    let held = model.held ?? 0..<0
                    // Sometimes beyond it on either side.
                    let position =
                        held.lowerBound + UInt64(random.below(held.count + 3))
                        - min(held.lowerBound, UInt64(random.below(2)))
                    let text =
                        position >= held.lowerBound && random.below(2) == 0
                        ? "+\(position - held.lowerBound)\n" : "\(position)\n"
                    let expected = model.release(position)
                    let got = try release(file, text)
                    #expect(got == expected, "seed \(seed), step \(step): \(text)")
                default:
                    let bytes = 1 + random.below((periods - 1) * 16)
                    try client.write("streams/adc/watermark", "\(bytes)")
                    model.watermark = UInt64(bytes)
                }
                let available = try client.read("streams/adc/available")
                guard available == "\(model.end - model.start)\n" else {
                    Issue.record("seed \(seed), step \(step): \(available) available, \(model)")
                    return
                }
            }
        }
    }

    /// "One reader at a time of `data` or `ready`: a second `open` is `EBUSY`."
    @Test func `data and ready have one reader together, and one position`() throws {
        try withTree { (client) throws in
            try stream(client)
            for (first, second) in [("data", "ready"), ("ready", "data"), ("ready", "ready")] {
                let file = try client.open("streams/adc/\(first)")
                #expect(throws: Errno.resourceBusy) { try client.open("streams/adc/\(second)") }
                file.close()
            }
            let ready = try client.open("streams/adc/ready", O_RDWR)
            try client.write("streams/adc/enable", "1")
            try fill(client, 2)
            #expect(try ready.text() == "0 0 32 0\n")
            #expect(try release(ready, "20") == nil)
            ready.close()
            try client.write("streams/adc/watermark", "1")
            let data = try client.open("streams/adc/data")
            #expect(try data.bytes().count == 12)
            data.close()
        }
    }

    /// "for `watermark` bytes that it was not told of yet"
    @Test func `a read waits until a period comes, and polls wake`() throws {
        try withTree { (client) throws in
            try stream(client)
            let file = try client.open("streams/adc/ready", O_RDWR)
            defer { file.close() }
            let (read, poller) = (FakeRead(), FakePoller())
            #expect(try file.read(at: 0, size: 4096, parked: read) == nil)
            #expect(file.poll(poller) == .writable)
            try fill(client)
            #expect(read.text == "0 0 16 0\n" && poller.wakes == 1)
            // Not released, and nothing new.
            #expect(throws: Errno.wouldBlock) { try file.bytes() }
            try fill(client)
            #expect(file.poll(nil) == [.readable, .writable])
            // A short read leaves the rest.
            #expect(try file.text(count: 3) == "0 0")
            #expect(try file.text() == " 32 0\n")
            try client.write("streams/adc/enable", "0")
            #expect(try file.bytes() == [])
            let (parked, cancelled) = (FakeRead(), FakeRead())
            try client.write("streams/adc/enable", "1")
            #expect(try file.read(at: 0, size: 4096, parked: cancelled) == nil)
            #expect(try file.read(at: 0, size: 4096, parked: parked) == nil)
            #expect(file.cancel(cancelled) && !file.cancel(cancelled))
            try client.write("control/stream", "adc remove")
            #expect(parked.error == .noDevice && cancelled.finishes == 0)
            #expect(try release(file, "32") == .noDevice)
        }
    }

    /// "LENGTH ends with the ring: what lies behind its end comes once what is before it was
    /// released."
    @Test func `a run ends with the ring, and its release wakes who waits for what is behind`()
        throws
    {
        try withTree { (client) throws in
            try stream(client)
            let file = try client.open("streams/adc/ready", O_RDWR)
            defer { file.close() }
            try client.write("streams/adc/enable", "1")
            try fill(client, 3)
            #expect(try file.text() == "0 0 48 0\n")
            #expect(try release(file, "+48") == nil)
            try fill(client, 2)
            #expect(try file.text() == "48 48 16 0\n")
            let read = FakeRead()
            #expect(try file.read(at: 0, size: 4096, parked: read) == nil)
            #expect(try release(file, "64") == nil)
            #expect(read.text == "64 0 16 0\n")
        }
    }

    /// "EPIPE: the device overwrote some of what was held", and `control/log` says so.
    @Test func `bytes that the device overwrote are told, and released all the same`() throws {
        try withTree { (client) throws in
            try stream(client)
            let file = try client.open("streams/adc/ready", O_RDWR)
            defer { file.close() }
            try client.write("streams/adc/enable", "1")
            try fill(client, 2)
            #expect(try file.text() == "0 0 32 0\n")
            try fill(client, 2)
            // A look at what is held releases nothing.
            #expect(try release(file, "+0") == .brokenPipe)
            #expect(try release(file, "32") == .brokenPipe)
            let line = try #require(try client.log().last)
            #expect(line.contains("errno=EPIPE") && line.contains("file=streams/adc/ready"))
            #expect(line.contains("the device overwrote"))
            #expect(try file.text() == "32 32 32 1\n")
            #expect(try release(file, "64") == nil)
        }
    }

    /// With policy=stop the device is taken to stop; one that goes on has overwritten the oldest
    /// period with its second event that found the ring full.
    @Test func `with stop a device that does not stop is found out`() throws {
        try withTree { (client) throws in
            try stream(client, "policy=stop")
            let file = try client.open("streams/adc/ready", O_RDWR)
            defer { file.close() }
            try client.write("streams/adc/enable", "1")
            try fill(client, 4)
            #expect(try file.text() == "0 0 48 1\n")
            #expect(try release(file, "16") == nil)
            try fill(client, 2)
            #expect(try release(file, "32") == .brokenPipe)
            #expect(try release(file, "48") == nil)
            #expect(throws: Errno.brokenPipe) { try file.bytes() }
            // A ring that starts anew has none of the old positions.
            try client.write("streams/adc/enable", "1")
            try fill(client)
            #expect(try release(file, "16") == .invalidArgument)
            #expect(try file.text() == "64 0 16 1\n")
        }
    }

    @Test func `what is no position, or not held, is EINVAL and says why`() throws {
        try withTree { (client) throws in
            try stream(client)
            let file = try client.open("streams/adc/ready", O_RDWR)
            defer { file.close() }
            #expect(try release(file, "0") == .invalidArgument)
            #expect(try client.log().last?.contains("nothing is held") == true)
            try client.write("streams/adc/enable", "1")
            try fill(client)
            _ = try file.text()
            for text in ["17", "+17", "-1", "x", "", "1 2", "+", "18446744073709551615", "4\n8\n"] {
                #expect(try release(file, text) == .invalidArgument, "\(text)")
            }
            #expect(try client.read("streams/adc/available") == "16\n")
        }
    }
}
