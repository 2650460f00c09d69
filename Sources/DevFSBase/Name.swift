/// A name in the tree: 1 to 63 bytes of `A-Za-z0-9._-`, not starting with a dot.
package struct Name: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    /// Bytes of a name at the most.
    package static let longest = 63

    package static let rule = "1 to \(longest) bytes of A-Za-z0-9._-, not starting with a dot"

    /// Nil where the text is no such name.
    package init?(_ text: some StringProtocol) {
        let bytes = text.utf8
        guard (1...Name.longest).contains(bytes.count), bytes.first != UInt8(ascii: "."),
            bytes.allSatisfy(Name.isAllowed)
        else { return nil }
        self.text = String(text)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }

    package var description: String { text }
}
