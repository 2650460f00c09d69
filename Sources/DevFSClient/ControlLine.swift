/// One line of a control file: a name, a word or two, and `KEY=VALUE` pairs.
package struct ControlLine {
    package let name: String
    /// What stands between the name and the pairs.
    package let words: [String]
    package let values: [String: String]

    package init?(_ line: Substring) {
        let fields = line.split(separator: " ")
        guard let first = fields.first else { return nil }
        name = String(first)
        var words: [String] = []
        var values: [String: String] = [:]
        for field in fields.dropFirst() {
            if let equals = field.firstIndex(of: "=") {
                values[String(field[..<equals])] = String(field[field.index(after: equals)...])
            } else {
                words.append(String(field))
            }
        }
        self.words = words
        self.values = values
    }

    package func text(_ key: String) -> String { values[key] ?? "" }
    package func number(_ key: String) -> UInt64? { values[key].flatMap { UInt64($0) } }
}
