import Synchronization
import SystemPackage
import Testing

@testable import DevFS

@Suite("control/log", .timeLimit(.minutes(1)))
struct CommandLogTests {
    private let log = CommandLog()
    private let caller = Caller(pid: ProcessID(123), uid: 1000, gid: 1000)

    private func add(_ command: String, _ refusal: Refusal = Refusal(.noSpace, "too much")) {
        log.add(refusal, command: Array(command.utf8), file: "control/alloc", by: caller)
    }

    private var lines: [Substring] { log.text.split(separator: "\n") }

    /// "`TIME pid=P uid=U file=F command="..." errno=E why="..."`"
    @Test func `a refused command is one line with who, where, what and why`() throws {
        #expect(log.text.isEmpty && log.count == 0)
        add("rx 4G")
        let line = try #require(lines.first)
        let pattern =
            /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z pid=123 uid=1000 file=control\/alloc command="rx 4G" errno=ENOSPC why="too much"/
        #expect(try pattern.wholeMatch(in: line) != nil, "\(line)")
        #expect(log.text.hasSuffix("\n") && lines.count == 1)
    }

    /// "the last 256 refused commands, oldest first"
    @Test func `the last 256 are kept, oldest first, and all are counted`() {
        for number in 0..<256 { add("c\(number)") }
        #expect(lines.count == 256 && lines[0].contains("\"c0\""))
        for number in 256..<300 { add("c\(number)") }
        #expect(lines.count == 256)
        #expect(lines[0].contains("\"c44\"") && lines[255].contains("\"c299\""))
        #expect(log.count == 300)
    }

    /// "Bytes that do not print are `\xNN`; a command is cut after 200 bytes."
    @Test func `bytes that do not print, quotes and backslashes are escaped`() {
        add("a\"b\\c\nd\0e\tf\u{7f}ä")
        #expect(
            log.text.contains(
                #"command="a\"b\\c\x0ad\x00e\x09f\x7f\xc3\xa4" errno"#))
        #expect(lines.count == 1)
    }

    @Test func `a command is cut after 200 bytes`() {
        add(String(repeating: "x", count: 200))
        #expect(log.text.contains("\"\(String(repeating: "x", count: 200))\""))
        add(String(repeating: "y", count: 201))
        #expect(log.text.contains(String(repeating: "y", count: 200)))
        #expect(!log.text.contains(String(repeating: "y", count: 201)))
        add(String(repeating: "\0", count: 1 << 20))
        #expect(lines[2].utf8.count < 1200)
    }

    @Test func `a reason can't end the line or the quotes`() {
        add("x", Refusal(.invalidArgument, "unexpected argument: \"\nTIME pid=1"))
        #expect(lines.count == 1)
        #expect(log.text.contains(#"why="unexpected argument: \"\x0aTIME pid=1""#))
    }

    @Test(arguments: [
        (Errno.invalidArgument, "EINVAL"), (.noSpace, "ENOSPC"), (.fileExists, "EEXIST"),
        (.noDevice, "ENODEV"), (Errno(rawValue: 9999), "9999"),
    ])
    func `an errno has its name`(error: Errno, name: String) {
        #expect(ErrnoName.of(error) == name)
    }

    @Test func `noise of any kind makes one printable line`() {
        var random = SeededRandom(13)
        for _ in 0..<200 {
            let bytes = random.bytes(random.below(400))
            log.add(.invalid("noise"), command: bytes, file: "control/x", by: caller)
        }
        #expect(lines.count == 200)
        #expect(log.text.utf8.allSatisfy { $0 == 0x0a || (0x20...0x7e).contains($0) })
    }

    /// docs/man/devfs-mount.1.md: "at most ten a minute for each user"
    @Test func `what is told beyond the log has a bound for each user and for all`() {
        let lines = Mutex<[String]>([])
        log.told.set { told in lines.withLock { $0.append(told.line) } }
        for uid: UInt32 in 1...30 {
            for _ in 0..<20 {
                let caller = Caller(pid: ProcessID(1), uid: uid, gid: 0)
                log.add(.invalid("why"), command: "x".utf8, file: "control/alloc", by: caller)
            }
        }
        let told = lines.withLock { $0 }
        #expect(told.count == 100)
        #expect(told.filter { $0.contains(" uid=1 ") }.count == 10)
        #expect(
            told[0].hasPrefix("refused: pid=1 uid=1 file=control/alloc command=\"x\" errno=EINVAL"))
        #expect(!told[8].contains("for a minute") && told[9].contains("for a minute"))
    }
}
