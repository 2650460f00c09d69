import DevFS
import SystemPackage

/// What a mount told at one moment, for `devfs top`.
struct TopSample: Sendable {
    /// CLOCK_MONOTONIC, nanoseconds.
    var time: UInt64
    var buffers: [BufferRecord]
    var signals: [SignalRecord]
    var streams: [StreamRecord]
    var metrics: [MetricSample]
    var pid: Int32?
    /// Resident memory of the server, bytes.
    var resident: UInt64?

    init(_ tree: Tree) throws {
        buffers = try BufferRecord.all(in: tree)
        signals = try SignalRecord.all(in: tree)
        streams = try StreamRecord.all(in: tree)
        metrics = try MetricSample.all(in: tree)
        time = Syscalls.monotonic
        pid = Answers.Server(of: tree.mount)?.pid ?? Self.pid(in: tree)
        resident = pid.flatMap { Self.resident(of: $0) }
    }

    /// `server    devfs 0.2.0, pid 815`
    private static func pid(in tree: Tree) -> Int32? {
        guard let line = try? tree.lines("status").first(where: { $0.hasPrefix("server ") }),
            let word = line.split(separator: " ").last
        else { return nil }
        return Int32(word)
    }

    /// `proc_pid_status(5)`
    private static func resident(of pid: Int32) -> UInt64? {
        guard let text = try? Files.text(of: "/proc/\(pid)/status") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        let kilobytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first
        return kilobytes.flatMap { UInt64($0) }.map { $0 &* 1024 }
    }

    /// The value of a series without labels.
    func metric(_ name: String) -> Double? { metrics.first { $0.name == name }?.value }

    /// The sum over all labels.
    func total(_ name: String) -> Double {
        metrics.filter { $0.name == name }.map(\.value).reduce(0, +)
    }

    /// The values of a series by one label.
    func metrics(_ name: String, by label: String) -> [String: Double] {
        let found = metrics.filter { $0.name == name }
            .compactMap { sample in sample.labels?[label].map { ($0, sample.value) } }
        return Dictionary(found, uniquingKeysWith: { first, _ in first })
    }
}

/// What `devfs top --json` prints: a moment, and what happened since the one before.
struct TopReport: Encodable {
    struct Server: Encodable {
        var pid: Int32?
        /// Resident memory, bytes.
        var rss: UInt64?
        /// A second; what `top` asks is among them.
        var requests: Double?
        /// Bytes.
        var used: UInt64
        /// Limit, bytes.
        var size: UInt64
    }

    struct Signal: Encodable {
        var name: String
        var kind: String
        /// Events a second; nil where it is new.
        var rate: Double?
        var count: UInt64
        var missed: UInt64
        var enabled: Bool
    }

    struct Stream: Encodable {
        var name: String
        var buffer: String
        var status: String
        /// Bytes a second that the device fills; nil where it is new, or the server has no count.
        var rate: Double?
        /// Bytes that can be read.
        var available: UInt64
        /// Bytes of the ring; nil where the server does not tell.
        var size: UInt64?
        var overruns: UInt64

        /// Of what the ring can hold for the reader, 0 to 1.
        var fill: Double? {
            guard let size, size > 0 else { return nil }
            return min(1, Double(available) / Double(size))
        }

        enum CodingKeys: CodingKey {
            case name, buffer, status, rate, available, size, fill, overruns
        }

        func encode(to encoder: any Encoder) throws {
            var values = encoder.container(keyedBy: CodingKeys.self)
            try values.encode(name, forKey: .name)
            try values.encode(buffer, forKey: .buffer)
            try values.encode(status, forKey: .status)
            try values.encode(rate, forKey: .rate)
            try values.encode(available, forKey: .available)
            try values.encode(size, forKey: .size)
            try values.encode(fill, forKey: .fill)
            try values.encode(overruns, forKey: .overruns)
        }
    }

    var source: String
    var mountpoint: String
    /// CLOCK_MONOTONIC, nanoseconds.
    var ns: UInt64
    /// Since the moment before.
    var seconds: Double
    var server: Server
    var buffers: [BufferRecord]
    var signals: [Signal]
    var streams: [Stream]

    init(_ mount: MountEntry, _ now: TopSample, since before: TopSample) {
        let seconds = Double(now.time - min(now.time, before.time)) / 1e9
        // What was made anew in between, with the same name, begins at 0.
        let rate = { (now: Double?, before: Double?) -> Double? in
            guard let now, let before, now >= before, seconds > 0 else { return nil }
            return (now - before) / seconds
        }
        source = mount.source
        mountpoint = mount.mountpoint
        ns = now.time
        self.seconds = seconds
        server = Server(
            pid: now.pid, rss: now.resident,
            requests: rate(
                now.total("devfs_requests_total"), before.total("devfs_requests_total")),
            used: Self.bytes(now.metric("devfs_heap_used_bytes")) ?? 0,
            size: Self.bytes(now.metric("devfs_heap_size_bytes")) ?? 0)
        buffers = now.buffers
        let counts = Dictionary(
            before.signals.map { ($0.name, Double($0.count)) },
            uniquingKeysWith: { first, _ in first })
        signals = now.signals.map { signal in
            Signal(
                name: signal.name, kind: signal.kind,
                rate: rate(Double(signal.count), counts[signal.name]), count: signal.count,
                missed: signal.missed, enabled: signal.enabled)
        }
        let filled = now.metrics("devfs_stream_filled_bytes_total", by: "stream")
        let filledBefore = before.metrics("devfs_stream_filled_bytes_total", by: "stream")
        let sizes = now.metrics("devfs_stream_ring_bytes", by: "stream")
        streams = now.streams.map { stream in
            Stream(
                name: stream.name, buffer: stream.buffer, status: stream.status,
                rate: rate(filled[stream.name], filledBefore[stream.name]),
                available: stream.available, size: Self.bytes(sizes[stream.name]),
                overruns: stream.overruns)
        }
    }

    private static func bytes(_ value: Double?) -> UInt64? { value.flatMap { UInt64(exactly: $0) } }
}
