import SystemPackage
import Testing

@testable import DevFS

@Suite("the table of registers", .timeLimit(.minutes(2)))
struct RegisterTableTests {
    /// A system on a chip: peripherals, registers, and fields with their own words.
    private static func large(_ peripherals: Int, _ registers: Int, _ fields: Int) -> RegisterMap {
        var map = RegisterMap(path: "large")
        for peripheral in 0..<peripherals {
            var block = RegisterBlock(name: "PERIPHERAL\(peripheral)")
            block.offset = UInt64(peripheral * 0x1000)
            for number in 0..<registers {
                var register = Register(
                    name: "REGISTER\(number)", offset: UInt64(number * 4), width: 4)
                register.summary = "Register \(number) of peripheral \(peripheral)"
                for bit in 0..<fields {
                    var field = RegisterField(name: "FIELD\(bit)", lowest: UInt64(bit), width: 1)
                    field.summary = "Bit \(bit) of register \(number) of unit \(peripheral), says"
                    register.fields.append(field)
                }
                block.registers.append(register)
            }
            map.top.blocks.append(block)
        }
        return map
    }

    private static func table(_ map: RegisterMap) throws -> RegisterTable {
        try RegisterTableBuilder.table(of: [.init(map: map, port: 0, offset: 0, size: nil)])
    }

    /// "10,000 registers with 100,000 fields: under 100 bytes a field"
    @Test func `100,000 fields take less than 100 bytes each, all that is kept of them`() throws {
        let table = try Self.table(Self.large(100, 100, 10))
        #expect(table.fields.count == 100_000)
        let each = Double(table.bytes) / 100_000
        #expect(each < 100, "\(each) bytes")
    }

    @Test func `fields of registers that are alike are there once`() throws {
        var map = Self.large(1, 1, 10)
        let register = map.top.blocks[0].registers[0]
        for number in 1..<1000 {
            var other = register
            other.name = "R\(number)"
            other.offset = UInt64(4 * number)
            map.top.blocks[0].registers.append(other)
        }
        let table = try Self.table(map)
        #expect(table.fields.count == 10 && table.paths.count == 1000)
    }

    @Test func `each entry is found by its path and by its number, and has the same number again`()
        throws
    {
        let table = try Self.table(Self.large(7, 13, 5))
        let again = try Self.table(Self.large(7, 13, 5))
        var seen: Set<UInt32> = []
        func walk(_ entry: RegisterTable.Entry) {
            let number = table.number(of: entry)
            #expect(seen.insert(number).inserted)
            #expect(table.entry(number) == entry)
            let path = table.path(of: entry)
            #expect(again.at(path).map { again.number(of: $0) } == number, "\(path)")
            for (name, below) in table.list(entry) {
                #expect(table.find(name, in: entry) == below)
                #expect(table.parent(of: below) == entry)
                walk(below)
            }
        }
        walk(.block(0))
        #expect(seen.count == 1 + 7 + 7 * 13 * (3 + 5))
        for number in [UInt32(seen.count), .max] { #expect(table.entry(number) == nil) }
        for name in ["", "A", "zzz", "PERIPHERAL", "PERIPHERAL00"] {
            #expect(table.find(name, in: .block(0)) == nil)
        }
    }

    @Test func `more than a million registers and fields are refused`() {
        var map = Self.large(1, 1, 32)
        map.top.blocks = [RegisterBlock](repeating: map.top.blocks[0], count: 40_000)
        #expect(throws: SetupError.self) { try Self.table(map) }
    }

    @Test func `maps of several files stand side by side, each at its own place`() throws {
        let (first, second) = (Self.large(1, 1, 1), Self.large(1, 1, 1))
        let table = try RegisterTableBuilder.table(of: [
            .init(map: first, port: 0, offset: 0, size: 16),
            .init(map: second, port: 1, offset: 0x100, size: 0x200),
        ])
        #expect(table.paths == ["PERIPHERAL0-2/REGISTER0", "PERIPHERAL0/REGISTER0"])
        #expect(try table.register("PERIPHERAL0-2/REGISTER0").offset == 0x100)
        #expect(try table.register("PERIPHERAL0-2/REGISTER0").port == 1)
    }

    /// "So is one that shares bytes with such a register"
    @Test func `who shares bytes with a register whose read has an effect has the effect`() throws {
        let table = try registerTable(
            """
            registers:
            - {name: dll, offset: 0, width: 8}
            - {name: rbr, offset: 0, width: 8, access: ro, read_effect: true}
            - {name: ier, offset: 1, width: 8}
            - {name: both, offset: 0, width: 16}
            - {name: before, offset: 8, width: 32}
            - {name: word, offset: 12, width: 32}
            - {name: half, offset: 14, width: 16, fields: [{name: f, bits: 3, read_effect: true}]}
            - {name: low, offset: 12, width: 16}
            - {name: behind, offset: 16, width: 32}
            blocks:
            - {name: b, offset: 15, registers: [{name: byte, offset: 0, width: 8}]}
            """)
        let touched = table.items.indices.filter { table.items[$0].readHasEffect }
        #expect(
            Set(touched.map { table.path(of: .register($0)) })
                == ["dll", "rbr", "both", "word", "half", "b/byte"])
    }

    @Test func `a read effect is that of one port, also in another map of it`() throws {
        var (effect, plain) = (RegisterMap(path: "effect"), RegisterMap(path: "plain"))
        plain.top.registers = [Register(name: "r", offset: 0, width: 4)]
        effect.top.registers = plain.top.registers
        effect.top.registers[0].name = "e"
        effect.top.registers[0].readHasEffect = true
        let table = try RegisterTableBuilder.table(of: [
            .init(map: plain, port: 0, offset: 0, size: nil),
            .init(map: plain, port: 1, offset: 0, size: nil),
            .init(map: effect, port: 1, offset: 0, size: nil),
        ])
        let touched = table.items.filter(\.readHasEffect)
        #expect(touched.count == 2 && touched.allSatisfy { $0.port == 1 })
    }

    @Test func `the length of info is that of its text`() throws {
        let table = try registerTable(
            """
            registers:
            - {name: plain, offset: 0}
            - name: all
              offset: 8
              width: 64
              write: 1c
              reset: 0x12
              read_effect: true
              description: Größe
              fields:
              - {name: a, bits: 63:60, values: {slow: 0, 'a b': 1, ten: 10}, description: "ä - b"}
              - {name: b, bits: 40, write: clear, access: wo, read_effect: true}
              - {name: c, bits: 3:0, range: 1-9, values: {one: 1}, only: true}
            """)
        for item in table.items.indices where table.items[item].isRegister {
            let text = table.info(of: item, region: "bar0")
            #expect(table.infoLength(of: item, region: "bar0") == text.utf8.count, "\(text)")
        }
        let text = table.info(of: table.items.count - 2, region: "bar0")
        #expect(text.contains("field a 63:60 read-write write=oneToClear values=slow:0,"))
        #expect(text.contains(",a_b:1,ten:10 - "))
        #expect(text.contains(" - ä - b\n"))
    }

    /// "An offset is added to the map's addresses, and can be negative"
    @Test func `an offset below zero brings absolute addresses into the region`() throws {
        var map = Self.large(1, 2, 1)
        map.top.blocks[0].offset = 0xf000_0000
        let table = try RegisterTableBuilder.table(of: [
            .init(map: map, port: 0, offset: 0 &- 0xf000_0000, size: 8)
        ])
        #expect(try table.register("PERIPHERAL0/REGISTER1").offset == 4)
    }
}
