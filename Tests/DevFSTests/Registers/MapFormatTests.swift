import Glibc
import SystemPackage
import Testing

@testable import DevFS
@testable import DevFSMaps

@Suite("other formats of register maps", .timeLimit(.minutes(1)))
struct MapFormatTests {
    /// Files that PeakRDL made, beside what it made them of. `Tests/Maps/README.md`
    private func peakRDLFile(_ name: String) -> String {
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/Maps/\(name)"
    }

    private func peakRDL(_ name: String) throws -> RegisterTable {
        let map = try MapFile.read(peakRDLFile(name))
        return try RegisterTableBuilder.table(of: [
            .init(map: map, port: 0, offset: 0, size: 4096)
        ])
    }

    @Test(arguments: ["edu.xml", "edu-2009.xml"])
    func `SystemRDL by way of PeakRDL's IP-XACT, in both editions`(name: String) throws {
        let table = try peakRDL(name)
        #expect(
            table.paths == [
                "ack", "dma/count", "dma/src", "fifo", "id", "live", "many0", "many1", "many2",
                "many3", "status",
            ])
        #expect(try table.register("id").knownReset == 0x0100_00ed)
        #expect(try table.register("dma/count").offset == 0x90)
        #expect(try table.register("dma/count").width == 8)
        #expect(try table.register("many3").offset == 0x10c)
        #expect(try table.field("ack/ack").write == .oneToClear)
        #expect(try table.names("status/busy") == ["no:0", "yes:1"])
        let effects = try ["e", "f", "g"].map { try table.field("fifo/\($0)").write }
        #expect(effects == [.clear, .zeroToClear, .oneToToggle])
        #expect(try table.field("fifo/d").readHasEffect)
        #expect(try table.field("fifo/strobe").kind == .writeOnly)
        #expect(table.warnings == [])
    }

    /// "the block's base address is where the region begins. Of several blocks each is a directory"
    @Test(arguments: ["'h1000", "'h40000000"])
    func `the one block of a component begins with the region, wherever its base is`(
        base: String
    ) throws {
        let file = try FileDescriptor.open(FilePath(peakRDLFile("edu.xml")), .readOnly)
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let count = try file.closeAfter {
            try unsafe bytes.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
        }
        let text = String(decoding: bytes[..<count], as: UTF8.self)
            .replacing("'h0</ipxact:baseAddress>", with: "\(base)</ipxact:baseAddress>")
        let table = try registerTable(text, size: 4096)
        #expect(table.warnings == [] && table.paths.count == 11)
        #expect(try table.register("id").offset == 0)
        #expect(try table.register("many3").offset == 0x10c)
        // An offset of the option is added to the addresses of the map.
        let address = try #require(MapNumber.parse(base))
        var map = try registerMap(text)
        map.base = 0
        let moved = try RegisterTableBuilder.table(of: [
            .init(map: map, port: 0, offset: 0x100 &- address, size: 4096)
        ])
        #expect(try moved.register("id").offset == 0x100)
    }

    @Test func `of several blocks each is a directory at its base address`() throws {
        func block(_ name: String, _ base: String) -> String {
            """
            <spirit:addressBlock><spirit:name>\(name)</spirit:name>
            <spirit:baseAddress>\(base)</spirit:baseAddress><spirit:register>
            <spirit:name>r</spirit:name><spirit:addressOffset>4</spirit:addressOffset>
            <spirit:size>32</spirit:size><spirit:field><spirit:name>f</spirit:name>
            <spirit:bitOffset>0</spirit:bitOffset><spirit:enumeratedValues>
            <spirit:enumeratedValue spirit:usage="read"><spirit:name>is</spirit:name>
            <spirit:value>1</spirit:value></spirit:enumeratedValue>
            <spirit:enumeratedValue usage="write"><spirit:name>do</spirit:name>
            <spirit:value>1</spirit:value></spirit:enumeratedValue></spirit:enumeratedValues>
            </spirit:field></spirit:register></spirit:addressBlock>
            """
        }
        let table = try registerTable(
            "<spirit:component xmlns:spirit=\"x\"><spirit:memoryMaps><spirit:memoryMap>"
                + block("a", "0x100") + block("b", "'h1000")
                + "</spirit:memoryMap></spirit:memoryMaps></spirit:component>")
        #expect(table.paths == ["a/r", "b/r"])
        #expect(try table.register("a/r").offset == 0x104)
        #expect(try table.register("b/r").offset == 0x1004)
        let field = try table.field("a/r/f")
        #expect(table.text(1, of: field) == "1 is" && table.expected(field) == "0 to 1, or do (1)")
    }

    @Test func `IP-XACT of 2022: access policies, and the stride of an array`() throws {
        let table = try registerTable(
            """
            <ipxact:component xmlns:ipxact="x"><ipxact:name>c</ipxact:name><ipxact:memoryMaps>
            <ipxact:memoryMap><ipxact:name>m</ipxact:name><ipxact:addressBlock>
            <ipxact:name>b</ipxact:name><ipxact:baseAddress>32'h4000_0000</ipxact:baseAddress>
            <ipxact:register><ipxact:name>r</ipxact:name>
            <ipxact:array><ipxact:dim>2</ipxact:dim><ipxact:stride>'h10</ipxact:stride></ipxact:array>
            <ipxact:addressOffset>8</ipxact:addressOffset><ipxact:size>32</ipxact:size>
            <ipxact:field><ipxact:name>f</ipxact:name><ipxact:bitOffset>0</ipxact:bitOffset>
            <ipxact:bitWidth>4</ipxact:bitWidth><ipxact:fieldAccessPolicies>
            <ipxact:fieldAccessPolicy><ipxact:access>read-only</ipxact:access>
            <ipxact:readAction>clear</ipxact:readAction></ipxact:fieldAccessPolicy>
            </ipxact:fieldAccessPolicies></ipxact:field></ipxact:register></ipxact:addressBlock>
            </ipxact:memoryMap></ipxact:memoryMaps></ipxact:component>
            """)
        #expect(try table.register("r1").offset == 0x18)
        #expect(try table.field("r0/f").kind == .readOnly && table.field("r0/f").readHasEffect)
    }

    private static let litex = """
        {"csr_bases": {"ctrl": 4026531840, "uart": 4026533888, "uart_phy": 4026535936},
         "csr_registers": {
          "ctrl_reset": {"addr": 4026531840, "size": 1, "type": "rw"},
          "ctrl_ticks": {"addr": 4026531848, "size": 2, "type": "ro"},
          "uart_rxtx": {"addr": 4026533888, "size": 1, "type": "rw"},
          "uart_phy_tuning": {"addr": 4026535936, "size": 1, "type": "rw"},
          "ctrl_wide": {"addr": 4026531860, "size": 9, "type": "ro"}},
         "constants": {"config_csr_data_width": 32, "config_cpu_name": "none", "uart_polling": null},
         "memories": {"csr": {"base": 4026531840, "size": 65536, "type": "io"}}}
        """

    @Test func `LiteX's csr.json: names by the longest block, registers of several words`() throws {
        let table = try registerTable(Self.litex, size: 65536)
        #expect(
            table.paths == ["ctrl/reset", "ctrl/ticks", "uart/rxtx", "uart_phy/tuning"])
        let ticks = try table.register("ctrl/ticks")
        #expect(ticks.offset == 8 && ticks.words == 2 && ticks.width == 4 && ticks.length == 8)
        #expect(ticks.access == .readOnly && ticks.bits == .max)
        #expect(try table.register("uart_phy/tuning").offset == 0x1000)
        #expect(table.warnings == ["map: ctrl/wide: it is wider than 64 bits: left out"])
    }

    @Test func `LiteX's csr.json of bytes: each in a word of its own, the highest first`() throws {
        let text = Self.litex.replacing("_width\": 32", with: "_width\": 8")
        try withRegisters(text, size: 65536) { (client, _) throws in
            try client.write("regions/bar0", bytes: [0x12, 0, 0, 0, 0x34, 0, 0, 0], at: 8)
            #expect(try client.read("registers/ctrl/ticks/value") == "0x1234\n")
        }
    }

    private static let yaml = """
        name: test        # a comment
        region: bar2
        base: 0x1000
        byte_order: big
        registers:
          - {name: id, offset: 0x1000, access: ro, reset: 0x10}
          - name: control
            offset: 4100
            width: 16
            description: What it does
            fields:
              - {name: start, bits: 0, access: wo}
              - {name: mode, bits: "3:1", values: {slow: 0, fast: 1}, only: yes}
              - {name: irq, bits: 8, write: 1c, description: Of both}
              - {name: level, bits: 15:12, range: 2-9}
        blocks:
          - name: ch%s_
            offset: 0x1100
            count: 2
            stride: 0x20
            registers:
              - {name: addr, offset: 8, width: 64, read_effect: true, count: 2, stride: 8}
        """

    @Test func `YAML of our own: all that it can say`() throws {
        let map = try registerMap(Self.yaml)
        #expect(map.region == "bar2" && map.base == 0x1000 && map.isBigEndian)
        let table = try registerTable(Self.yaml)
        #expect(
            table.paths == [
                "ch0_/addr0", "ch0_/addr1", "ch1_/addr0", "ch1_/addr1", "control", "id",
            ])
        #expect(try table.register("ch1_/addr1").offset == 0x130)
        #expect(try table.register("ch1_/addr1").readHasEffect)
        #expect(try table.register("id").access == .readOnly)
        #expect(try table.register("id").isBigEndian)
        #expect(try table.field("control/start").kind == .writeOnly)
        #expect(try table.field("control/irq").write == .oneToClear)
        #expect(table.expected(try table.field("control/mode")) == "one of slow (0), fast (1)")
        #expect(table.expected(try table.field("control/level")) == "2 to 9")
    }

    @Test func `a number is decimal, hexadecimal or binary, in each format's own way`() {
        let good: [(String, UInt64)] = [
            ("0", 0), ("010", 10), ("0x1F", 31), ("0X1f", 31), ("#101", 5), ("#1x1", 5),
            ("0b11", 3), ("4k", 4096), ("1M", 1 << 20), ("'hFF", 255), ("16'h1_0", 16),
            ("8'b101", 5), ("'d12", 12), (" 7 ", 7), ("+3", 3), ("0xFFFFFFFFFFFFFFFF", .max),
        ]
        for (text, value) in good { #expect(MapNumber.parse(text) == value, "\(text)") }
        let bad = [
            "", "x", "0x", "-1", "1.5", "0x10000000000000000", "99999999999999999999", "#2",
            "'q1", "18446744073709551615k", "0x+1", "--1", "'h", "a'h1",
        ]
        for text in bad { #expect(MapNumber.parse(text) == nil, "\(text)") }
    }
}
