import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// Seeded noise: bytes, characters, and words of the grammar in the wrong places.
private struct Noise {
    var random: SeededRandom
    private static let words = [
        "rx", "4M", "0", "-1", "heap=system", "heap=", "=", "direction=to_device", "lease=process",
        "for_cpu", "for_device", "software", "timer", "period=1ms", "remove", "buffer=rx",
        "source=pattern", "period=64K", "rate=1", "watermark=0", "policy=stop", "12", "SIGUSR1",
        "SIGRTMIN+3", "off", "0x", "18446744073709551616", "\u{feff}", "٣", "e\u{301}", "\0", "#",
        "9223372036854775807", "4\u{212A}", "..", "\r", "🏳️‍🌈", "1", "1", "2147483648",
    ]
    private static let separators = [" ", " ", " ", "\t", "", "\n", "=", "\u{a0}"]

    mutating func text() -> String {
        switch random.below(3) {
        case 0: return String(decoding: random.bytes(random.below(120)), as: UTF8.self)
        case 1:
            var text = ""
            for _ in 0..<random.below(20) {
                if let scalar = UnicodeScalar(UInt32(random.below(0x11_0000))) {
                    text.unicodeScalars.append(scalar)
                }
            }
            return text
        default:
            return (0..<random.below(9)).map { _ in
                random.pick(Self.words) + random.pick(Self.separators)
            }.joined()
        }
    }
}

@Suite("Noise", .timeLimit(.minutes(1)))
struct NoiseTests {
    /// What a parser took must be within the manual's bounds; what it refuses is EINVAL.
    private func parse<T>(
        _ text: String, _ parse: (Substring) throws(Refusal) -> T, isValid: (T) -> Bool
    ) -> Bool {
        do throws(Refusal) {
            return isValid(try parse(text[...]))
        } catch {
            return error.errno == .invalidArgument && !error.why.isEmpty
        }
    }

    private static func isValid(_ request: SignalRequest) -> Bool {
        guard case .timer(_, let period) = request else { return true }
        return SignalRequest.periods.contains(period)
    }

    private static func isValid(_ request: StreamRequest) -> Bool {
        guard case .create(let definition) = request else { return true }
        return definition.period > 0 && definition.period.isMultiple(of: 4)
    }

    private static func isValid(_ request: NotifyRequest) -> Bool {
        switch request {
        case .register(let pid, let signal, _): pid > 0 && (1...64).contains(signal)
        case .remove(let pid): pid > 0
        }
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func `no parser crashes, and what one takes is within bounds`(seed: UInt64) {
        var noise = Noise(random: SeededRandom(seed))
        let sizes: ClosedRange<UInt64> = 1...UInt64(Int64.max)
        for step in 0..<500 {
            let text = noise.text()
            let isFine =
                parse(text, AllocationRequest.parse, isValid: { sizes.contains($0.size) })
                && parse(text, Name.parse, isValid: { (1...63).contains($0.text.utf8.count) })
                && parse(
                    text, SyncRequest.parse,
                    isValid: { max($0.offset, $0.length) <= UInt64(Int64.max) })
                && parse(text, SignalRequest.parse, isValid: Self.isValid)
                && parse(text, StreamRequest.parse, isValid: Self.isValid)
                && parse(text, NotifyRequest.parse, isValid: Self.isValid)
            guard isFine else {
                Issue.record("seed \(seed), step \(step): \(CommandLog.printable(text.utf8))")
                return
            }
            _ = Number.parse(text)
            _ = Number.nanoseconds(text)
            _ = BufferTraits(text: text)
        }
    }

    /// A write of 1 MiB of noise to every control file is an error, and the server lives.
    @Test func `noise in every file that can be written is an error and changes nothing`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 8K")
            try client.write("control/signal", "go software")
            try client.write("control/stream", "s buffer=rx period=4K source=go")
            let before = try client.read("control/alloc")
            let settings = try ["buffers", "signals", "streams"].map { try client.list($0) }
            var random = SeededRandom(99)
            var directories = ["control", "attributes/rx", "signals/go", "streams/s"]
            var written = 0
            while let directory = directories.popLast() {
                for name in try client.list(directory) {
                    let path = "\(directory)/\(name)"
                    let status = try client.status(path)
                    guard status.isRegular, status.mode & 0o222 != 0 else { continue }
                    for size in [1, 7, 4096, 1 << 20] {
                        var bytes = random.bytes(size)
                        bytes[0] = UInt8(ascii: "/")
                        #expect(throws: Errno.invalidArgument, "\(path), \(size) bytes") {
                            try client.write(path, bytes: bytes)
                        }
                    }
                    written += 1
                }
            }
            #expect(written == 19)
            #expect(try client.read("control/alloc") == before)
            #expect(
                try ["buffers", "signals", "streams"].map { try client.list($0) } == settings)
            #expect(try client.log().count == written * 4)
        }
    }
}
