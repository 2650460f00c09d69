import SystemPackage

/// A line of `control/alloc`.
package struct AllocationRequest: Sendable, Equatable {
    package var name: Name
    /// Bytes, 1 and more.
    package var size: UInt64
    /// Nil is the mount's default heap.
    package var heap: Heap?
    package var direction: Direction
    package var lease: Lease

    package init(
        name: Name, size: UInt64, heap: Heap? = nil, direction: Direction = .bidirectional,
        lease: Lease = .none
    ) {
        self.name = name
        self.size = size
        self.heap = heap
        self.direction = direction
        self.lease = lease
    }
}

/// A line of `control/sync`.
package struct SyncRequest: Sendable, Equatable {
    package var name: Name
    package var target: SyncTarget
    /// Bytes from the start.
    package var offset: UInt64
    /// Bytes; 0 is the rest of the buffer.
    package var length: UInt64
}

/// A line of `control/signal`.
package enum SignalRequest: Sendable, Equatable {
    case software(Name)
    /// Period in nanoseconds, 1 us to an hour.
    case timer(Name, period: UInt64)
    case remove(Name)
}

/// What a stream's periods come from.
package enum StreamSource: Sendable, Equatable {
    case signal(Name)
    /// The generator, in 32-bit words a second.
    case pattern(rate: UInt64)
}

/// What happens to a reader that is too slow.
package enum OverrunPolicy: String, Sendable {
    case overwrite
    case stop
}

/// A line of `control/stream`.
package enum StreamRequest: Sendable, Equatable {
    case create(StreamDefinition)
    case remove(Name)
}

/// A stream as it was asked for.
package struct StreamDefinition: Sendable, Equatable {
    package var name: Name
    package var buffer: Name
    /// Bytes, a multiple of 4.
    package var period: UInt64
    package var source: StreamSource
    package var policy: OverrunPolicy = .overwrite
    /// Bytes; nil is one period.
    package var watermark: UInt64?

    /// The generator writes the buffer: it is no device's.
    var isGenerated: Bool {
        if case .pattern = source { true } else { false }
    }
}

/// A line of a signal's `notify`.
package enum NotifyRequest: Sendable, Equatable {
    /// `value` nil is the event's number.
    case register(pid: Int32, signal: Int32, value: Int32?)
    case remove(pid: Int32)
}

/// The words of one command line.
struct Words {
    private var words: ArraySlice<Substring>

    /// - Throws: EINVAL for a byte that is not printable ASCII: names and numbers have none, and
    ///   Swift takes some other characters for equal to ASCII ones.
    init(_ line: Substring) throws(Refusal) {
        guard line.utf8.allSatisfy({ (0x20...0x7e).contains($0) || $0 == UInt8(ascii: "\t") })
        else { throw .invalid("a byte that is not printable ASCII") }
        words = line.split { $0 == " " || $0 == "\t" }[...]
    }

    /// The next word, which must be there; `what` names it in the refusal.
    mutating func next(_ what: String) throws(Refusal) -> Substring {
        guard let word = words.popFirst() else { throw .incomplete("\(what) is missing") }
        return word
    }

    mutating func name(_ what: String = "the name") throws(Refusal) -> Name {
        try Name(checking: try next(what))
    }

    mutating func size(_ what: String) throws(Refusal) -> UInt64 {
        try Words.size(try next(what), what)
    }

    static func size(_ word: Substring, _ what: String) throws(Refusal) -> UInt64 {
        guard let value = Number.parse(word) else {
            throw .invalid("\(what) is not a number: \(Number.form)")
        }
        return value
    }

    var isEmpty: Bool { words.isEmpty }

    func end() throws(Refusal) {
        if let word = words.first { throw .invalid("unexpected argument: \(word)") }
    }

    /// The rest as `key=value`, each of `keys` once at the most.
    consuming func options(_ keys: Set<String>) throws(Refusal) -> [String: Substring] {
        var found: [String: Substring] = [:]
        for word in words {
            guard let equals = word.firstIndex(of: "=") else {
                throw .invalid("not KEY=VALUE: \(word)")
            }
            let key = String(word[..<equals])
            guard keys.contains(key) else {
                let known = Suggestion.text(key, "keys", keys.sorted())
                throw .invalid("unknown key: \(key); \(known)")
            }
            let value = word[word.index(after: equals)...]
            guard found.updateValue(value, forKey: key) == nil else {
                throw .invalid("\(key) is given twice")
            }
        }
        return found
    }
}

