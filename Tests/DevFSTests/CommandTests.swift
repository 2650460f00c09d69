import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("Commands", .timeLimit(.minutes(1)))
struct CommandTests {
    private let name: @Sendable (String) throws -> Name = { try #require(Name($0)) }

    /// Every refusal of a parser is EINVAL and says why.
    private func refuses<T>(
        _ line: String, _ parse: (Substring) throws(Refusal) -> T,
        _ location: SourceLocation = #_sourceLocation
    ) {
        do throws(Refusal) {
            let value = try parse(line[...])
            Issue.record("\(line) was taken as \(value)", sourceLocation: location)
        } catch {
            #expect(error.errno == .invalidArgument, sourceLocation: location)
            #expect(!error.why.isEmpty, sourceLocation: location)
        }
    }

    // MARK: alloc

    /// "`NAME SIZE [heap=H] [direction=D] [lease=none|process]`"
    @Test func `an allocation is a name, a size and options in any order`() throws {
        var request = AllocationRequest(name: try name("rx"), size: 4 << 20)
        #expect(try AllocationRequest.parse("rx 4M") == request)
        #expect(try AllocationRequest.parse("  rx \t 0x400000  ") == request)
        request.heap = .contiguous
        request.direction = .fromDevice
        request.lease = .process
        for line in [
            "rx 4M heap=contiguous direction=from_device lease=process",
            "rx 4096K lease=process heap=contiguous direction=from_device",
        ] {
            #expect(try AllocationRequest.parse(line[...]) == request)
        }
        #expect(try AllocationRequest.parse("rx 1 lease=none").lease == .none)
    }

    @Test(arguments: [
        "", " ", "rx", "4M", "rx 4M extra", "rx 4M 5M", "rx 4M heap", "rx 4M heap=", "rx 4M =",
        "rx 4M =system", "rx 4M heap=fast", "rx 4M Heap=system", "rx 4M heap=system heap=system",
        "rx 4M heap==system", "rx 4M direction=both", "rx 4M direction=0", "rx 4M lease=yes",
        "rx 4M lease=", "rx 4M mode=0644", "rx 0", "rx 0K", "rx -1", "rx +1", "rx 1.5M", "rx 4 M",
        "rx 9223372036854775808", "rx 0x8000000000000000", "rx 8589934592G", "rx 4Q", "rx ٣",
        ".rx 4M", "r/x 4M", "../x 4M", "rx\0 4M", "rx 4M\0", "rx 4M\r", "\u{feff}rx 4M",
        "rx\u{a0}4M",
        "rx 4M heap\u{338}=system", "rx 4\u{212A}",
    ])
    func `a malformed allocation is EINVAL`(line: String) {
        refuses(line) { (line) throws(Refusal) in try AllocationRequest.parse(line) }
    }

    // MARK: free

    @Test func `free takes one name`() throws {
        #expect(try Name.parse("rx") == name("rx"))
        #expect(try Name.parse("\t rx ") == name("rx"))
        for line in ["", " ", "rx tx", ".", "..", "a/b", "*", "rx\r"] {
            refuses(line) { (line) throws(Refusal) in try Name.parse(line) }
        }
    }

    // MARK: sync

    /// "`NAME for_cpu|for_device [OFFSET LENGTH]`"
    @Test func `a sync is a name, a side, and a range or none`() throws {
        #expect(
            try SyncRequest.parse("rx for_cpu")
                == SyncRequest(name: name("rx"), target: .cpu, offset: 0, length: 0))
        #expect(
            try SyncRequest.parse("rx for_device 4K 0x10")
                == SyncRequest(name: name("rx"), target: .device, offset: 4096, length: 16))
    }

    @Test(arguments: [
        "", "rx", "rx cpu", "rx for_CPU", "rx for_cpu 1", "rx for_cpu 1 2 3", "rx for_cpu -1 1",
        "rx for_cpu 1 -1", "rx for_cpu a b", "for_cpu rx", "rx for_cpu offset=0 length=1",
        "rx for_cpu 9223372036854775808 0", "rx for_cpu for_device",
    ])
    func `a malformed sync is EINVAL`(line: String) {
        refuses(line) { (line) throws(Refusal) in try SyncRequest.parse(line) }
    }

    // MARK: signal

    /// "Write `NAME software`, `NAME timer period=TIME` or `NAME remove`."
    @Test func `a signal is made of software or of time, or removed`() throws {
        #expect(try SignalRequest.parse("go software") == .software(name("go")))
        #expect(try SignalRequest.parse("go remove") == .remove(name("go")))
        #expect(
            try SignalRequest.parse("t timer period=10ms") == .timer(name("t"), period: 10_000_000))
        #expect(try SignalRequest.parse("t timer period=1us") == .timer(name("t"), period: 1000))
        #expect(
            try SignalRequest.parse("t timer period=3600s")
                == .timer(name("t"), period: 3_600_000_000_000))
    }

    /// "1us to 3600s"
    @Test(arguments: [
        "", "go", "go hardware", "go software now", "go remove it", "software", "t timer",
        "t timer 10ms", "t timer period", "t timer period=", "t timer period=10",
        "t timer period=0s", "t timer period=999ns", "t timer period=3601s",
        "t timer period=3600001ms", "t timer period=1ms period=1ms", "t timer period=-1ms",
        "t timer period=1ms extra=1", "t timer rate=1ms", ".t software", "go Software",
        "t timer period=18446744073709551615s",
    ])
    func `a malformed signal is EINVAL`(line: String) {
        refuses(line) { (line) throws(Refusal) in try SignalRequest.parse(line) }
    }

    // MARK: stream

    /// "`NAME buffer=B period=SIZE source=S [policy=overwrite|stop] [rate=N] [watermark=N]`"
    @Test func `a stream has a buffer, a period and a source`() throws {
        var definition = StreamDefinition(
            name: try name("adc"), buffer: try name("rx"), period: 65536,
            source: .signal(try name("irq0")))
        #expect(
            try StreamRequest.parse("adc buffer=rx period=64K source=irq0") == .create(definition))
        definition.policy = .stop
        definition.watermark = 100
        #expect(
            try StreamRequest.parse(
                "adc watermark=100 source=irq0 policy=stop period=64K buffer=rx")
                == .create(definition))
        definition.source = .pattern(rate: 1 << 20)
        #expect(
            try StreamRequest.parse(
                "adc watermark=100 source=pattern policy=stop period=64K buffer=rx")
                == .create(definition))
        for (text, rate) in [("1", 1), ("1000000000", 1_000_000_000), ("64K", 65536)] {
            definition.source = .pattern(rate: UInt64(rate))
            #expect(
                try StreamRequest.parse(
                    "adc buffer=rx period=64K source=pattern policy=stop watermark=100 rate=\(text)"
                )
                    == .create(definition))
        }
        #expect(try StreamRequest.parse("adc remove") == .remove(name("adc")))
        #expect(try StreamRequest.parse("remove remove") == .remove(name("remove")))
    }

    /// "`rate=` words a second (default 1M, 1 to 1G)", and suffixes are binary
    @Test(
        arguments: [("1", 1), ("1K", 1024), ("1000000000", 1_000_000_000), ("1G", 1 << 30)]
            as [(String, UInt64)])
    func `the rate is 1 to 1G`(text: String, rate: UInt64) throws {
        let request = try StreamRequest.parse(
            "adc buffer=rx period=64K source=pattern rate=\(text)")
        guard case .create(let definition) = request else {
            Issue.record("no stream: \(request)")
            return
        }
        #expect(definition.source == .pattern(rate: rate))
    }

    @Test(arguments: [
        "", "adc", "adc remove now", "adc buffer=rx", "adc buffer=rx period=64K",
        "adc period=64K source=irq0", "adc buffer=rx source=irq0",
        "adc buffer=.rx period=64K source=irq0", "adc buffer= period=64K source=irq0",
        "adc buffer=rx period=0 source=irq0", "adc buffer=rx period=6 source=irq0",
        "adc buffer=rx period=-4 source=irq0", "adc buffer=rx period=x source=irq0",
        "adc buffer=rx period=64K source=", "adc buffer=rx period=64K source=a/b",
        "adc buffer=rx period=64K source=irq0 rate=1000",
        "adc buffer=rx period=64K source=pattern rate=0",
        "adc buffer=rx period=64K source=pattern rate=2G",
        "adc buffer=rx period=64K source=pattern rate=-1",
        "adc buffer=rx period=64K source=pattern rate=",
        "adc buffer=rx period=64K source=irq0 policy=drop",
        "adc buffer=rx period=64K source=irq0 policy=",
        "adc buffer=rx period=64K source=irq0 watermark=x",
        "adc buffer=rx period=64K source=irq0 watermark=-1",
        "adc buffer=rx buffer=rx period=64K source=irq0",
        "adc buffer=rx period=64K source=irq0 color=red", "adc rx 64K irq0",
    ])
    func `a malformed stream is EINVAL`(line: String) {
        refuses(line) { (line) throws(Refusal) in try StreamRequest.parse(line) }
    }

    // MARK: notify

    /// "write `PID SIGNAL [VALUE]`", "VALUE (a 32-bit integer, default: the event's number)"
    @Test(
        arguments: [
            ("12 SIGUSR1", 12, SIGUSR1, nil), ("12 USR1 7", 12, SIGUSR1, 7),
            ("12 SIGRTMIN+3 -1", 12, 37, -1),
            ("2147483647 64 -2147483648", Int32.max, 64, Int32.min),
            ("1 1 2147483647", 1, 1, Int32.max), ("0x10 10 0x7f", 16, 10, 127),
        ] as [(String, Int32, Int32, Int32?)])
    func `a registration is a process, a signal, and a value or none`(
        line: String, pid: Int32, signal: Int32, value: Int32?
    ) throws {
        #expect(
            try NotifyRequest.parse(line[...]) == .register(pid: pid, signal: signal, value: value))
    }

    @Test func `off removes the registrations of a process`() throws {
        #expect(try NotifyRequest.parse("12 off") == .remove(pid: 12))
    }

    @Test(arguments: [
        "", "12", "0 SIGUSR1", "-1 SIGUSR1", "+1 SIGUSR1", "2147483648 SIGUSR1", "12 0", "12 65",
        "12 SIGNONE", "12 off now", "12 OFF", "12 USR1 2147483648", "12 USR1 -2147483649",
        "12 USR1 x", "12 USR1 1 2", "12 USR1 0xffffffff", "12 USR1 1K", "self USR1", "SIGUSR1 12",
        "12 USR1 --1", "12 USR1 1.0",
    ])
    func `a malformed registration is EINVAL`(line: String) {
        refuses(line) { (line) throws(Refusal) in try NotifyRequest.parse(line) }
    }
}
