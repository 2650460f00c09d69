import DevFSMaps
import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// Maps that are wrong, by mistake or on purpose: file, line and reason, or the register left out.
@Suite("maps that can't be had", .timeLimit(.minutes(1)))
struct HostileMapTests {
    private static let one = "<register><name>R</name><addressOffset>0</addressOffset></register>"

    @Test func `what is no XML, JSON or YAML is told with its line`() {
        let cases: [(String, String)] = [
            ("", "reading map: Invalid argument (the file is empty)"),
            ("<a>\n<b></a>", "reading map:2: Invalid argument (mismatched tag)"),
            ("<device>\n<name>", "reading map:2: Invalid argument (no element found)"),
            (
                "<html></html>",
                "reading map: Invalid argument (it is neither CMSIS-SVD nor IP-XACT)"
            ),
            ("registers:\n  - {name: [}", "reading map:2: Invalid argument"),
            ("- 1", "reading map:1: Invalid argument (a map is a mapping: NAME: VALUE)"),
            ("registers: []\nfoo: 1", "reading map:2: Invalid argument (a map has no 'foo'"),
            (
                "{\"csr_registers\": {\n \"a\": {\"addr\": 1,\n\"size\": []}}}",
                "reading map:3: Invalid argument (a.size is no number)"
            ),
            (
                "{\"csr_bases\": {}}",
                "reading map: Invalid argument (the file has no csr_registers)"
            ),
        ]
        for (text, expected) in cases {
            let found = fault(text) ?? "nothing"
            #expect(found.hasPrefix(expected), "\(found)")
        }
        let json = fault("{\"csr_registers\": {\n \"a\": {\"addr\": }}}") ?? "nothing"
        #expect(json.hasPrefix("reading map:2: Invalid argument"), "\(json)")
    }

    @Test func `a file that ends anywhere is an error, and never a crash`() throws {
        let whole = svd(
            registers: """
                <register><dim>2</dim><dimIncrement>4</dimIncrement><name>R%s</name>
                <addressOffset>0</addressOffset><fields><field><name>F</name><bitRange>[1:0]</bitRange>
                <enumeratedValues><enumeratedValue><name>a</name><value>1</value></enumeratedValue>
                </enumeratedValues></field></fields></register>
                """)
        for count in 0..<whole.utf8.count {
            #expect(fault(String(whole.prefix(count))) != nil, "\(count) bytes")
        }
    }

    /// "entities: the file declares one, and is refused"
    @Test func `entities are refused, before they can become gigabytes`() {
        let bomb = """
            <?xml version="1.0"?>
            <!DOCTYPE device [
            <!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">
            <!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
            ]>
            <device><name>&b;</name></device>
            """
        let found = fault(bomb)
        #expect(found?.hasPrefix("reading map:3: Invalid argument (it declares an entity") == true)
    }

