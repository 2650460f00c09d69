/// A line of `control/stream` that makes a stream, or removes one.
extension StreamRequest {
    /// The generator's rates, in words a second.
    static let rates: ClosedRange<UInt64> = 1...1 << 30  // fits: constants
    /// The longest that the generator's period takes, in seconds.
    static let year: UInt64 = 31_536_000

    /// How long so many words take, in nanoseconds, rounded up; nil where it is more than a year.
    static func time(of words: UInt64, at rate: UInt64) -> UInt64? {
        let second: UInt64 = 1_000_000_000
        guard rates.contains(rate), words / rate < year else { return nil }
        let seconds = words / rate
        let rest = words % rate * second  // fits: a rate is no more than 2^30
        let part = rest / rate + (rest.isMultiple(of: rate) ? 0 : 1)  // fits: a second at most
        return seconds * second + part  // fits: a year is less than 2^55 ns
    }

    /// `NAME buffer=B period=SIZE source=S [policy=P] [rate=N] [watermark=N]` or `NAME remove`
    static func parse(_ line: Substring) throws(Refusal) -> StreamRequest {
        var words = try Words(line)
        let name = try words.name()
        var after = words
        if !words.isEmpty, try after.next("") == "remove" {
            try after.end()
            return .remove(name)
        }
        let options = try words.options([
            "buffer", "period", "source", "policy", "rate", "watermark",
        ])
        guard let bufferText = options["buffer"] else { throw .incomplete("buffer= is missing") }
        let buffer = try Name(checking: bufferText)
        guard let periodText = options["period"] else { throw .incomplete("period= is missing") }
        let period = try Words.size(periodText, "the period")
        guard period > 0, period.isMultiple(of: 4) else {
            throw .invalid("the period is not a multiple of 4 bytes")
        }
        guard let sourceText = options["source"] else { throw .incomplete("source= is missing") }
        let sourceName = try Name(checking: sourceText)
        var definition = StreamDefinition(
            name: name, buffer: buffer, period: period, source: .signal(sourceName))
        if sourceText == "pattern" {
            let rate = try options["rate"].map { (text) throws(Refusal) in
                try Words.size(text, "the rate")
            }
            let words = rate ?? 1 << 20  // fits: a constant
            guard rates.contains(words) else {
                throw .invalid("rate is 1 to 1G words a second")
            }
            guard time(of: period / 4, at: words) != nil else {
                throw .invalid("a period takes longer than a year at that rate")
            }
            definition.source = .pattern(rate: words)
        } else if options["rate"] != nil {
            throw .invalid("rate= goes with source=pattern alone")
        }
        if let text = options["policy"] {
            guard let policy = OverrunPolicy(rawValue: String(text)) else {
                throw .invalid("policy is overwrite or stop")
            }
            definition.policy = policy
        }
        if let text = options["watermark"] {
            definition.watermark = try Words.size(text, "the watermark")
        }
        return .create(definition)
    }
}
