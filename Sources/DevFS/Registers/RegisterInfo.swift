/// What a register is: its `info`. No register is read for it.
///
/// The text is made when it is read; anyone may ask for its length alone, as often as he likes.
extension RegisterTable {
    /// A part of the text, of which the length is known before it is made.
    private enum Piece {
        case words(String)
        /// A text of the table.
        case text(UInt32)
        /// The names of a field's values of one use.
        case names(Field, ValueUse)
    }

    func info(of item: Int, region: String) -> String {
        var whole = ""
        describe(item, region) { piece in
            switch piece {
            case .words(let words): whole += words
            case .text(let place): whole += text(place)
            case .names(let field, let use):
                let names = names(of: field).filter { $0.use == use }
                    .map { Self.listed(text($0.name), $0.value) }
                whole += names.joined(separator: ",")
            }
        }
        return whole
    }

    /// Bytes of `info`.
    func infoLength(of item: Int, region: String) -> Int {
        var length = 0
        describe(item, region) { piece in
            switch piece {
            case .words(let words): length += words.utf8.count
            case .text(let place): length += self.length(ofText: place)
            case .names(let field, let use):
                length += Int(sets[Int(field.set)].lengths[use])
            }
        }
        return length
    }

    /// A value with its name in a list of them.
    static func listed(_ name: String, _ value: UInt64) -> String { "\(name):\(value)" }

    private func describe(_ item: Int, _ region: String, _ add: (Piece) -> Void) {
        let register = items[item]
        let fields = fields(of: item)
        func line(_ text: String) { add(.words(text + "\n")) }
        line("region \(region)")
        line("offset 0x\(String(register.offset, radix: 16))")
        line(
            "width \(Int(register.width) * 8)"
                + (register.words > 1 ? " words=\(register.words)" : ""))
        line("access \(register.access.word)")
        if register.effect != 0 { line("write \(register.write.rawValue)") }
        if register.hasReadEffect(fields) { line("read_effect yes") }
        if let reset = register.knownReset {
            line("reset \(Self.hex(reset, digits: register.digits))")
        }
        if length(ofText: register.summary) > 0 {
            add(.words("description "))
            add(.text(register.summary))
            add(.words("\n"))
        }
        for field in fields.sorted(by: { $0.lowest < $1.lowest }) { describe(field, add) }
    }

    private static func listName(_ use: ValueUse, isNamedOnly: Bool) -> String {
        switch use {
        case .both: isNamedOnly ? "only" : "values"
        case .read: "read_values"
        case .write: isNamedOnly ? "only_write" : "write_values"
        }
    }

    /// `field NAME HIGH:LOW ACCESS [WORD=...]... [- DESCRIPTION]`
    private func describe(_ field: Field, _ add: (Piece) -> Void) {
        let high = Int(field.lowest) + Int(field.width) - 1
        add(.words("field "))
        add(.text(field.name))
        add(.words(" \(high):\(field.lowest) \(field.kind.word)"))
        if field.write != .none { add(.words(" write=\(field.write.rawValue)")) }
        if field.readHasEffect { add(.words(" read_effect")) }
        let set = sets[Int(field.set)]
        if set.least > 0 || set.most < field.most {
            add(.words(" range=\(set.least)-\(set.most)"))
        }
        for use in ValueUse.allCases where set.lengths[use] > 0 {
            add(.words(" \(Self.listName(use, isNamedOnly: set.isNamedOnly))="))
            add(.names(field, use))
        }
        if length(ofText: field.summary) > 0 {
            add(.words(" - "))
            add(.text(field.summary))
        }
        add(.words("\n"))
    }
}