    @Test func `YAML's aliases of aliases, and of what they are in, are refused`() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let list = [String](repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "a\(level): &a\(level) [\(list)]\n"
        }
        #expect(fault(text)?.contains("Argument list too long (more than 500000 values)") == true)
        #expect(fault("registers: &a [*a]")?.contains("of what it is in") == true)
        let deep = String(repeating: "[", count: 100_000)
        #expect(fault("registers: \(deep)") != nil)
        #expect(fault("{\"csr_registers\": " + String(repeating: "[", count: 100_000)) != nil)
    }

    @Test func `what derives from itself, or from nothing, is told with its line`() {
        let loop = """
            <register derivedFrom="B"><name>A</name><addressOffset>0</addressOffset></register>
            <register derivedFrom="A"><name>B</name><addressOffset>4</addressOffset></register>
            """
        #expect(
            fault(svd(registers: loop))?.hasPrefix(
                "reading map:3: Too many levels of symbolic links (A derives from itself") == true)
        let lost = "<register derivedFrom=\"X\"><name>A</name></register>"
        #expect(
            fault(svd(registers: lost))?.contains("A derives from X, which is not there") == true)
        let own = "<peripheral derivedFrom=\"P\"><name>P</name></peripheral>"
        #expect(fault(svd(own))?.contains("P derives from itself") == true)
        let path = "<register derivedFrom=\"P.A\"><name>A</name></register>"
        #expect(fault(svd(registers: path))?.contains("A derives from itself") == true)
    }

    @Test func `arrays of 2^32 elements, and arrays in arrays, are refused at once`() {
        func array(_ dim: String, _ name: String, _ inner: String) -> String {
            "<cluster><dim>\(dim)</dim><dimIncrement>4</dimIncrement><name>\(name)%s</name>"
                + "<addressOffset>0</addressOffset>\(inner)</cluster>"
        }
        #expect(
            fault(svd(registers: array("4294967296", "a", Self.one)))?.contains("1 to 65536")
                == true)
        #expect(fault(svd(registers: array("0", "a", Self.one)))?.contains("1 to 65536") == true)
        #expect(fault(svd(registers: array("-1", "a", Self.one)))?.contains("1 to 65536") == true)
        let nested = array("1000", "a", array("1000", "b", array("1000", "c", Self.one)))
        #expect(fault(svd(registers: nested))?.contains("more than 1000000") == true)
        let empty = array("65536", "a", array("65536", "b", array("65536", "c", "")))
        #expect(fault(svd(registers: empty))?.contains("more than 1000000") == true)
        let yaml = """
            blocks: [{name: a, offset: 0, count: 60000, stride: 4,
             blocks: [{name: b, count: 60000, stride: 4, registers: [{name: c, offset: 0}]}]}]
            """
        #expect(fault(yaml)?.contains("more than 1000000") == true)
    }

    /// "an address of more than 64 bits"
    @Test func `addresses of a map do not wrap: each element beyond 64 bits is left out`() throws {
        let beyond = "its address is beyond 64 bits: left out"
        func check(_ text: String, _ paths: [String], _ warnings: [String]) throws {
            let table = try registerTable(text)
            #expect(table.paths == paths)
            #expect(table.warnings == warnings.map { "map: \($0)" })
        }
        try check(
            """
            registers: [{name: ok, offset: 0}]
            blocks: [{name: b, offset: 0xffffffffffffffff, registers: [{name: a, offset: 5}]}]
            """, ["ok"], ["b/a: \(beyond)"])
        try check(
            """
            base: 0xffffffffffffff00
            registers:
            - {name: a, offset: 0xffffffffffffff00, count: 3, stride: 0x104}
            - {name: b, offset: 0xffffffffffffff10, count: 4, stride: 0x8000000000000000}
            - {name: low, offset: 4}
            - {name: end, offset: 0xfffffffffffffffc}
            """, ["a0", "b0", "end"],
            ["a1", "a2", "b1", "b2", "b3"].map { "\($0): \(beyond)" }
                + ["low: 0x4 is before the region's base: left out"])
        let register = "<register><name>R</name><addressOffset>0x20</addressOffset></register>"
        func peripheral(_ name: String, _ base: String) -> String {
            "<peripheral><name>\(name)</name><baseAddress>\(base)</baseAddress><registers>"
                + "\(register)</registers></peripheral>"
        }
        try check(
            svd(peripheral("P", "0") + peripheral("Q", "0xFFFFFFFFFFFFFFF0")), ["P/R"],
            ["Q/R: \(beyond)"])
    }

    @Test func `a name with the mark of an array is left out where there is no array`() throws {
        let table = try registerTable(
            """
            registers: [{name: ok, offset: 0, fields: [{name: f%s, bits: 0}]}, {name: r%s, offset: 4}]
            blocks: [{name: b%s, offset: 8, registers: [{name: r, offset: 0}]}]
            """)
        #expect(table.paths == ["ok"])
        #expect(table.list(try #require(table.at("ok"))).map(\.name) == ["value", "info"])
        #expect(table.warnings.map { $0.split(separator: " ")[1] } == ["ok/f%s:", "r%s:", "b%s:"])
    }

    @Test func `registers without a place, and numbers that are none, are told`() {
        #expect(
            fault(svd(registers: "<register><name>A</name></register>"))?
                .contains("A: a register without addressOffset") == true)
        #expect(
            fault(
                svd(
                    registers: "<register><name>A</name><addressOffset>x</addressOffset></register>"
                ))?
                .contains("A: addressOffset 'x' is no number") == true)
        #expect(
            fault(svd("<peripheral><name>P</name></peripheral>"))?
                .contains("a peripheral without baseAddress") == true)
        #expect(
            fault("registers:\n- {name: a, offset: 0, width: 24}")?.hasPrefix("reading map:2")
                == true)
        #expect(
            fault("registers:\n- {name: a, offset: 0, width: 8, reset: 0x100}")?.hasPrefix(
                "reading map:2: Invalid argument (a: reset does not fit the register") == true)
        #expect(fault("registers:\n- {name: a, offset: 0, width: 8, reset: 0xff}") == nil)
        #expect(
            fault("registers:\n- {name: a, offset: 0, fields: [{name: f, bits: 32}]}")?
                .contains("bits are N or HIGH:LOW, below 32") == true)
    }

    // MARK: Left out

    @Test func `what does not fit the region or the bus is left out, with a warning`() throws {
        let table = try registerTable(
            svd(
                registers: Self.one + """
                    <register><name>BEYOND</name><addressOffset>0x1000</addressOffset></register>
                    <register><name>END</name><addressOffset>0xffe</addressOffset></register>
                    <register><name>HUGE</name><addressOffset>0xFFFFFFFFFFFFFFFC</addressOffset>
                    </register>
                    <register><name>ODD</name><addressOffset>6</addressOffset></register>
                    <register><name>WIDE</name><addressOffset>0</addressOffset><size>128</size>
                    </register>
                    <register><name>THREE</name><addressOffset>0</addressOffset><size>24</size>
                    </register>
                    """), size: 4096)
        #expect(table.paths == ["P/R"])
        let left = ["BEYOND", "END", "HUGE", "ODD", "WIDE", "THREE"]
        for name in left {
            #expect(table.warnings.contains { $0.hasPrefix("map: P/\(name): ") }, "\(name)")
        }
        #expect(table.warnings.count == left.count, "\(table.warnings)")
    }

    @Test
    func
        `fields that overlap or do not fit are left out; a read one may have a written one's bits`()
        throws
    {
        func field(_ name: String, _ bits: String, _ access: String = "read-write") -> String {
            "<field><name>\(name)</name><bitRange>\(bits)</bitRange><access>\(access)</access></field>"
        }
        let table = try registerTable(
            svd(
                registers: "<register><name>R</name><addressOffset>0</addressOffset><fields>"
                    + field("a", "[7:0]") + field("b", "[8:7]") + field("c", "[33:32]")
                    + field("d", "[70:3]") + field("e", "[15:8]", "read-only")
                    + field("f", "[15:8]", "write-only") + "</fields></register>"))
        #expect(
            table.list(try #require(table.at("P/R"))).map(\.name) == [
                "value", "info", "a", "e", "f",
            ])
        #expect(table.warnings.count == 3, "\(table.warnings)")
    }

    @Test func `the read effect of what is left out stays`() throws {
        func field(_ name: String, _ bits: String, _ more: String = "") -> String {
            "<field><name>\(name)</name>\(bits)\(more)</field>"
        }
        func register(_ name: String, _ offset: Int, _ more: String) -> String {
            "<register><name>\(name)</name><addressOffset>\(offset)</addressOffset>\(more)"
                + "</register>"
        }
        let effect = "<readAction>clear</readAction>"
        let low = "<bitRange>[7:0]</bitRange>"
        let table = try registerTable(
            svd(
                registers: register("PLAIN", 0, "<fields>\(field("a", low))</fields>")
                    + register(
                        "OVERLAP", 4,
                        "<fields>\(field("a", low))\(field("b", low, effect))</fields>")
                    + register(
                        "OUTSIDE", 8,
                        "<fields>\(field("a", "<bitRange>[33:32]</bitRange>", effect))</fields>")
                    + register("NOBITS", 12, "<fields>\(field("a", "", effect))</fields>")
                    + register("UNDER", 16, "") + register("WIDE", 16, "<size>128</size>\(effect)")
                    + register("BEHIND", 32, "")), size: 4096)
        #expect(table.warnings.count == 4, "\(table.warnings)")
        let touched = table.paths.filter { (try? table.register($0).readHasEffect) == true }
        #expect(touched == ["P/NOBITS", "P/OUTSIDE", "P/OVERLAP", "P/UNDER"])
    }

    @Test func `a map of which nothing can be had is an error`() {
        #expect(throws: SetupError.self) { try registerTable(svd(registers: "")) }
        #expect(throws: SetupError.self) { try registerTable(svd(registers: Self.one), size: 2) }
    }

    @Test func `names that are no names of files become some, each once`() throws {
        let names = ["a b", "a/b", "..", ".x", "ä", "", "value", "x", "x", "x"]
        let fields = names.enumerated().map {
            "<field><name>\($1)</name><bitOffset>\($0)</bitOffset></field>"
        }.joined()
        let table = try registerTable(
            svd(
                registers: "<register><name>../R</name><addressOffset>0</addressOffset><fields>"
                    + fields + "</fields></register>" + Self.one + Self.one
                    + "<register><name>\(String(repeating: "n", count: 100))</name>"
                    + "<addressOffset>0</addressOffset></register>"))
        #expect(
            table.paths == [
                "P/R", "P/R-2", "P/_../R".replacing("/R", with: "_R"),
                "P/" + String(repeating: "n", count: 63),
            ])
        let listed = table.list(try #require(table.at("P/_.._R"))).map(\.name)
        #expect(
            listed == ["value", "info"] + [
                "_", "_-2", "_..", "_.x", "a_b", "a_b-2", "value_", "x", "x-2", "x-3",
            ])
        for name in listed { #expect(Name(name) != nil, "\(name)") }
    }

    @Test func `a file that is none, a pipe, or too long is told`() throws {
        #expect(throws: SetupError.self) { try MapFile.read("/nonexistent/map") }
        #expect(throws: SetupError.self) { try MapFile.read("/dev/zero") }
        #expect(throws: SetupError.self) { try MapFile.read("/") }
    }
}
