import SystemPackage

/// `/proc/PID/status` of a thread, read at once. `proc_pid_status(5)`
package struct ProcessStatus {
    private let lines: [Substring]

    /// - Throws: ENOENT or ESRCH where there is no such thread.
    package init(_ thread: ProcessID) throws(Errno) {
        try self.init(try Syscalls.contents(of: "/proc/\(thread.number)/status"))
    }

    /// - Parameter directory: the process's in /proc.
    init(in directory: CInt) throws(Errno) {
        try self.init(try Syscalls.contents(of: "status", at: directory))
    }

    private init(_ bytes: [UInt8]) throws(Errno) {
        lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    }

    package subscript(name: String) -> Substring? {
        lines.first { $0.hasPrefix("\(name):\t") }?.dropFirst(name.utf8.count + 2)
    }

    /// The numbers of a field.
    func numbers(_ name: String) -> [UInt32] {
        self[name]?.split { $0 == "\t" || $0 == " " }.compactMap { UInt32($0) } ?? []
    }
}
