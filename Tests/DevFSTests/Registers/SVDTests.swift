import SystemPackage
import Testing

@testable import DevFS

/// Written for these tests in the dialects of public files, whose quirks each have a test.
@Suite("CMSIS-SVD", .timeLimit(.minutes(1)))
struct SVDTests {
    /// As the files of STM32 are: `bitOffset`, registers derived from others, arrays by `%s`.
    private static let stm32 = svd(
        """
        <peripheral><name>GPIOA</name><description>General-purpose
              I/Os</description><groupName>GPIO</groupName><baseAddress>0x48000000</baseAddress>
          <addressBlock><offset>0x0</offset><size>0x400</size><usage>registers</usage></addressBlock>
          <interrupt><name>EXTI0</name><description>x</description><value>6</value></interrupt>
          <registers>
            <register><name>MODER</name><displayName>MODER</displayName>
              <description>port mode register</description><addressOffset>0x0</addressOffset>
              <size>0x20</size><access>read-write</access><resetValue>0xA8000000</resetValue>
              <fields><field><name>MODER0</name><description>Port x configuration bits
                 (y = 0..15)</description><bitOffset>0</bitOffset><bitWidth>2</bitWidth>
                <enumeratedValues><name>MODE</name>
                  <enumeratedValue><name>Input</name><description>in</description>
                    <value>0</value></enumeratedValue>
                  <enumeratedValue><name>Output</name><value>0x1</value></enumeratedValue>
                  <enumeratedValue><name>Analog</name><value>#11</value></enumeratedValue>
                </enumeratedValues></field>
              <field><name>MODER1</name><bitOffset>2</bitOffset><bitWidth>2</bitWidth>
                <enumeratedValues derivedFrom="MODE"/></field></fields></register>
            <register><name>BSRR</name><addressOffset>0x18</addressOffset><size>0x20</size>
              <access>write-only</access><resetValue>0x0</resetValue><fields>
              <field><name>BS%s</name><dim>16</dim><dimIncrement>1</dimIncrement>
                <bitOffset>0</bitOffset><bitWidth>1</bitWidth></field></fields></register>
          </registers></peripheral>
        <peripheral derivedFrom="GPIOA"><name>GPIOB</name><baseAddress>0x48000400</baseAddress>
        </peripheral>
        """, device: "<addressUnitBits>8</addressUnitBits><width>32</width>")

    @Test func `the dialect of STM32: derived peripherals, values by name, binary values`() throws {
        let table = try registerTable(Self.stm32)
        #expect(table.paths == ["GPIOA/BSRR", "GPIOA/MODER", "GPIOB/BSRR", "GPIOB/MODER"])
        let moder = try table.register("GPIOB/MODER")
        #expect(moder.offset == 0x4800_0400 && moder.width == 4)
        #expect(moder.knownReset == 0xa800_0000)
        #expect(try table.names("GPIOA/MODER/MODER0") == ["Input:0", "Output:1", "Analog:3"])
        #expect(try table.names("GPIOB/MODER/MODER1") == ["Input:0", "Output:1", "Analog:3"])
        let text = table.text(try table.field("GPIOA/MODER/MODER0").summary)
        #expect(text == "Port x configuration bits (y = 0..15)")
        let last = try table.field("GPIOA/BSRR/BS15")
        #expect(last.lowest == 15 && last.width == 1 && last.kind == .writeOnly)
        #expect(table.warnings == [])
    }

    /// As the files of nRF are: `lsb` and `msb`, clusters, properties of the device inherited.
    private static let nrf = svd(
        """
        <peripheral><name>TIMER0</name><baseAddress>0x40008000</baseAddress>
          <headerStructName>TIMER</headerStructName><registers>
          <register><dim>2</dim><dimIncrement>4</dimIncrement><name>TASKS_CAPTURE[%s]</name>
            <description>Capture to CC[n]</description><addressOffset>0x040</addressOffset>
            <access>write-only</access><fields><field><name>TASK</name><lsb>0</lsb><msb>0</msb>
            <enumeratedValues><enumeratedValue><name>Trigger</name><value>1</value>
            </enumeratedValue></enumeratedValues></field></fields></register>
          <register><name>INTENCLR</name><addressOffset>0x308</addressOffset>
            <access>read-write</access><fields><field><name>COMPARE0</name><lsb>16</lsb>
            <msb>16</msb><modifiedWriteValues>oneToClear</modifiedWriteValues>
            <enumeratedValues><name>R</name><usage>read</usage><enumeratedValue>
            <name>Disabled</name><value>0</value></enumeratedValue><enumeratedValue>
            <name>Enabled</name><value>1</value></enumeratedValue></enumeratedValues>
            <enumeratedValues><name>W</name><usage>write</usage><enumeratedValue>
            <name>Clear</name><value>1</value></enumeratedValue></enumeratedValues>
            </field></fields></register>
          <cluster><dim>2</dim><dimIncrement>0x10</dimIncrement><name>CH[%s]</name>
            <addressOffset>0x510</addressOffset>
            <register><name>EEP</name><addressOffset>0x000</addressOffset></register>
            <cluster><name>SUB</name><addressOffset>8</addressOffset>
            <register><name>TEP</name><addressOffset>0x004</addressOffset></register></cluster>
          </cluster></registers></peripheral>
        """, device: "<size>32</size><access>read-write</access><resetValue>0x7</resetValue>")

