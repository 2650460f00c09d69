import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// No number that a client gives ends the server: each is carried out, or refused with its errno.
@Suite("Numbers at their limits", .timeLimit(.minutes(2)))
struct NumberTests {
    private static let limits: [UInt64] = [
        0, 1, 3, 4095, 1 << 31 - 1, 1 << 31, 1 << 32 - 1, 1 << 32, 1 << 62, 1 << 63 - 4096,
        1 << 63 - 1, 1 << 63, .max - 4095, .max - 1, .max,
    ]
    /// As clients write them, with some that no type holds.
    private static let texts: [String] =
        limits.map { "\($0)" } + limits.map { "0x" + String($0, radix: 16) }
        + limits.map { "\($0)K" } + limits.map { "\($0)G" } + limits.map { "-\($0)" }
        + [
            "18446744073709551616", "340282366920938463463374607431768211456", "-1", "-0", "+1",
            "1e18", "8589934591G", "8589934592G", "0x8000000000000000", "1.5", "0x",
        ]

    /// A file, its lines with `#` for the number, and the numbers that it takes.
    private struct Case: Sendable {
        var path: String
        var line: String
        var takes: @Sendable (UInt64) -> Bool
        /// After a line that was taken.
        var undo: (String, String)?

        init(
            _ path: String, _ line: String, undo: (String, String)? = nil,
            takes: @escaping @Sendable (UInt64) -> Bool
        ) {
            self.path = path
            self.line = line
            self.undo = undo
            self.takes = takes
        }
    }

    /// With a buffer `rx` of 64K in a tree of 4M.
    private static let cases: [Case] = {
        let size: UInt64 = 65536
        let stream = "s buffer=rx source=pattern"
        let remove = ("control/stream", "s remove")
        @Sendable func isPeriod(_ value: UInt64) -> Bool {
            value > 0 && value % 4 == 0 && size % value == 0 && size / value >= 2
        }
        return [
            Case("control/alloc", "n #", undo: ("control/free", "n")) { 1...(3 << 20) ~= $0 },
            Case("control/alloc", "n # heap=coherent", undo: ("control/free", "n")) {
                1...(3 << 20) ~= $0
            },
            Case("control/sync", "rx for_cpu # #") { $0 <= size / 2 },
            Case("control/sync", "rx for_device # 0") { $0 <= size },
            Case("control/sync", "rx for_device 0 #") { $0 <= size },
            Case("control/stream", "\(stream) period=#", undo: remove, takes: isPeriod),
            Case("control/stream", "\(stream) period=# rate=1", undo: remove, takes: isPeriod),
            Case("control/stream", "\(stream) period=4K rate=#", undo: remove) {
                1...(1 << 30) ~= $0
            },
            Case("control/stream", "\(stream) period=4K watermark=#", undo: remove) {
                1...(size - 4096) ~= $0
            },
            Case("control/stream", "s buffer=rx source=go period=#", undo: remove, takes: isPeriod),
            Case("signals/go/trigger", "#") { 1...1_000_000 ~= $0 },
            Case("signals/go/enable", "#", undo: ("signals/go/enable", "1")) { $0 <= 1 },
            Case("streams/adc/watermark", "#") { 1...(size - 4096) ~= $0 },
            Case("streams/adc/enable", "#") { $0 <= 1 },
            Case("attributes/rx/sync_offset", "#", undo: ("attributes/rx/sync_offset", "0")) {
                $0 < 1 << 63
            },
            Case("attributes/rx/sync_size", "#", undo: ("attributes/rx/sync_size", "0")) {
                $0 < 1 << 63
            },
        ]
    }()

