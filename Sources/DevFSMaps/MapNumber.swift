/// Numbers as the formats write them.
enum MapNumber {
    /// CMSIS-SVD's, as far as files in the field go: decimal, `0x`, binary by `#` or `0b`, with `k`,
    /// `m` or `g` behind. IP-XACT's: `'h`, `'d`, `'o`, `'b`, with a width before, and `_` in between.
    static func parse(_ text: some StringProtocol) -> UInt64? {
        // UInt64's own parser takes a sign.
        if let first = text.utf8.first, (0x30...0x39).contains(first), let value = UInt64(text) {
            return value
        }
        var digits = String(text).filter { !$0.isWhitespace && $0 != "_" }.lowercased()[...]
        var radix = 10
        if let quote = digits.firstIndex(of: "'") {
            guard digits[..<quote].allSatisfy(\.isNumber) else { return nil }
            digits = digits[digits.index(after: quote)...]
            if digits.first == "s" { digits.removeFirst() }
            guard let letter = digits.popFirst(),
                let named = ["h": 16, "d": 10, "o": 8, "b": 2][letter]
            else { return nil }
            return plain(digits, radix: named)
        }
        if digits.first == "+" { digits.removeFirst() }
        if digits.hasPrefix("0x") {
            (digits, radix) = (digits.dropFirst(2), 16)
        } else if digits.hasPrefix("0b") {
            (digits, radix) = (digits.dropFirst(2), 2)
        } else if digits.hasPrefix("#") {
            // A bit that does not matter is 0.
            let bits = String(digits.dropFirst().map { $0 == "x" ? "0" : $0 })
            return plain(bits[...], radix: 2)
        }
        if let value = plain(digits, radix: radix) { return value }
        guard radix == 10, let unit = digits.popLast(),
            let shift = ["k": 10, "m": 20, "g": 30, "t": 40][unit],
            let value = plain(digits, radix: radix), value <= UInt64.max >> shift
        else { return nil }
        return value << shift  // fits: checked
    }

    private static func plain(_ digits: Substring, radix: Int) -> UInt64? {
        guard let first = digits.first, first != "+", first != "-" else { return nil }
        return UInt64(digits, radix: radix)
    }

    /// `true`, `1`.
    static func isTrue(_ text: String?) -> Bool { text == "true" || text == "1" }
}

/// Where `%s` is in the name of an array, the element's index; at the end where it is nowhere.
enum ArrayName {
    static func element(_ name: String, _ index: String) -> String {
        for mark in ["[%s]", "_%s_", "%s"] where name.contains(mark) {
            let replacement = mark == "_%s_" ? "_\(index)_" : index
            let parts = name.ranges(of: mark)
            guard let range = parts.first else { continue }
            return name.replacingCharacters(in: range, with: replacement)
        }
        return name + index
    }

    /// Whether it is one of the indices.
    static func has(_ index: String, _ text: String?, count: UInt64) -> Bool {
        func isDecimal(_ range: ClosedRange<UInt64>) -> Bool {
            UInt64(index).map { range.contains($0) && "\($0)" == index } ?? false
        }
        guard count > 0 else { return false }
        guard let text, !text.isEmpty else { return isDecimal(0...(count - 1)) }
        if text.contains(",") {
            return text.split(separator: ",").contains { $0.filter { !$0.isWhitespace } == index }
        }
        guard let dash = text.firstIndex(of: "-") else { return text == index }
        let ends = [text[..<dash], text[text.index(after: dash)...]]
            .map { $0.filter { !$0.isWhitespace } }
        if let first = UInt64(ends[0]), let last = UInt64(ends[1]) {
            return first <= last && isDecimal(first...last)
        }
        return ends.allSatisfy { $0.utf8.count == 1 } && index.utf8.count == 1
            && ends[0] <= index && index <= ends[1]
    }

    /// `0-3`, `A-D`, `a,b,c`; nil where there are not as many as elements.
    static func indices(_ text: String?, count: Int) -> [String]? {
        guard let text, !text.isEmpty else { return (0..<count).map(String.init) }
        var found: [String] = []
        if text.contains(",") {
            found = text.split(separator: ",").map { $0.filter { !$0.isWhitespace } }
        } else if let dash = text.firstIndex(of: "-") {
            let ends = [text[..<dash], text[text.index(after: dash)...]]
                .map { $0.filter { !$0.isWhitespace } }
            if let first = UInt64(ends[0]), let last = UInt64(ends[1]), first <= last,
                last - first < 1 << 17
            {
                found = (first...last).map(String.init)
            } else if let first = ends[0].utf8.first, let last = ends[1].utf8.first,
                ends[0].utf8.count == 1, ends[1].utf8.count == 1, first <= last
            {
                found = (first...last).map { String(UnicodeScalar($0)) }
            }
        } else {
            found = [text.filter { !$0.isWhitespace }]
        }
        return found.count == count ? found : nil
    }
}

extension String {
    fileprivate func replacingCharacters(in range: Range<String.Index>, with text: String) -> String
    {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}