    @Test func `the dialect of nRF: lsb and msb, arrays in brackets, clusters in clusters`() throws
    {
        let table = try registerTable(Self.nrf)
        #expect(
            table.paths == [
                "TIMER0/CH0/EEP", "TIMER0/CH0/SUB/TEP", "TIMER0/CH1/EEP", "TIMER0/CH1/SUB/TEP",
                "TIMER0/INTENCLR", "TIMER0/TASKS_CAPTURE0", "TIMER0/TASKS_CAPTURE1",
            ])
        #expect(try table.register("TIMER0/CH1/SUB/TEP").offset == 0x4000_852c)
        #expect(try table.register("TIMER0/CH1/SUB/TEP").knownReset == 7)
        #expect(try table.register("TIMER0/TASKS_CAPTURE1").offset == 0x4000_8044)
        #expect(try table.field("TIMER0/INTENCLR/COMPARE0").write == .oneToClear)
        #expect(
            try table.names("TIMER0/INTENCLR/COMPARE0") == ["Disabled:0", "Enabled:1", "Clear:1"])
    }

    /// "a name that is for reads alone is none that can be written"
    @Test func `names of values are for reads, for writes or for both, as usage says`() throws {
        func set(_ usage: String, _ values: String...) -> String {
            let items = values.map {
                let parts = $0.split(separator: "=")
                return "<enumeratedValue><name>\(parts[0])</name><value>\(parts[1])</value>"
                    + "</enumeratedValue>"
            }.joined()
            return "<enumeratedValues>\(usage)\(items)</enumeratedValues>"
        }
        let (read, write) = ("<usage>read</usage>", "<usage>write</usage>")
        let both = "<usage>read-write</usage>"
        func field(_ name: String, _ bits: String, _ sets: String...) -> String {
            "<field><name>\(name)</name><bitRange>\(bits)</bitRange>\(sets.joined())</field>"
        }
        let table = try registerTable(
            svd(
                registers: "<register><name>R</name><addressOffset>0</addressOffset><fields>"
                    + field("S", "[0:0]", set(read, "Off=0", "On=1"), set(write, "Set=1"))
                    + field("B", "[3:2]", set(both, "x=1"), set(read, "y=1", "z=2"))
                    + field("T", "[5:4]", set(read, "a=1", "b=2"), set(write, "a=1", "b=3"))
                    + "</fields></register>"))
        let one = try table.field("P/R/S")
        #expect(table.text(0, of: one) == "0 Off" && table.text(1, of: one) == "1 On")
        #expect(try table.parse("Set", for: one) == 1)
        #expect(try table.parse("1 On", for: one) == 1, "as a read shows it")
        do throws(Refusal) {
            _ = try table.parse("Off", for: one)
            Issue.record("a name that is only read was taken")
        } catch {
            #expect(error.errno == .invalidArgument)
            #expect(
                error.why
                    == "Off is no number, and no name that can be written: 0 to 1, or Set (1)")
        }
        #expect(table.length(of: one) == "0 Off\n".utf8.count)
        #expect(try table.names("P/R/B") == ["x:1", "z:2"])
        let same = try table.field("P/R/T")
        #expect(table.text(1, of: same) == "1 a" && table.text(2, of: same) == "2 b")
        #expect(try table.parse("a", for: same) == 1)
        #expect(try table.parse("b", for: same) == 3)
        guard case .register(let item)? = table.at("P/R") else { throw Errno.noSuchProcess }
        let info = table.info(of: item, region: "bar0")
        #expect(info.contains("field S 0:0 read-write read_values=Off:0,On:1 write_values=Set:1\n"))
        #expect(info.contains(" values=a:1 read_values=b:2 write_values=b:3\n"))
        #expect(table.infoLength(of: item, region: "bar0") == info.utf8.count)
    }

    @Test func `an array is derived with its elements, and one of them is derived alone`() throws {
        func item(_ tag: String, _ name: String, _ from: String, _ offset: Int, _ more: String)
            -> String
        {
            "<\(tag) derivedFrom=\"\(from)\"><name>\(name)</name>"
                + "<addressOffset>\(offset)</addressOffset>\(more)</\(tag)>"
        }
        let array = "<dim>2</dim><dimIncrement>8</dimIncrement><dimIndex>x,y</dimIndex>"
        let plain = "<dim>2</dim><dimIncrement>8</dimIncrement>"
        func register(_ name: String, _ more: String) -> String {
            "<register>\(more)<name>\(name)</name><addressOffset>0</addressOffset>"
                + "<size>16</size></register>"
        }
        let table = try registerTable(
            svd(
                registers: register("A[%s]", array) + register("N%s", plain)
                    + item("register", "B%s", "A[%s]", 0x40, "")
                    + item("register", "C", "Ay", 0x60, "")
                    + item("register", "D%s", "A[%s]", 0x80, "<dim>3</dim>")
                    + item("register", "E%s", "P.N1", 0xa0, "")
                    + item("register", "F", "P.N1", 0xb0, "")
                    + "<cluster>\(plain)<name>J%s</name><addressOffset>0x100</addressOffset>"
                    + register("R", "") + "</cluster>" + item("cluster", "K%s", "J%s", 0x200, "")))
        #expect(
            table.paths == [
                "P/Ax", "P/Ay", "P/Bx", "P/By", "P/C", "P/D0", "P/D1", "P/D2", "P/F", "P/J0/R",
                "P/J1/R", "P/K0/R", "P/K1/R", "P/N0", "P/N1",
            ])
        #expect(try table.register("P/By").offset == 0x48 && table.register("P/By").width == 2)
        #expect(try table.register("P/D2").offset == 0x90)
        #expect(try table.register("P/K1/R").offset == 0x208)
        #expect(try table.register("P/F").width == 2)
        #expect(
            table.warnings == [
                "map: P/E%s: %s is for the elements of an array, and stands where there is none: "
                    + "left out"
            ])
        #expect(
            fault(svd(registers: register("N%s", plain) + item("register", "B", "N2", 0, "")))?
                .contains("B derives from N2, which is not there") == true)
    }

    @Test func `a value that does not fit its field, and a reset its register, are left out`()
        throws
    {
        let table = try registerTable(
            svd(
                registers: """
                    <register><name>R</name><addressOffset>0</addressOffset><size>8</size>
                    <resetValue>0x1ff</resetValue><fields><field><name>F</name>
                    <bitRange>[1:0]</bitRange><enumeratedValues>
                    <enumeratedValue><name>a</name><value>3</value></enumeratedValue>
                    <enumeratedValue><name>b</name><value>4</value></enumeratedValue>
                    </enumeratedValues></field></fields></register>
                    <register><name>S</name><addressOffset>1</addressOffset><size>8</size></register>
                    """, device: "<resetValue>0xfff</resetValue>"))
        #expect(try table.names("P/R/F") == ["a:3"])
        #expect(try table.register("P/R").knownReset == nil)
        #expect(try table.register("P/S").knownReset == 0xff, "one from above is cut")
        #expect(
            table.warnings.map { $0.split(separator: ": ").dropFirst().joined(separator: ": ") }
                == [
                    "b: value '4' does not fit the field: left out",
                    "R: its reset does not fit the register: left out",
                ])
    }

    /// As LiteX exports it: `bitRange` beside `lsb` and `msb`, CDATA, registers of one byte.
    @Test func `the dialect of LiteX: bitRange, CDATA, names by case`() throws {
        let table = try registerTable(
            svd(
                """
                <peripheral><name>UART</name><baseAddress>0xF0001000</baseAddress><registers>
                <register><name>RXTX</name><description><![CDATA[Data & <more>]]></description>
                <addressOffset>0x0000</addressOffset><resetValue>0x00</resetValue><size>8</size>
                <fields><field><name>rxtx</name><msb>7</msb><bitRange>[7:0]</bitRange><lsb>0</lsb>
                <description><![CDATA[]]></description></field></fields></register>
                </registers></peripheral>
                """))
        let register = try table.register("UART/RXTX")
        #expect(register.width == 1 && table.text(register.summary) == "Data & <more>")
        #expect(try table.field("UART/RXTX/rxtx").width == 8)
    }

    @Test func `all that a field can say is kept`() throws {
        let table = try registerTable(
            svd(
                registers: """
                    <register><name>R</name><addressOffset>0</addressOffset><size>16</size>
                    <readAction>clear</readAction><fields>
                    <field><name>A</name><bitRange>[3:0]</bitRange><access>read-writeOnce</access>
                    <writeConstraint><range><minimum>1</minimum><maximum>0x9</maximum></range>
                    </writeConstraint></field>
                    <field><name>B</name><bitRange>[4:4]</bitRange>
                    <modifiedWriteValues>zeroToToggle</modifiedWriteValues>
                    <readAction>modify</readAction></field>
                    <field><name>C</name><lsb>9</lsb><msb>8</msb><enumeratedValues>
                    <enumeratedValue><name>x y</name><value>0b10</value></enumeratedValue>
                    <enumeratedValue><name>other</name><isDefault>true</isDefault></enumeratedValue>
                    <enumeratedValue><name>any</name><value>#1x</value></enumeratedValue>
                    </enumeratedValues><writeConstraint><useEnumeratedValues>true
                    </useEnumeratedValues></writeConstraint></field>
                    <field><name>D</name><bitOffset>12</bitOffset><writeConstraint>
                    <writeAsRead>true</writeAsRead></writeConstraint></field>
                    </fields></register>
                    """))
        let register = try table.register("P/R")
        #expect(register.width == 2 && register.readHasEffect)
        let (a, b) = (try table.field("P/R/A"), try table.field("P/R/B"))
        #expect(a.kind == .readWriteOnce && table.expected(a) == "1 to 9")
        #expect(b.write == .zeroToToggle && b.readHasEffect && !a.readHasEffect)
        let c = try table.field("P/R/C")
        #expect(c.lowest == 8 && c.width == 2 && table.expected(c) == "one of x_y (2)")
        #expect(try table.field("P/R/D").kind == .readOnly)
    }

    @Test func `a register or a field derives from another one, by name or by path`() throws {
        let table = try registerTable(
            svd(
                """
                <peripheral><name>P</name><baseAddress>0</baseAddress><registers>
                <register derivedFrom="B"><name>A</name><addressOffset>0</addressOffset></register>
                <register><name>B</name><addressOffset>4</addressOffset><size>16</size><fields>
                <field><name>F</name><bitRange>[1:0]</bitRange></field></fields></register>
                </registers></peripheral>
                <peripheral><name>Q</name><baseAddress>0x100</baseAddress><registers>
                <register derivedFrom="P.B"><name>C</name><addressOffset>0</addressOffset><fields>
                <field derivedFrom="P.B.F"><name>G</name><bitOffset>4</bitOffset></field>
                </fields></register></registers></peripheral>
                """))
        #expect(try table.register("P/A").width == 2)
        #expect(try table.field("P/A/F").width == 2)
        #expect(try table.register("Q/C").offset == 0x100)
        #expect(try table.field("Q/C/F").width == 2 && table.field("Q/C/G").lowest == 4)
    }

    @Test func `names of an array's elements come from its index, in each form`() throws {
        func names(_ index: String, _ count: Int, _ name: String = "R%s") throws -> [String] {
            try registerTable(
                svd(
                    registers: """
                        <register><dim>\(count)</dim><dimIncrement>4</dimIncrement>\(index)
                        <name>\(name)</name><addressOffset>0</addressOffset></register>
                        """)
            ).paths
        }
        #expect(try names("", 2) == ["P/R0", "P/R1"])
        #expect(try names("<dimIndex>3-4</dimIndex>", 2) == ["P/R3", "P/R4"])
        #expect(try names("<dimIndex>A-B</dimIndex>", 2) == ["P/RA", "P/RB"])
        #expect(try names("<dimIndex>x, y</dimIndex>", 2) == ["P/Rx", "P/Ry"])
        #expect(try names("", 2, "C%s_D") == ["P/C0_D", "P/C1_D"])
        #expect(try names("", 2, "plain") == ["P/plain0", "P/plain1"])
    }

    @Test func `the byte order is the processor's`() throws {
        let register = "<register><name>R</name><addressOffset>0</addressOffset></register>"
        let big = "<cpu><name>X</name><endian>big</endian></cpu>"
        #expect(
            try registerTable(svd(registers: register, device: big)).register("P/R").isBigEndian)
        #expect(try !registerTable(svd(registers: register)).register("P/R").isBigEndian)
    }
}
