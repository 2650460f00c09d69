import SystemPackage

extension Name {
    /// Why a text is no name: too long, or with bytes that names do not have.
    static func obstacle(_ text: some StringProtocol) -> Refusal? {
        if text.utf8.count > longest {
            return Refusal(.fileNameTooLong, "a name has \(longest) bytes at the most")
        }
        return Name(text) == nil ? .invalid("not a name: \(rule)") : nil
    }

    /// - Throws: ENAMETOOLONG, EINVAL.
    init(checking text: some StringProtocol) throws(Refusal) {
        guard let name = Name(text) else {
            throw Self.obstacle(text) ?? .invalid("not a name")
        }
        self = name
    }
}
