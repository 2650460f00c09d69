/// Names and descriptions of maps, as files and `info` can have them.
enum RegisterNames {
    /// A name as a file can have it: other bytes than `A-Za-z0-9._-` become `_`.
    static func fileName(_ name: String) -> String {
        if Name(name) != nil { return name }
        var bytes = name.unicodeScalars.map { scalar in
            Name("x\(scalar)") == nil ? UInt8(ascii: "_") : UInt8(truncatingIfNeeded: scalar.value)
        }
        if bytes.isEmpty || bytes[0] == UInt8(ascii: ".") {
            bytes.insert(UInt8(ascii: "_"), at: 0)
        }
        return String(decoding: bytes.prefix(Name.longest), as: UTF8.self)
    }

    /// The same names, each once: a later one gets `-2`, one that is taken anyway `_`.
    static func distinct(_ names: [String], besides taken: Set<String> = []) -> [String] {
        var present = taken
        var numbers: [String: Int] = [:]
        return names.map { name in
            var unique = name
            if taken.contains(name) { unique += "_" }
            while !present.insert(unique).inserted {
                let number = numbers[name, default: 1] + 1
                numbers[name] = number
                unique = "\(name.prefix(Name.longest - 8))-\(number)"
            }
            return unique
        }
    }

    /// One line of at most 255 bytes.
    static func summary(_ text: String) -> String {
        // Most are as they should be, and there are very many.
        var last: UInt8 = 0x20
        let isPlain = text.utf8.allSatisfy { byte in
            defer { last = byte }
            return (0x21...0x7e).contains(byte) || byte == 0x20 && last != 0x20
        }
        if isPlain && last != 0x20 && text.utf8.count <= 255 { return text }
        let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard line.utf8.count > 255 else { return line }
        var cut = ""
        for character in line {
            guard cut.utf8.count + character.utf8.count <= 252 else { break }
            cut.append(character)
        }
        return cut + "..."
    }

    /// A name whose `%s` no array has replaced.
    static func check(_ name: String) throws(Refusal) {
        guard name.utf8.contains(UInt8(ascii: "%")), name.contains("%s") else { return }
        throw .invalid("%s is for the elements of an array, and stands where there is none")
    }
}
