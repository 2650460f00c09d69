import SystemPackage

/// `/proc/PID/stat` of a process, or of one of our threads, read at once: quicker than `ProcessStatus`
/// for what it has. `proc_pid_stat(5)`
package struct ProcessStat {
    /// From the state on, field 3: the command's name, field 2, stands in brackets and may hold
    /// anything.
    private let fields: ArraySlice<UInt8>

    /// - Throws: ENOENT or ESRCH where there is no such process.
    package init(_ process: ProcessID) throws(Errno) {
        try self.init(of: "/proc/\(process.number)")
    }

    /// - Parameter number: of a thread of this process.
    init(ownThread number: Int32) throws(Errno) {
        try self.init(of: "/proc/self/task/\(number)")
    }

    private init(of directory: String) throws(Errno) {
        let bytes = try Syscalls.contents(of: "\(directory)/stat")
        let end = bytes.lastIndex(of: UInt8(ascii: ")")) ?? bytes.endIndex
        fields = bytes[end...].dropFirst(2)
    }

    /// Its letter: `R` runs, `S` and `D` wait, `T` and `t` are stopped, `Z` and `X` have ended.
    package var state: Character? { fields.first.map { Character(Unicode.Scalar($0)) } }

    /// A field by its number in the manual page, from 4 on.
    func number(_ field: Int) -> UInt64? {
        let words = fields.split(separator: UInt8(ascii: " "), maxSplits: field - 2)
        guard words.count > field - 3 else { return nil }
        return UInt64(String(decoding: words[field - 3], as: UTF8.self))
    }
}
