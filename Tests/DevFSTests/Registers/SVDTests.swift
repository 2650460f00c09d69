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
            try table.names("TIMER0/INTENCLR/COMPARE0") == ["Disabled:0", "Enabled:1"])
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