    private func prepared(_ body: (Client) throws -> Void) throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 64K\nring 64K\nfixed 64K heap=coherent")
            try client.write("control/signal", "go software")
            try client.write("control/stream", "adc buffer=ring period=4K source=go")
            try body(client)
        }
    }

    @Test func `each command takes the numbers that it should, and refuses all others`() throws {
        try prepared { client in
            for each in Self.cases {
                for text in Self.texts {
                    let line = each.line.replacing("#", with: text)
                    let number = Number.parse(text)
                    // "`1` or `0`; anything else `EINVAL`"
                    let isTaken =
                        each.path.hasSuffix("enable")
                        ? ["0", "1"].contains(text) : number.map(each.takes) ?? false
                    let errno = try client.refusal(each.path, line)
                    #expect((errno == nil) == isTaken, "\(each.path): \(line): \(errno as Any)")
                    let known: [Errno] = [.invalidArgument, .noSpace, .noMemory, .outOfRange]
                    if let errno {
                        #expect(known.contains(errno), "\(each.path): \(line): \(errno)")
                    }
                    if isTaken, let (path, text) = each.undo { try client.write(path, text) }
                }
            }
            #expect(try client.read("streams/adc/overruns") == "0\n")
        }
    }

    /// `sync_for_*` with a packed 64-bit number.
    @Test func `a packed sync takes every number of 64 bits, or refuses it`() throws {
        try prepared { client in
            for offset in Self.limits {
                for low in [0, 1, 0xf, 0xffff_fff1, 0xffff_ffff, 0x1_0001, 0x1000d, 0x10005] {
                    let number = offset << 32 | UInt64(low)
                    for name in ["sync_for_cpu", "sync_for_device"] {
                        let errno = try client.refusal("attributes/rx/\(name)", "\(number)")
                        #expect(errno == nil || errno == .invalidArgument, "\(number)")
                    }
                }
            }
            // What the attributes say may lie beyond the buffer.
            for text in Self.texts where Number.parse(text) != nil {
                for other in Self.texts where Number.parse(other) != nil {
                    try client.write("attributes/rx/sync_offset", text)
                    try client.write("attributes/rx/sync_size", other)
                    let errno = try client.refusal("attributes/rx/sync_for_cpu", "1")
                    #expect(errno == nil || errno == .invalidArgument)
                }
            }
        }
    }

    @Test func `a notification takes the pids, signals and values that there are`() throws {
        try prepared { client in
            let child = try Child()
            for text in Self.texts {
                let errno = try client.refusal("signals/go/notify", "\(text) URG")
                let number = Number.plain(text)
                if number.map({ $0 == 0 || $0 > Int32.max }) ?? true {
                    #expect(errno == .invalidArgument, "\(text)")
                }
                let signal = try client.refusal("signals/go/notify", "\(child.pid) \(text)")
                #expect((signal == nil) == (number.map { 1...64 ~= $0 } ?? false), "\(text)")
                if signal == nil { try client.write("signals/go/notify", "\(child.pid) off") }
                let value = try client.refusal("signals/go/notify", "\(child.pid) URG \(text)")
                let fits = Int32(text) != nil || number.flatMap(Int32.init(exactly:)) != nil
                #expect((value == nil) == fits, "\(text)")
                if value == nil { try client.write("signals/go/notify", "\(child.pid) off") }
            }
        }
    }

    @Test func `a timer's period is from a microsecond to an hour, whatever is written`() throws {
        try prepared { client in
            for text in Self.texts {
                for (unit, factor) in [
                    ("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000),
                ]
                    as [(String, UInt64)]
                {
                    let product = Number.plain(text)?.multipliedReportingOverflow(by: factor)
                    let isTaken =
                        product.map {
                            !$0.overflow && SignalRequest.periods.contains($0.partialValue)
                        } ?? false
                    let errno = try client.refusal(
                        "control/signal", "t timer period=\(text)\(unit)")
                    #expect(errno == (isTaken ? nil : .invalidArgument), "\(text)\(unit)")
                    if isTaken { try client.write("control/signal", "t remove") }
                }
            }
        }
    }

    /// The module's count may be any number.
    @Test func `a signal takes any count from its device`() throws {
        let name = try #require(Name("s"))
        for count in [1, 1 << 31, 1 << 63 - 1, 1 << 63, .max] as [UInt64] {
            let signal = Signal(SignalID(number: 1), name, .software)
            let taken = signal.take(count, at: 7, before: [5, 6])
            #expect(taken?.0 == 1...count && signal.count == count)
            #expect(try signal.event(after: count - 1)?.time == 7)
            #expect((1...count).length == count && (0...count).newest(1) == count...count)
            #expect((0...count).newest(64).length == min(count.addingClamped(1), 64))
        }
    }

    @Test func `a count of events beyond 64 bits makes none`() throws {
        let name = try #require(Name("s"))
        let signal = Signal(SignalID(number: 1), name, .software, count: .max - 5)
        let isMade = signal.post(5)
        #expect(isMade && signal.count == .max)
        let isRefused = !signal.post(1)
        #expect(isRefused && signal.count == .max)
    }

    @Test func `what many readers missed is counted without an end`() throws {
        let name = try #require(Name("s"))
        let signal = Signal(SignalID(number: 1), name, .software, count: 1 << 63)
        signal.post(1)
        for _ in 0..<3 { #expect(try signal.event(after: 0)?.skipped == 1 << 63) }
    }

    @Test func `a stream takes any number of events at once`() throws {
        for policy in [OverrunPolicy.overwrite, .stop] {
            let name = try #require(Name("s"))
            let definition = StreamDefinition(
                name: name, buffer: name, period: 4096, source: .signal(name), policy: policy)
            let stream = Stream(
                StreamID(number: 1), definition,
                memory: BufferMemory(try Syscalls.open("/dev/null", flags: O_RDWR)), size: 16384)
            stream.start()
            stream.happened(1...2, at: 0)
            #expect(stream.available == 8192)
            stream.happened(0...(.max), at: 0)
            #expect(stream.available == 12288)
            #expect(stream.overruns == (policy == .stop ? 1 : UInt64.max - 1))
            #expect(stream.status == (policy == .stop ? .overrun : .running))
            stream.happened(3...(1 << 63), at: 0)
            #expect(stream.overruns == (policy == .stop ? 1 : UInt64.max))
        }
    }

    @Test func `reads, writes and sizes at every offset are done or refused`() throws {
        try prepared { client in
            let paths = [
                "buffers/rx", "buffers/fixed", "control/log", "control/alloc", "status", "metrics",
                "attributes/rx/size", "streams/adc/status",
            ]
            for path in paths {
                let file = try client.open(path, path.hasPrefix("buffers") ? O_RDWR : O_RDONLY)
                defer { file.close() }
                for offset in Self.limits where offset > 65536 {
                    let bytes = try? file.bytes(at: offset, count: 4096)
                    #expect(bytes == nil || bytes == [])
                }
            }
            for path in ["buffers/rx", "buffers/fixed"] {
                let file = try client.open(path, O_RDWR)
                defer { file.close() }
                for offset in Self.limits where offset > 4 << 20 {
                    #expect(throws: (any Error).self, "\(path) \(offset)") {
                        try file.write([1, 2, 3], at: offset)
                    }
                    #expect(throws: (any Error).self, "\(path) \(offset)") {
                        try client.truncate(path, to: offset, file)
                    }
                    let buffer = try #require(file as? BufferFile)
                    for start in Self.limits where start < offset {
                        #expect(throws: (any Error).self, "\(path) \(start)..<\(offset)") {
                            try buffer.allocate(.grow, start..<offset, by: .me)
                        }
                        #expect(throws: (any Error).self, "\(path) \(start)..<\(offset)") {
                            try buffer.allocate(.keepSize, start..<offset, by: .me)
                        }
                        // A range beyond the end is none.
                        try? buffer.allocate(.zero, start..<offset, by: .me)
                    }
                }
                #expect(try client.status(path).size == 65536)
            }
        }
    }
}
