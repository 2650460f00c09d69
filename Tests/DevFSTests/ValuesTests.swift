import Glibc
import Testing

@testable import DevFS

@Suite("Values", .timeLimit(.minutes(1)))
struct ValuesTests {
    /// "decimal or `0x` hexadecimal, with an optional binary suffix `K` `M` `G`"
    @Test(
        arguments: [
            ("0", 0), ("1", 1), ("007", 7), ("4096", 4096), ("0x10", 16), ("0XfF", 255), ("0x0", 0),
            ("4K", 4096), ("4k", 4096), ("4KiB", 4096), ("64M", 64 << 20), ("3GiB", 3 << 30),
            ("1g", 1 << 30), ("0x10K", 16384),
            ("0K", 0), ("9223372036854775807", UInt64(Int64.max)),
            ("0x7fffffffffffffff", UInt64(Int64.max)), ("8589934591G", 8_589_934_591 << 30),
            ("9007199254740991K", 9_007_199_254_740_991 << 10),
        ] as [(String, UInt64)])
    func `a number is decimal or hexadecimal with a binary suffix`(text: String, value: UInt64) {
        #expect(Number.parse(text) == value)
    }

    /// "No sign, no fraction, no blanks inside. A value that does not fit 63 bits is `EINVAL`."
    @Test(arguments: [
        "", " ", "K", "0x", "0xK", "-1", "+1", "-0", "0x-1", "0x+1", "--1", "1.5", "1.5M", ".5",
        "1e3", "1 K", " 1", "1 ", "1\t", "1\n", "4KB", "4MB", "4KK", "4iB", "iB", "KiB", "4Kib",
        "4KKiB", "4TiB", "4KiBiB", "K4", "4T", "0xg", "0x1x", "1_000",
        "1,000", "0b1", "0o7", "ten", "NaN", "9223372036854775808", "0x8000000000000000",
        "18446744073709551615", "18446744073709551616", "8589934592G", "9007199254740992K",
        "99999999999999999999999999999999999999", "٣", "４", "4\u{212A}", "²", "4K\u{301}",
        "1\0", "\0", "0x\u{ff11}",
    ])
    func `a number that is malformed or beyond 63 bits is none`(text: String) {
        #expect(Number.parse(text) == nil)
    }

    @Test func `a plain number has 64 bits and no suffix`() {
        #expect(Number.plain("18446744073709551615") == UInt64.max)
        #expect(Number.plain("0xffffffffffffffff") == UInt64.max)
        for text in ["18446744073709551616", "1K", "", "0x", "-1", "+1", "0x1K"] {
            #expect(Number.plain(text) == nil, "\(text)")
        }
    }

    /// "carry a unit: `ns` `us` `ms` `s`"
    @Test(
        arguments: [
            ("1ns", 1), ("1us", 1_000), ("10ms", 10_000_000), ("3600s", 3_600_000_000_000),
            ("0s", 0),
            ("0x10us", 16_000),
        ] as [(String, UInt64)])
    func `a time is a number with its unit`(text: String, value: UInt64) {
        #expect(Number.nanoseconds(text) == value)
    }

    @Test(arguments: [
        "", "1", "s", "ms", "1m", "1h", "1S", "1 s", "1.5s", "-1s", "+1s", "1sec", "1Ks",
        "9223372037s", "18446744073709551615s", "1ss", "1nss",
    ])
    func `a time without a unit or beyond 63 bits is none`(text: String) {
        #expect(Number.nanoseconds(text) == nil)
    }

    /// "addresses `0x%016x`"
    @Test func `an address has 16 hexadecimal digits`() {
        #expect(Number.address(0) == "0x0000000000000000")
        #expect(Number.address(0xdead_beef) == "0x00000000deadbeef")
        #expect(Number.address(UInt64.max) == "0xffffffffffffffff")
    }

    @Test(
        arguments: [
            (0, "0"), (1, "1"), (1023, "1023"), (1024, "1K"), (1536, "1536"), (4 << 20, "4M"),
            (3 << 30, "3G"), (1 << 40, "1024G"), ((1 << 20) + 1024, "1025K"),
        ] as [(UInt64, String)])
    func `a size for people has the largest unit that leaves it whole`(bytes: UInt64, text: String)
    {
        #expect(Number.human(bytes) == text)
    }

