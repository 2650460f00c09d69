import Glibc

/// Whose the uids are that users have for user namespaces of their own. `subuid(5)`
struct SubordinateUsers: Sendable {
    private let ranges: [(uids: ClosedRange<UInt32>, owner: UInt32)]

    /// Nobody has any.
    init() { ranges = [] }

    /// - Parameter path: of the machine's file. Ranges that a name service gives out instead are not
    ///   known.
    init(readingFrom path: String) {
        let text = (try? Syscalls.contents(of: path)).map { String(decoding: $0, as: UTF8.self) }
        self.init(text ?? "", uid: Accounts.uid)
    }

    /// - Parameters:
    ///   - text: lines of `OWNER:FIRST:COUNT`; others are left out.
    ///   - uid: of a user by his name.
    init(_ text: String, uid: (String) -> UInt32?) {
        ranges = text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 3, let first = UInt32(fields[1]), let count = UInt32(fields[2]),
                count > 0, let owner = UInt32(fields[0]) ?? uid(String(fields[0]))
            else { return nil }
            let (last, isHuge) = first.addingReportingOverflow(count - 1)
            return (uids: first...(isHuge ? .max : last), owner: owner)
        }
    }

    /// Nil for a uid that is nobody's.
    func owner(of uid: UInt32) -> UInt32? {
        // Few lines, and most machines' ranges begin beyond their users.
        ranges.first { $0.uids.contains(uid) }?.owner
    }
}
