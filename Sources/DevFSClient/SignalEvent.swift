/// An event, as `wait` of a signal gives it.
public struct SignalEvent: Encodable, Hashable, Sendable {
    /// The event's number, from 1.
    public var seq: UInt64
    /// Events so far.
    public var count: UInt64
    /// Events that this reader has lost so far: it was more than 1,024 behind.
    public var missed: UInt64
    /// CLOCK_MONOTONIC of the event, nanoseconds.
    public var ns: UInt64

    package init?(_ line: some StringProtocol) {
        let numbers = line.split(separator: " ").compactMap { UInt64($0) }
        guard numbers.count == 4 else { return nil }
        (seq, count, missed, ns) = (numbers[0], numbers[1], numbers[2], numbers[3])
    }
}
