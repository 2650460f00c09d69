import SystemPackage
import Testing

@testable import DevFS

@Suite("signals/NAME/wait", .timeLimit(.minutes(1)))
struct WaitFileTests {
    private let signal: Signal

    init() throws {
        signal = Signal(SignalID(number: 1), try #require(Name("s")), .software)
    }

    /// "one line `SEQ COUNT MISSED NS`"
    @Test func `a read gives one line an event`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        signal.post(1, at: 111)
        signal.post(1, at: 222)
        #expect(try file.text() == "1 2 0 111\n")
        #expect(try file.text() == "2 2 0 222\n")
        #expect(throws: Errno.wouldBlock) { try file.text() }
    }

    /// "each open file has its own position, at first the newest event"
    @Test func `each open file begins with what comes next`() throws {
        signal.post(5, at: 1)
        let first = try WaitFile(signal)
        signal.post(1, at: 2)
        let second = try WaitFile(signal)
        defer { for file in [first, second] { file.close() } }
        #expect(throws: Errno.wouldBlock) { try second.text() }
        signal.post(1, at: 3)
        #expect(try first.text() == "6 7 0 2\n")
        #expect(try second.text() == "7 7 0 3\n")
        #expect(try first.text() == "7 7 0 3\n")
    }

    /// "A short `read` gets a part of the line, the next one the rest."
    @Test func `a short read gets a part of the line, the next one the rest`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        signal.post(2, at: 123_456)
        #expect(try file.text(count: 3) == "1 2")
        #expect(file.poll(nil) == .readable)
        #expect(try file.text(count: 1) == " ")
        #expect(try file.text(count: 100) == "0 123456\n")
        #expect(try file.text(count: 100) == "2 2 0 123456\n")
    }

    /// "how many this open file has lost so far (it was more than 1,024 behind)"
    @Test func `a reader that was too slow is told how many it lost in all`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        signal.post(1030, at: 5)
        #expect(try file.text() == "7 1030 6 5\n")
        signal.post(1025, at: 6)
        #expect(try file.text() == "1032 2055 1030 6\n")
        #expect(signal.missed == 1030)
    }

    @Test func `a parked read finishes with the next event, once`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        let read = FakeRead()
        #expect(try file.read(at: 0, size: 100, parked: read) == nil)
        #expect(read.finishes == 0)
        signal.post(1, at: 77)
        #expect(read.text == "1 1 0 77\n")
        signal.post(1, at: 78)
        #expect(read.finishes == 1)
        #expect(try file.text() == "2 2 0 78\n")
        #expect(!file.cancel(read))
    }

    @Test func `reads that wait are served in order, and one that comes later waits too`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        let reads = [FakeRead(), FakeRead(size: 2), FakeRead(), FakeRead()]
        for read in reads { #expect(try file.read(at: 0, size: read.size, parked: read) == nil) }
        #expect(throws: Errno.wouldBlock) { try file.text() }
        signal.post(2, at: 9)
        #expect(reads[0].text == "1 2 0 9\n")
        #expect(reads[1].text == "2 ")
        #expect(reads[2].text == "2 0 9\n")
        #expect(reads[3].finishes == 0)
        signal.post(1, at: 10)
        #expect(reads[3].text == "3 3 0 10\n")
        #expect(reads.allSatisfy { $0.finishes == 1 })
    }

    @Test func `a read that was given up is not finished, and loses no event`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        let (first, second) = (FakeRead(), FakeRead())
        _ = try file.read(at: 0, size: 100, parked: first)
        _ = try file.read(at: 0, size: 100, parked: second)
        #expect(file.cancel(first))
        #expect(!file.cancel(first))
        signal.post(1, at: 1)
        #expect(first.finishes == 0)
        #expect(second.text == "1 1 0 1\n")
    }

    @Test func `a poller is woken by the next event, once`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        let poller = FakePoller()
        #expect(file.poll(poller) == [])
        signal.post(1)
        #expect(poller.wakes == 1)
        signal.post(1)
        #expect(poller.wakes == 1)
        #expect(file.poll(nil) == .readable)
        _ = try file.text()
        #expect(file.poll(nil) == .readable)
        _ = try file.text()
        #expect(file.poll(nil) == [])
    }

    /// "When the signal is removed: `ENODEV`, and `POLLHUP`."
    @Test func `a removed signal wakes all who wait with ENODEV`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        let (read, poller) = (FakeRead(), FakePoller())
        _ = try file.read(at: 0, size: 100, parked: read)
        _ = file.poll(poller)
        signal.end()
        #expect(read.error == .noDevice && read.finishes == 1)
        #expect(poller.wakes == 1)
        #expect(file.poll(nil).contains(.hangUp))
        #expect(throws: Errno.noDevice) { try file.text() }
        #expect(throws: Errno.noDevice) { _ = try WaitFile(signal) }
    }

    @Test func `events that were there before the removal can still be read`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        signal.post(1, at: 4)
        signal.end()
        #expect(file.poll(nil).contains(.readable))
        #expect(try file.text(count: 2) == "1 ")
        #expect(try file.text() == "1 0 4\n")
        #expect(throws: Errno.noDevice) { try file.text() }
    }

    @Test func `closing a file ends its reads and makes the signal forget it`() throws {
        weak var gone: WaitFile?
        let read = FakeRead()
        do {
            let file = try WaitFile(signal)
            gone = file
            _ = try file.read(at: 0, size: 100, parked: read)
            file.close()
        }
        #expect(read.finishes == 1 && read.error != nil)
        signal.post(1)
        #expect(read.finishes == 1)
        #expect(gone == nil)
    }

    @Test func `many readers and posters at once: each reader sees every event once`() throws {
        let readers = 4
        let events: UInt64 = 600
        let results = try (0..<readers).map { _ in try WaitFile(signal) }
        let threads = try (0..<2).map { _ in
            try Worker("unit-post") { [signal] in
                for _ in 0..<events / 2 { signal.post(1) }
            }
        }
        for file in results {
            var expected: UInt64 = 1
            while expected <= events {
                let read = FakeRead()
                let line: String
                switch try file.read(at: 0, size: 100, parked: read) {
                case .bytes(let bytes): line = String(decoding: bytes, as: UTF8.self)
                case nil:
                    try #require(read.isFinished(), "event \(expected) never came")
                    line = try #require(read.text)
                }
                #expect(line.hasPrefix("\(expected) "))
                expected += 1
            }
        }
        for thread in threads { thread.join() }
        for file in results { file.close() }
        #expect(signal.missed == 0)
    }

    @Test func `a write to it is EBADF`() throws {
        let file = try WaitFile(signal)
        defer { file.close() }
        #expect(throws: Errno.badFileDescriptor) { try file.write([1]) }
    }
}
