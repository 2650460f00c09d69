/// Values as the files of `registers/` show and take them.
extension RegisterTable {
    /// All digits, as hexadecimal.
    static func hex(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 16)
        return "0x" + String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }

    /// A field of up to 8 bits is decimal, a wider one hexadecimal.
    func number(_ value: UInt64, of field: Field) -> String {
        field.width <= 8 ? "\(value)" : Self.hex(value, digits: (Int(field.width) + 3) / 4)
    }

    func names(of field: Field) -> ArraySlice<Named> {
        let set = sets[Int(field.set)]
        return values[Int(set.first)..<Int(set.first + set.count)]
    }

    /// The number, and the name where it has one.
    func text(_ value: UInt64, of field: Field) -> String {
        let name = names(of: field).first { $0.value == value && $0.use.reads }
        return number(value, of: field) + (name.map { " " + text($0.name) } ?? "")
    }

    /// Bytes of the longest text of a field, with its newline.
    func length(of field: Field) -> Int {
        let name = names(of: field).filter(\.use.reads).map { text($0.name).utf8.count }.max()
        return number(field.most, of: field).utf8.count + (name.map { $0 + 1 } ?? 0) + 1
    }

    /// What is written to a field: a number, a name, or both as a read shows them. What is a number is
    /// no name, so that a number means the same whatever values are called.
    func parse(_ line: Substring, for field: Field) throws(Refusal) -> UInt64 {
        let words = line.split { $0 == " " || $0 == "\t" }
        guard let first = words.first, words.count <= 2 else {
            throw .invalid("one value: \(expected(field))")
        }
        let names = names(of: field)
        let known = names.first { $0.use.writes && text($0.name) == first }
        guard let number = Number.plain(first) ?? known?.value else {
            let nor = names.isEmpty ? "" : ", and no name that can be written"
            throw .invalid("\(first) is no number\(nor): \(expected(field))")
        }
        if words.count == 2,
            !names.contains(where: { $0.value == number && text($0.name) == words[1] })
        {
            throw .invalid("\(words[1]) is not the name of \(words[0]): \(expected(field))")
        }
        let set = sets[Int(field.set)]
        let isNamed = !set.isNamedOnly || names.contains { $0.value == number && $0.use.writes }
        guard number <= field.most, set.least <= number, number <= set.most, isNamed else {
            throw .invalid("\(number) is out of range: \(expected(field))")
        }
        return number
    }

    /// What a field takes.
    func expected(_ field: Field) -> String {
        let set = sets[Int(field.set)]
        let names = names(of: field).filter(\.use.writes).prefix(16)
            .map { "\(text($0.name)) (\($0.value))" }
        let list = names.isEmpty ? "" : names.joined(separator: ", ")
        if set.isNamedOnly { return "one of \(list)" }
        let most = min(set.most, field.most)
        return "\(set.least) to \(most)" + (list.isEmpty ? "" : ", or \(list)")
    }

    /// What is written to a whole register.
    static func parse(_ line: Substring, for register: Item) throws(Refusal) -> UInt64 {
        let words = line.split { $0 == " " || $0 == "\t" }
        let range = "0 to \(hex(register.bits, digits: register.digits))"
        guard words.count == 1 else { throw .invalid("one value: \(range)") }
        guard let number = Number.plain(words[0]) else {
            throw .invalid("\(words[0]) is no number: \(range)")
        }
        guard number <= register.bits else {
            throw .invalid("\(words[0]) is out of range: \(range)")
        }
        return number
    }
}
