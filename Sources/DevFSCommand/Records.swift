import DevFS

/// One line of a control file: a name, a word or two, and `KEY=VALUE` pairs.
struct ControlLine {
    let name: String
    /// What stands between the name and the pairs.
    let words: [String]
    let values: [String: String]

    init?(_ line: Substring) {
        let fields = line.split(separator: " ")
        guard let first = fields.first else { return nil }
        name = String(first)
        var words: [String] = []
        var values: [String: String] = [:]
        for field in fields.dropFirst() {
            if let equals = field.firstIndex(of: "=") {
                values[String(field[..<equals])] = String(field[field.index(after: equals)...])
            } else {
                words.append(String(field))
            }
        }
        self.words = words
        self.values = values
    }

    func text(_ key: String) -> String { values[key] ?? "" }
    func number(_ key: String) -> UInt64? { values[key].flatMap { UInt64($0) } }
}

/// A buffer, as a line of `control/alloc` tells it.
struct BufferRecord: Encodable {
    var name: String
    /// Bytes.
    var size: UInt64
    var heap: String
    var direction: String
    var owner: String
    var uid: UInt32
    var gid: UInt32
    /// Permissions, octal.
    var mode: String
    /// Process that allocated it, 0 when that has ended.
    var pid: UInt64
    /// Open descriptors and streams on it.
    var refs: UInt64
    var lease: String

    static let heading = ["NAME", "SIZE", "HEAP", "DIRECTION", "OWNER", "MODE", "REFS"]

    var row: [String] {
        [name, Output.size(size), heap, direction, owner, mode, "\(refs)"]
    }

    /// All buffers, by name.
    static func all(in tree: Tree) throws -> [BufferRecord] {
        try tree.lines("control/alloc").compactMap { BufferRecord($0) }
            .sorted { $0.name < $1.name }
    }

    init?(_ line: Substring) {
        guard let parsed = ControlLine(line), let bytes = parsed.words.first else { return nil }
        name = parsed.name
        size = UInt64(bytes) ?? 0
        heap = parsed.text("heap")
        direction = parsed.text("direction")
        uid = UInt32(clamping: parsed.number("uid") ?? 0)
        gid = UInt32(clamping: parsed.number("gid") ?? 0)
        owner = Accounts.name(of: uid) ?? String(uid)
        mode = parsed.text("mode")
        pid = parsed.number("owner") ?? 0
        refs = parsed.number("refs") ?? 0
        lease = parsed.text("lease")
    }
}

/// A signal, as a line of `control/signal` tells it.
struct SignalRecord: Encodable {
    var name: String
    /// `software`, `timer`, ...
    var kind: String
    /// Period of a timer, with its unit.
    var period: String?
    var enabled: Bool
    /// Events so far.
    var count: UInt64
    /// Events lost so far.
    var missed: UInt64

    static let heading = ["NAME", "KIND", "PERIOD", "ENABLED", "COUNT", "MISSED"]

    var row: [String] {
        [name, kind, period ?? "-", enabled ? "yes" : "no", "\(count)", "\(missed)"]
    }

    static func all(in tree: Tree) throws -> [SignalRecord] {
        try tree.lines("control/signal").compactMap { SignalRecord($0) }
            .sorted { $0.name < $1.name }
    }

    init?(_ line: Substring) {
        guard let parsed = ControlLine(line) else { return nil }
        name = parsed.name
        kind = parsed.words.first ?? ""
        period = parsed.values["period"]
        enabled = parsed.number("enable") == 1
        count = parsed.number("count") ?? 0
        missed = parsed.number("missed") ?? 0
    }
}

/// A stream, as a line of `control/stream` tells it.
struct StreamRecord: Encodable {
    var name: String
    var buffer: String
    var source: String
    /// Words a second, of `source=pattern`.
    var rate: UInt64?
    var policy: String
    /// Bytes of a period.
    var period: UInt64
    /// `armed`, `running`, `stopped` or `overrun`.
    var status: String
    /// Bytes that can be read now.
    var available: UInt64
    var watermark: UInt64
    /// Periods lost so far.
    var overruns: UInt64

    static let heading = [
        "NAME", "BUFFER", "SOURCE", "POLICY", "PERIOD", "STATUS", "AVAILABLE", "OVERRUNS",
    ]

    var row: [String] {
        [
            name, buffer, source, policy, Output.size(period), status, "\(available)",
            "\(overruns)",
        ]
    }

    static func all(in tree: Tree) throws -> [StreamRecord] {
        try tree.lines("control/stream").compactMap { StreamRecord($0) }
            .sorted { $0.name < $1.name }
    }

    init?(_ line: Substring) {
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
