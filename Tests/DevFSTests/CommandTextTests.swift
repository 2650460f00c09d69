import SystemPackage
import Testing

@testable import DevFS

@Suite("Command text", .timeLimit(.minutes(1)))
struct CommandTextTests {
    private let log = CommandLog()

    /// Carries out a text whose commands are names; `bad` is malformed, `no` is refused.
    private func carryOut(
        _ bytes: [UInt8], after earlier: String = "", _ ending: CommandText.Ending = .write,
        atMost limit: Int = .max
    ) -> (done: [String], result: Result<Int, Errno>) {
        var rest = ""
        return carryOut(bytes, after: earlier, ending, atMost: limit, rest: &rest)
    }

    private func carryOut(
        _ bytes: [UInt8], after earlier: String, _ ending: CommandText.Ending = .write,
        atMost limit: Int = .max, rest: inout String
    ) -> (done: [String], result: Result<Int, Errno>) {
        var done: [String] = []
        let text = unsafe bytes.withUnsafeBytes {
            unsafe CommandText(
                $0, after: Array(earlier.utf8)[...], ending: ending, file: "control/x")
        }
        do throws(Errno) {
            let outcome = try text.carryOut(
                log, by: Opener(.me), atMost: limit,
                parse: { (line) throws(Refusal) in try Name.parse(line) },
                run: { (name) throws(Refusal) in
                    if name.text == "no" { throw Refusal(.noSpace, "refused") }
                    done.append(name.text)
                })
            rest = String(decoding: outcome.rest, as: UTF8.self)
            return (done, .success(outcome.taken))
        } catch {
            return (done, .failure(error))
        }
    }

    private func carryOut(_ text: String) -> (done: [String], result: Result<Int, Errno>) {
        carryOut(Array(text.utf8))
    }

    /// "A write that is one whole command needs no newline." "Blank lines and lines that start
    /// with `#` are skipped."
    @Test(
        arguments: [
            ("a", ["a"]), ("a\n", ["a"]), ("a\nb", ["a"]), ("a\nb\n", ["a", "b"]),
            ("\n\na\n\n \n\t\nb\n\n", ["a", "b"]), ("# a\nb\n#c", ["b"]), ("  # a\n\t b \n", ["b"]),
            ("a\r\nb\r\n", ["a", "b"]), ("a\0", ["a"]), ("a\n\0", ["a"]), ("a\nb\0", ["a", "b"]),
            ("a\r\n\r\n#x\r\n", ["a"]), ("a\r", ["a"]), ("a\r\0\0", ["a"]),
            ("# only\n# comments", []),
        ] as [(String, [String])])
    func `one write carries whole commands, and all its bytes are taken`(
        text: String, names: [String]
    ) {
        let (done, result) = carryOut(text)
        #expect(done == names)
        #expect(result == .success(text.utf8.count))
        #expect(log.count == 0)
    }

    /// "a write with a malformed line anywhere in it is `EINVAL` and changes nothing"
    @Test(arguments: [
        "a b", "a\nb c\n", "a\nb\n.c\n", "/\na\nb", "a\n\0\nb", "a\nno\n.\n", "a\r\r\n", "a\0b",
    ])
    func `a malformed line anywhere changes nothing`(text: String) {
        let (done, result) = carryOut(text)
        #expect(done.isEmpty)
        #expect(result == .failure(.invalidArgument))
        #expect(log.count == 1)
    }

    /// "A write of nothing but blank lines is `EINVAL`."
    @Test(arguments: ["", "\n", "   ", "\n\n\n", " \t\n", "# only\n", "# only", "\0", "\r\n\r\n"])
    func `a write without a command is EINVAL`(text: String) {
        #expect(carryOut(text).result == .failure(.invalidArgument))
        #expect(log.count == 1)
    }

    /// "if one is refused, the write returns the bytes of those before it, or the errno of the
    /// refusal if it was the first"
    @Test func `a refused command ends a write short, or fails it if it was the first`() {
        let first = carryOut("no\na\n")
        #expect(first.done.isEmpty && first.result == .failure(.noSpace))
        let second = carryOut("a\nno\nb\n")
        #expect(second.done == ["a"] && second.result == .success(2))
        let commented = carryOut("# x\n\na\n#y\nno\n")
        #expect(commented.done == ["a"] && commented.result == .success(7))
        let last = carryOut("a\nb\nno\n")
        #expect(last.done == ["a", "b"] && last.result == .success(4))
        #expect(log.count == 4)
    }

    @Test func `what a short write leaves can be written again`() {
        let bytes = Array("a\nb\nno\nc\n".utf8)
        let (done, result) = carryOut(bytes)
        #expect(done == ["a", "b"] && result == .success(4))
        #expect(carryOut(Array(bytes[4...])).result == .failure(.noSpace))
        #expect(carryOut(Array(bytes[7...])).done == ["c"])
    }

