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
}

/// A buffer, as `control/alloc` and `attributes/NAME/` tell it.
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
    var pid: UInt64?
    /// Open descriptors and streams on it; nil if it went meanwhile.
    var refs: UInt64?
    var lease: String?

    static let heading = ["NAME", "SIZE", "HEAP", "DIRECTION", "OWNER", "MODE", "REFS"]

    var row: [String] {
        let references = refs.map { String($0) } ?? "-"
        return [name, Output.size(size), heap, direction, owner, mode, references]
    }

    /// All buffers, by name.
    static func all(in tree: Tree, isWhole: Bool) throws -> [BufferRecord] {
        try tree.lines("control/alloc")
            .compactMap { BufferRecord($0, in: tree, isWhole: isWhole) }
            .sorted { $0.name < $1.name }
    }

    /// Reads what the line of `control/alloc` does not say from the buffer's own files.
    ///
    /// - Parameter isWhole: false leaves out what the table does not show: each file costs a
    ///   handful of round trips to the server, which counts where there are thousands of buffers.
    init?(_ line: Substring, in tree: Tree, isWhole: Bool) {
        guard let parsed = ControlLine(line), let bytes = parsed.words.first else { return nil }
        name = parsed.name
        size = UInt64(bytes) ?? 0
        heap = parsed.values["heap"] ?? ""
        direction = parsed.values["direction"] ?? ""
        uid = parsed.values["uid"].flatMap { UInt32($0) } ?? 0
        gid = parsed.values["gid"].flatMap { UInt32($0) } ?? 0
        owner = Syscalls.userName(uid)
        mode = parsed.values["mode"] ?? ""
        refs = tree.number("attributes/\(name)/refs")
        guard isWhole else { return }
        pid = tree.number("attributes/\(name)/owner")
        lease = tree.optionalText("attributes/\(name)/lease")
    }
}

/// A signal, as `control/signal` and `signals/NAME/` tell it.
struct SignalRecord: Encodable {
    var name: String
    /// `software`, `timer`, ...
    var kind: String
    /// Period of a timer, with its unit.
    var period: String?
    var enabled: Bool?
    /// Events so far.
    var count: UInt64?
    /// Events lost so far.
    var missed: UInt64?

    static let heading = ["NAME", "KIND", "PERIOD", "ENABLED", "COUNT", "MISSED"]

    var row: [String] {
        [
            name, kind, period ?? "-", enabled.map { $0 ? "yes" : "no" } ?? "-",
            count.map { String($0) } ?? "-", missed.map { String($0) } ?? "-",
        ]
    }

    static func all(in tree: Tree) throws -> [SignalRecord] {
        try tree.lines("control/signal").compactMap { SignalRecord($0, in: tree) }
            .sorted { $0.name < $1.name }
    }

    init?(_ line: Substring, in tree: Tree) {
        guard let parsed = ControlLine(line) else { return nil }
        name = parsed.name
        kind = parsed.words.first ?? ""
        period = parsed.values["period"]
        enabled = tree.number("signals/\(name)/enable").map { $0 == 1 }
        count = tree.number("signals/\(name)/count")
        missed = tree.number("signals/\(name)/missed")
    }
}

/// A stream, as `control/stream` and `streams/NAME/` tell it.
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
    var status: String?
    /// Bytes that can be read now.
    var available: UInt64?
    var watermark: UInt64?
    /// Periods lost so far.
    var overruns: UInt64?

    static let heading = [
        "NAME", "BUFFER", "SOURCE", "POLICY", "PERIOD", "STATUS", "AVAILABLE", "OVERRUNS",
    ]

    var row: [String] {
        [
            name, buffer, source, policy, Output.size(period), status ?? "-",
            available.map { String($0) } ?? "-", overruns.map { String($0) } ?? "-",
        ]
    }

    static func all(in tree: Tree) throws -> [StreamRecord] {
        try tree.lines("control/stream").compactMap { StreamRecord($0, in: tree) }
            .sorted { $0.name < $1.name }
    }

    init?(_ line: Substring, in tree: Tree) {
        guard let parsed = ControlLine(line) else { return nil }
        name = parsed.name
        buffer = parsed.values["buffer"] ?? ""
        source = parsed.values["source"] ?? ""
        rate = parsed.values["rate"].flatMap { UInt64($0) }
        policy = parsed.values["policy"] ?? ""
        period = parsed.values["period"].flatMap { ByteCount(argument: $0)?.bytes } ?? 0
        status = tree.optionalText("streams/\(name)/status")
        available = tree.number("streams/\(name)/available")
        watermark = tree.number("streams/\(name)/watermark")
        overruns = tree.number("streams/\(name)/overruns")
    }
}
