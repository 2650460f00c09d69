/// A signal, as a line of `control/signal` tells it.
public struct SignalRecord: Encodable, Sendable {
    public var name: String
    /// `software`, `timer`, ...
    public var kind: String
    /// Period of a timer, with its unit.
    public var period: String?
    public var enabled: Bool
    /// Events so far.
    public var count: UInt64
    /// Events lost so far.
    public var missed: UInt64

    package init?(_ line: Substring) {
        guard let parsed = ControlLine(line) else { return nil }
        name = parsed.name
        kind = parsed.words.first ?? ""
        period = parsed.values["period"]
        enabled = parsed.number("enable") == 1
        count = parsed.number("count") ?? 0
        missed = parsed.number("missed") ?? 0
    }
}