    /// "The last line of any other write, where it has no newline, waits for the rest of it"
    @Test func `what a write leaves of a line waits for its end`() {
        var rest = ""
        var (done, result) = carryOut(Array("a\nb\nlong".utf8), after: "", rest: &rest)
        #expect(done == ["a", "b"] && result == .success(8) && rest == "long")
        (done, result) = carryOut(Array("-na".utf8), after: rest, rest: &rest)
        #expect(done == [] && result == .success(3) && rest == "long-na")
        (done, result) = carryOut(Array("me\nno\nx".utf8), after: rest, rest: &rest)
        #expect(done == ["long-name"] && result == .success(3) && rest == "")
        (done, result) = carryOut(Array("o\nx\n".utf8), after: "n", rest: &rest)
        #expect(done == [] && result == .failure(.noSpace))
        (done, result) = carryOut(Array(" b\nx\n".utf8), after: "a", rest: &rest)
        #expect(done == [] && result == .failure(.invalidArgument))
    }

    @Test func `a comment that is cut off goes on as one`() {
        var rest = ""
        var (done, result) = carryOut(Array("a\n# no".utf8), after: "", rest: &rest)
        #expect(done == ["a"] && result == .success(6) && rest == "# no")
        (done, result) = carryOut(Array("ne\nb\n".utf8), after: rest, rest: &rest)
        #expect(done == ["b"] && result == .success(5) && rest == "")
    }

    @Test func `at the close a whole command is carried out, and another is the rest`() {
        var rest = ""
        var (done, result) = carryOut([], after: "a", .close, rest: &rest)
        #expect(done == ["a"] && result == .success(0) && rest == "")
        (done, result) = carryOut([], after: "a b", .close, rest: &rest)
        #expect(done == [] && rest == "a b")
        (done, result) = carryOut([], after: "# b", .close, rest: &rest)
        #expect(done == [] && result == .success(0) && rest == "")
        #expect(log.count == 0)
        #expect(carryOut([], after: "no", .close).result == .failure(.noSpace))
    }

    @Test func `a line of more than 4096 bytes has no end, and a file of one value waits for none`()
    {
        var rest = ""
        let long = [UInt8](repeating: 0x61, count: 4096)
        #expect(carryOut(Array("a\n".utf8) + long, after: "", rest: &rest).done == ["a"])
        #expect(rest.utf8.count == 4096)
        #expect(carryOut([0x61], after: rest, rest: &rest).result == .failure(.invalidArgument))
        #expect(carryOut(Array("a\nb".utf8), atMost: 1).result == .failure(.invalidArgument))
        #expect(carryOut(Array("a".utf8), atMost: 1).done == ["a"])
    }

    @Test func `bytes that are no UTF-8 are EINVAL, and the log shows them as they are`() {
        for bytes: [UInt8] in [
            [0xff], [0x61, 0xc3], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80],
        ] {
            let (done, result) = carryOut(bytes)
            #expect(done.isEmpty && result == .failure(.invalidArgument))
        }
        #expect(log.text.contains("command=\"\\xff\""))
        #expect(log.text.contains("command=\"a\\xc3\""))
    }

    @Test func `a comment that is no UTF-8 does not change the count of a write`() {
        let bytes = Array("# ".utf8) + [0xff, 0xfe, 0xe4] + Array("\na\nno\nb".utf8)
        let (done, result) = carryOut(bytes)
        #expect(done == ["a"] && result == .success(8))
        let whole = carryOut(Array(bytes[..<8]))
        #expect(whole.done == ["a"] && whole.result == .success(8))
    }

    @Test func `a mebibyte of noise is EINVAL and changes nothing`() {
        var random = SeededRandom(7)
        for round in 0..<4 {
            var bytes = random.bytes(1 << 20)
            bytes[0] = UInt8(ascii: "/")
            let (done, result) = carryOut(bytes)
            #expect(done.isEmpty && result == .failure(.invalidArgument), "round \(round)")
        }
        #expect(log.count == 4)
    }

    @Test func `a mebibyte of commands is carried out whole`() {
        let bytes = Array(String(repeating: "name\n", count: 1 << 17).utf8)
        let (done, result) = carryOut(bytes)
        #expect(done.count == 1 << 17 && result == .success(bytes.count))
    }

    @Test func `a mebibyte without a newline and one of newlines are refused`() {
        #expect(
            carryOut([UInt8](repeating: 0x61, count: 1 << 20)).result == .failure(.fileNameTooLong))
        #expect(
            carryOut([UInt8](repeating: 0x0a, count: 1 << 20)).result == .failure(.invalidArgument))
        #expect(
            carryOut([UInt8](repeating: 0, count: 1 << 20)).result == .failure(.invalidArgument))
    }
}
