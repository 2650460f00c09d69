/// Texts of others on their way to a terminal, and to a shell.
extension String {
    /// The text with everything that does not print, or that moves what does, as `\xNN` or `\u{N}`:
    /// control characters (newlines too), Unicode's format and bidirectional controls, its line
    /// and paragraph separators, and what is assigned to nothing. A text that passed is unchanged.
    package var printable: String {
        guard unicodeScalars.contains(where: { !$0.isPrintable }) else { return self }
        var result = ""
        for scalar in unicodeScalars {
            if scalar.isPrintable {
                result.unicodeScalars.append(scalar)
            } else if scalar.value < 0x80 {
                result += "\\x" + Self.hexadecimal(scalar.value, digits: 2)
            } else {
                result += "\\u{" + Self.hexadecimal(scalar.value, digits: 4) + "}"
            }
        }
        return result
    }

    /// The same text within JSON that was encoded already: `\uNNNN`, which decodes to the same.
    /// - Parameter text: newlines in it are the encoder's own.
    package static func printableJSON(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { !$0.isPrintable && $0 != "\n" }) else {
            return text
        }
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.isPrintable || scalar == "\n" {
                result.unicodeScalars.append(scalar)
            } else {
                for unit in UTF16.encode(scalar) ?? .init() {
                    result += "\\u" + hexadecimal(UInt32(unit), digits: 4)
                }
            }
        }
        return result
    }

    /// One word of a POSIX shell that stands for this text, to be pasted or run.
    ///
    /// Text that does not print is in bash's `$'...'`, with no quotation mark inside: a shell that
    /// does not know the form takes it for another word, and never for more than a word.
    package var shellQuoted: String {
        let isPlain = { (byte: UInt8) in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "/:._-+,@%".utf8.contains(byte)
            }
        }
        if !isEmpty && utf8.allSatisfy(isPlain) { return self }
        if unicodeScalars.allSatisfy(\.isPrintable) {
            return "'"
                + split(separator: "'", omittingEmptySubsequences: false)
                .joined(separator: "'\\''") + "'"
        }
        var word = "$'"
        for scalar in unicodeScalars {
            if scalar.isPrintable && scalar != "'" && scalar != "\\" && scalar != "!" {
                word.unicodeScalars.append(scalar)
                continue
            }
            for byte in String(scalar).utf8 {
                let digits = String(byte, radix: 8)
                word += "\\" + String(repeating: "0", count: 3 - digits.utf8.count) + digits
            }
        }
        return word + "'"
    }

    private static func hexadecimal(_ value: UInt32, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: Swift.max(0, digits - text.utf8.count)) + text
    }
}

extension Unicode.Scalar {
    fileprivate var isPrintable: Bool {
        if value < 0x7f { return value >= 0x20 }
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
            .unassigned:
            return false
        default: return true
        }
    }
}
