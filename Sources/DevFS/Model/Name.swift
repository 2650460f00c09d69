import SystemPackage

/// A name in the tree: 1 to 63 bytes of `A-Za-z0-9._-`, not starting with a dot.
public struct Name: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    /// Bytes of a name at the most.
    static let longest = 63

    /// Why a text is no name: too long, or with bytes that names do not have.
    static func obstacle(_ text: some StringProtocol) -> Refusal? {
        if text.utf8.count > longest {
            return Refusal(.fileNameTooLong, "a name has \(longest) bytes at the most")
        }
        return Name(text) == nil ? .invalid("not a name: \(rule)") : nil
    }

    static let rule = "1 to \(longest) bytes of A-Za-z0-9._-, not starting with a dot"

    /// - Throws: ENAMETOOLONG, EINVAL.
    init(checking text: some StringProtocol) throws(Refusal) {
        guard let name = Name(text) else {
            throw Self.obstacle(text) ?? .invalid("not a name")
        }
        self = name
    }

    /// Nil where the text is no such name.
    public init?(_ text: some StringProtocol) {
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

    public var description: String { text }
}