    @Test func `every size for people is read back as the same number`() {
        var random = SeededRandom(3)
        for _ in 0..<2000 {
            let bytes = (random.next() >> UInt64(1 + random.below(62))) << UInt64(random.below(20))
            guard bytes <= UInt64(Int64.max) else { continue }
            #expect(Number.parse(Number.human(bytes)) == bytes)
        }
    }

    /// "Names are 1 to 63 bytes of `A-Za-z0-9._-`, not starting with `.`"
    @Test(arguments: [
        "a", "rx", "A-Za-z0-9._-", "-", "_", "0", "a.", "a..b", "-rf",
        String(repeating: "x", count: 63),
    ])
    func `a name is letters, digits, dots, underscores and dashes`(text: String) {
        #expect(Name(text)?.text == text)
        #expect(Name(text)?.description == text)
    }

    @Test(arguments: [
        "", ".", "..", ".a", "a/b", "/", "a b", " ", "a\n", "a\0", "\0", "ä", "ａ", "\u{212A}",
        "a=b", "a*", "~", "a:b", "a,b", "é", "e\u{301}", "😀", String(repeating: "x", count: 64),
        String(repeating: "x", count: 4096),
    ])
    func `any other name is none`(text: String) {
        #expect(Name(text) == nil)
    }

    @Test func `directions, heaps and leases have the names of the manual and no others`() {
        #expect(Direction.allCases.map(\.name) == ["bidirectional", "to_device", "from_device"])
        #expect(Direction.allCases.map(\.rawValue) == [0, 1, 2])
        #expect(
            Heap.allCases.map(\.name) == [
                "system", "contiguous", "coherent", "reserved", "user", "imported",
            ])
        for direction in Direction.allCases {
            #expect(Direction(name: direction.name) == direction)
        }
        for heap in Heap.allCases { #expect(Heap(name: heap.name) == heap) }
        for text in ["", "System", "system ", "0", "none", "to-device", "bi"] {
            #expect(Heap(name: text) == nil && Direction(name: text) == nil)
        }
    }
}

@Suite("Signal numbers", .timeLimit(.minutes(1)))
struct SignalNumberTests {
    @Test(
        arguments: [
            ("SIGUSR1", SIGUSR1), ("USR1", SIGUSR1), ("SIGKILL", SIGKILL), ("HUP", SIGHUP),
            ("1", 1),
            ("64", 64), ("32", 32), ("0x0a", 10), ("SIGRTMIN", 34), ("SIGRTMIN+0", 34),
            ("RTMIN+3", 37), ("SIGRTMIN+30", 64), ("SIGRTMAX", 64), ("RTMAX-1", 63),
            ("SIGRTMAX-30", 34), ("SIGIO", SIGIO), ("SYS", SIGSYS),
        ] as [(String, Int32)])
    func `a signal is a name or a number`(text: String, number: Int32) {
        #expect(SignalNumber.parse(text[...]) == number)
    }

    @Test(arguments: [
        "", "0", "65", "-1", "+1", "1K", "SIG", "usr1", "sigusr1", "SIGSIGUSR1", "SIGUSR3", "USR",
        "SIGRTMIN+31", "SIGRTMIN-1", "SIGRTMAX+1", "SIGRTMAX-31", "RTMIN+", "RTMIN++1", "RTMIN+-1",
        "RTMIN 1", "RTMIN+18446744073709551615", "4294967297", "SIG10", "SIG\u{212A}ILL", "USR1 ",
        "RT", "RTMINX",
    ])
    func `anything else is no signal`(text: String) {
        #expect(SignalNumber.parse(text[...]) == nil)
    }

    @Test func `every signal's name is read back as the same number`() {
        for number: Int32 in 1...64 {
            #expect(SignalNumber.parse(SignalNumber.name(number)[...]) == number)
        }
        #expect(SignalNumber.name(SIGUSR1) == "SIGUSR1")
        #expect(SignalNumber.name(37) == "SIGRTMIN+3")
        #expect(SignalNumber.name(33) == "33")
    }
}
