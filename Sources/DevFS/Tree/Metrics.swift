import Synchronization

/// What the server counts of itself, for `metrics`.
final class Metrics: Sendable {
    /// Requests that have a counter of their own.
    enum Request: Int, CaseIterable, Sendable {
        case lookup, getattr, setattr, open, release, read, write, fsync, readdir
        case create, unlink, rename, fallocate, ioctl, poll, statfs, flush, other
    }

    private let read = Atomic<UInt64>(0)
    private let written = Atomic<UInt64>(0)
    private let requests = InlineArray<18, Atomic<UInt64>> { _ in Atomic(0) }

    final class Counter: Sendable {
        private let value = Atomic<UInt64>(0)
        func add() { value.add(1, ordering: .relaxed) }
        var count: UInt64 { value.load(ordering: .relaxed) }
    }

    let allocations = Counter()
    let frees = Counter()
    let passthroughOpens = Counter()
    let interrupts = Counter()

    func count(_ request: Request) { requests[request.rawValue].add(1, ordering: .relaxed) }
    func count(of request: Request) -> UInt64 {
        requests[request.rawValue].load(ordering: .relaxed)
    }
    func addRead(_ bytes: Int) { read.add(UInt64(bytes), ordering: .relaxed) }
    func addWritten(_ bytes: Int) { written.add(UInt64(bytes), ordering: .relaxed) }
    var bytesRead: UInt64 { read.load(ordering: .relaxed) }
    var bytesWritten: UInt64 { written.load(ordering: .relaxed) }
}

/// Prometheus text exposition format 0.0.4.
struct PrometheusText {
    private(set) var text = ""

    /// One family: its help, type, and samples, each with its labels.
    mutating func add(
        _ name: String, _ type: String, _ help: String,
        _ samples: [([(String, String)], UInt64)]
    ) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
        for (labels, value) in samples {
            let list = labels.map { "\($0)=\"\(Self.escaped($1))\"" }.joined(separator: ",")
            text += name + (list.isEmpty ? "" : "{\(list)}") + " \(value)\n"
        }
    }

    mutating func add(_ name: String, _ type: String, _ help: String, _ value: UInt64) {
        add(name, type, help, [([], value)])
    }

    /// The value of a label, within its quotation marks.
    static func escaped(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