extension AllocationRequest {
    /// `NAME SIZE [heap=H] [direction=D] [lease=none|process]`
    static func parse(_ line: Substring) throws(Refusal) -> AllocationRequest {
        var words = try Words(line)
        let name = try words.name()
        let size = try words.size("the size")
        guard size > 0 else { throw .invalid("the size is 0") }
        var request = AllocationRequest(name: name, size: size)
        let options = try words.options(["heap", "direction", "lease"])
        if let text = options["heap"] {
            guard let heap = Heap(name: text) else {
                let names = Heap.allCases.filter(\.isAllocatable).map(\.name)
                throw .invalid("no heap \(text); \(Suggestion.text(text, "heaps", names))")
            }
            request.heap = heap
        }
        if let text = options["direction"] {
            guard let direction = Direction(name: text) else {
                throw .invalid("direction is bidirectional, to_device or from_device")
            }
            request.direction = direction
        }
        if let text = options["lease"] {
            guard let lease = Lease(rawValue: String(text)) else {
                throw .invalid("lease is none or process")
            }
            request.lease = lease
        }
        return request
    }
}

extension Name {
    /// A line that is one name, as in `control/free`.
    static func parse(_ line: Substring) throws(Refusal) -> Name {
        var words = try Words(line)
        let name = try words.name()
        try words.end()
        return name
    }
}

extension SyncRequest {
    /// `NAME for_cpu|for_device [OFFSET LENGTH]`
    static func parse(_ line: Substring) throws(Refusal) -> SyncRequest {
        var words = try Words(line)
        let name = try words.name()
        guard let target = SyncTarget(rawValue: String(try words.next("for_cpu or for_device")))
        else { throw .invalid("neither for_cpu nor for_device") }
        var request = SyncRequest(name: name, target: target, offset: 0, length: 0)
        if !words.isEmpty {
            request.offset = try words.size("the offset")
            request.length = try words.size("the length")
        }
        try words.end()
        return request
    }
}

extension SignalRequest {
    /// The periods that a timer can have, in nanoseconds.
    static let periods: ClosedRange<UInt64> = 1_000...3_600_000_000_000

    /// `NAME software`, `NAME timer period=TIME` or `NAME remove`
    static func parse(_ line: Substring) throws(Refusal) -> SignalRequest {
        var words = try Words(line)
        let name = try words.name()
        switch try words.next("software, timer or remove") {
        case "software":
            try words.end()
            return .software(name)
        case "remove":
            try words.end()
            return .remove(name)
        case "timer":
            let options = try words.options(["period"])
            guard let text = options["period"] else { throw .incomplete("period= is missing") }
            guard let period = Number.nanoseconds(text), periods.contains(period) else {
                throw .invalid("period is a time from 1us to 3600s with its unit, such as 10ms")
            }
            return .timer(name, period: period)
        case let word:
            let words = ["software", "timer", "remove"]
            throw .invalid("\(word): \(Suggestion.text(word, "words", words))")
        }
    }
}

extension NotifyRequest {
    /// `PID SIGNAL [VALUE]` or `PID off`
    static func parse(_ line: Substring) throws(Refusal) -> NotifyRequest {
        var words = try Words(line)
        guard let pid = Number.plain(try words.next("the pid")).flatMap(Int32.init(exactly:)),
            pid > 0
        else { throw .invalid("not a pid") }
        let word = try words.next("the signal")
        if word == "off" {
            try words.end()
            return .remove(pid: pid)
        }
        guard let signal = SignalNumber.parse(word) else {
            throw .invalid("not a signal: a name such as SIGUSR1 or SIGRTMIN+1, or 1 to 64")
        }
        var value: Int32?
        if !words.isEmpty {
            let text = try words.next("the value")
            let signed = Int32(text)  // fits: of a text it is nil where it doesn't
            guard let number = signed ?? Number.plain(text).flatMap(Int32.init(exactly:))
            else { throw .invalid("the value is not a 32-bit integer") }
            value = number
        }
        try words.end()
        return .register(pid: pid, signal: signal, value: value)
    }
}
