import SystemPackage
import Testing

@testable import DevFS

@Suite("A signal", .timeLimit(.minutes(1)))
struct SignalTests {
    private let signal: Signal

    init() throws {
        signal = Signal(SignalID(number: 1), try #require(Name("s")), .software)
    }

    /// "Events are counted from 1."
    @Test func `events are counted from 1 and keep their times`() throws {
        #expect(signal.count == 0)
        #expect(try signal.event(after: 0) == nil)
        for time: UInt64 in [100, 200, 300] { #expect(signal.post(1, at: time)) }
        #expect(signal.count == 3)
        for number: UInt64 in 1...3 {
            #expect(
                try signal.event(after: number - 1)
                    == Signal.Event(number: number, count: 3, time: number * 100, skipped: 0))
        }
        #expect(try signal.event(after: 3) == nil)
        #expect(signal.missed == 0)
    }

    @Test func `several events at once have one time`() throws {
        signal.post(5, at: 42)
        #expect(signal.count == 5)
        #expect(try signal.event(after: 4)?.time == 42)
        #expect(!signal.post(0, at: 43))
        #expect(signal.count == 5)
    }

    /// "The newest 1,024 are kept with their times."
    @Test func `a reader that is more than 1024 events behind is told how many it lost`() throws {
        for number: UInt64 in 1...1024 { signal.post(1, at: number) }
        #expect(try signal.event(after: 0)?.skipped == 0)
        #expect(signal.missed == 0)
        for number: UInt64 in 1025...1030 { signal.post(1, at: number) }
        #expect(
            try signal.event(after: 0)
                == Signal.Event(number: 7, count: 1030, time: 7, skipped: 6))
        #expect(signal.missed == 6)
        #expect(try signal.event(after: 2)?.skipped == 4)
        #expect(signal.missed == 10)
        #expect(try signal.event(after: 1029)?.time == 1030)
    }

    @Test(arguments: [1, 3, 1023, 1024, 1025, 5000, 1_000_000] as [UInt64])
    func `a burst keeps the newest 1024`(burst: UInt64) throws {
        signal.post(3, at: 1)
        signal.post(burst, at: 2)
        let event = try #require(try signal.event(after: 0))
        let lost = burst + 3 > 1024 ? burst + 3 - 1024 : 0
        #expect(event.number == lost + 1 && event.skipped == lost && event.count == burst + 3)
        #expect(event.time == (event.number <= 3 ? 1 : 2))
        #expect(try signal.event(after: burst + 2)?.time == 2)
    }

    @Test func `random bursts give every event once, in order, or count it as lost`() throws {
        var random = SeededRandom(5)
        var (position, lost): (UInt64, UInt64) = (0, 0)
        var seen: UInt64 = 0
        for _ in 0..<500 {
            signal.post(UInt64(random.below(300)), at: 1)
            for _ in 0..<random.below(300) {
                guard let event = try signal.event(after: position) else { break }
                #expect(event.number == position + event.skipped + 1)
                lost += event.skipped
                seen += 1
                position = event.number
            }
        }
        #expect(seen + lost == position && lost > 0)
        #expect(signal.missed == lost)
    }

    /// "a disabled source makes no events"
    @Test func `a disabled source makes no events`() {
        let listener = FakeListener()
        #expect(signal.add(listener))
        signal.setEnabled(false)
        #expect(!signal.post(1))
        #expect(signal.count == 0 && listener.ranges.isEmpty && !signal.isEnabled)
        signal.setEnabled(true)
        #expect(signal.post(1))
        #expect(signal.count == 1)
    }

    @Test func `a removed signal gives what is left, then ENODEV`() throws {
        signal.post(2, at: 9)
        signal.end()
        #expect(signal.isRemoved)
        #expect(!signal.post(1))
        #expect(try signal.event(after: 1)?.number == 2)
        #expect(throws: Errno.noDevice) { try signal.event(after: 2) }
        #expect(!signal.add(FakeListener()))
    }

    @Test func `every listener is told of every event, and once of the end`() {
        let listeners = (0..<3).map { _ in FakeListener() }
        for listener in listeners { #expect(signal.add(listener)) }
        signal.post(1, at: 10)
        signal.remove(listeners[2])
        signal.post(4, at: 20)
        signal.end()
        signal.end()
        for listener in listeners[..<2] {
            #expect(listener.ranges == [1...1, 2...5])
            #expect(listener.times == [10, 20])
            #expect(listener.ends == 1)
        }
        #expect(listeners[2].ranges == [1...1] && listeners[2].ends == 0)
    }
}
