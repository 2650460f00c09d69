/// A stream, as a line of `control/stream` tells it.
public struct StreamRecord: Encodable, Sendable {
    public var name: String
    public var buffer: String
    public var source: String
    /// Words a second, of `source=pattern`.
    public var rate: UInt64?
    /// `overwrite` or `stop`.
    public var policy: String
    /// Bytes of a period.
    public var period: UInt64
    /// `armed`, `running`, `stopped` or `overrun`.
    public var status: String
    /// Bytes that can be read now.
    public var available: UInt64
    /// Bytes that a read waits for.
    public var watermark: UInt64
    /// Periods lost so far.
    public var overruns: UInt64

    package init?(_ line: Substring) {
        guard let parsed = ControlLine(line) else { return nil }
        name = parsed.name
        buffer = parsed.text("buffer")
        source = parsed.text("source")
        rate = parsed.number("rate")
        policy = parsed.text("policy")
        period = parsed.number("period") ?? 0
        status = parsed.text("status")
        available = parsed.number("available") ?? 0
        watermark = parsed.number("watermark") ?? 0
        overruns = parsed.number("overruns") ?? 0
    }
}
