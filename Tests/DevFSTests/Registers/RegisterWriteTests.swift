import SystemPackage
import Testing

@testable import DevFS

/// What is written to a register when one of its fields is.
@Suite("a write of a field", .timeLimit(.minutes(1)))
struct RegisterWriteTests {
    /// Field `f` in bits 3:0, a second one in bits 7:4, nothing above.
    private func plan(
        _ value: UInt64, beside other: String, reset: String? = nil, readEffect: Bool = false,
        wasWritten: Bool = false, allows: Bool = false, own: String = "", width: Int = 8
    ) throws -> RegisterWrite {
        let table = try registerTable(
            """
            registers:
            - name: r
              offset: 0
              width: \(width)
              read_effect: \(readEffect)
            \(reset.map { "  reset: \($0)" } ?? "  # no reset")
              fields:
              - {name: f, bits: 3:0\(own)}
              - {name: o, bits: 7:4, \(other)}
            """)
        let item = try table.register("r")
        let fields = Array(table.fields(of: 1))
        return try RegisterWrite.plan(
            value, to: 0, of: item, fields, wasWritten: wasWritten, allowsReadEffects: allows,
            name: { table.text($0.name) })
    }

    private func errno(_ body: () throws -> RegisterWrite) -> Errno? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? Refusal)?.errno
        }
    }

    @Test func `another field is written as it is read`() throws {
        let write = try plan(5, beside: "access: rw")
        #expect(write == RegisterWrite(kept: 0xf0, bits: 5) && write.word(0xa9) == 0xa5)
        #expect(try plan(5, beside: "access: ro").word(0xa9) == 0xa5)
    }

    @Test func `bits without a field are written as they are read`() throws {
        #expect(try plan(5, beside: "access: rw", width: 16).word(0xbea9) == 0xbea5)
    }

    /// Field `f` of a register that has an effect of its own; what is written to `f` is its value.
    private func plan(
        _ effect: WriteEffect, width: UInt64 = 4, access: RegisterAccess = .readWrite
    ) throws -> RegisterWrite {
        var map = RegisterMap(path: "map")
        var register = Register(name: "r", offset: 0, width: 1)
        (register.effect, register.access) = (effect, access)
        register.fields = [RegisterField(name: "f", lowest: 0, width: width)]
        map.top.registers = [register]
        let table = try RegisterTableBuilder.table(of: [
            .init(map: map, port: 0, offset: 0, size: nil)
        ])
        return try RegisterWrite.plan(
            5, to: 0, of: try table.register("r"), Array(table.fields(of: 1)), wasWritten: false,
            allowsReadEffects: false, name: { table.text($0.name) })
    }

    /// "as one with the `write` of the register"
    @Test func `bits without a field stay as they are by the register's own effect`() throws {
        for effect in [WriteEffect.oneToClear, .oneToSet, .oneToToggle] {
            #expect(try plan(effect) == RegisterWrite(kept: 0, bits: 5), "\(effect)")
        }
        for effect in [WriteEffect.zeroToClear, .zeroToSet, .zeroToToggle] {
            #expect(try plan(effect) == RegisterWrite(kept: 0, bits: 0xf5), "\(effect)")
        }
        for effect in [WriteEffect.clear, .set] {
            #expect(errno { try plan(effect) } == .notPermitted, "\(effect)")
            #expect(try plan(effect, width: 8).bits == 5, "all are in the field")
        }
        #expect(try plan(.oneToClear, access: .readOnly) == RegisterWrite(kept: 0xf0, bits: 5))
    }

    @Test(arguments: ["1c", "1s", "1t"])
    func `a field that acts on ones gets zeros`(effect: String) throws {
        #expect(try plan(5, beside: "write: \(effect)") == RegisterWrite(kept: 0, bits: 5))
    }

    @Test(arguments: ["0c", "0s", "0t"])
    func `a field that acts on zeros gets ones`(effect: String) throws {
        #expect(try plan(5, beside: "write: \(effect)") == RegisterWrite(kept: 0, bits: 0xf5))
    }

    @Test(arguments: ["clear", "set"])
    func `where any write acts on another field it is EPERM`(effect: String) {
        #expect(errno { try plan(5, beside: "write: \(effect)") } == .notPermitted)
    }

    @Test func `a field that is only written gets what it has after a reset`() throws {
        #expect(
            try plan(5, beside: "access: wo", reset: "0x60") == RegisterWrite(kept: 0, bits: 0x65))
        #expect(try plan(5, beside: "access: wo") == RegisterWrite(kept: 0, bits: 5))
    }

    @Test func `what takes one write is not written by the way`() throws {
        #expect(errno { try plan(5, beside: "access: rw1") } == .notPermitted)
        #expect(errno { try plan(5, beside: "access: w1") } == .notPermitted)
        let later = try plan(5, beside: "access: rw1", wasWritten: true)
        #expect(later == RegisterWrite(kept: 0, bits: 5))
        #expect(try plan(5, beside: "access: rw", own: ", access: rw1").bits == 5)
        #expect(
            errno { try plan(5, beside: "access: rw", wasWritten: true, own: ", access: rw1") }
                == .notPermitted)
    }

    @Test func `a register is not read where that has an effect, unless it is allowed`() throws {
        #expect(errno { try plan(5, beside: "access: rw", readEffect: true) } == .permissionDenied)
        #expect(try plan(5, beside: "access: rw", readEffect: true, allows: true).kept == 0xf0)
        // Nothing has to be read.
        #expect(try plan(5, beside: "write: 1c", readEffect: true).kept == 0)
    }

    @Test func `of a register that is only written nothing is read`() throws {
        let table = try registerTable(
            """
            registers:
            - {name: r, offset: 0, width: 16, access: wo, reset: 0x1234, fields: [{name: f, bits: 3:0}]}
            """)
        let write = try RegisterWrite.plan(
            5, to: 0, of: try table.register("r"), Array(table.fields(of: 1)), wasWritten: false,
            allowsReadEffects: false, name: { table.text($0.name) })
        #expect(write == RegisterWrite(kept: 0, bits: 0x1235))
    }
}
