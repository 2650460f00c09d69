import Glibc

/// The flags of mount(2) by their names in mount(8) and mountinfo, those that a remount changes.
package enum MountFlags {
    package static let values: [String: UInt] = [
        "ro": UInt(MS_RDONLY), "nosuid": UInt(MS_NOSUID),
        "nodev": UInt(MS_NODEV), "noexec": UInt(MS_NOEXEC),
        "noatime": UInt(MS_NOATIME), "nodiratime": UInt(MS_NODIRATIME),
        "relatime": UInt(MS_RELATIME), "sync": UInt(MS_SYNCHRONOUS),
        "dirsync": UInt(MS_DIRSYNC),
    ]

    /// Names that are the absence of a flag.
    private static let absences = [
        "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "atime": "noatime",
    ]

    /// What a mount has by options of mount(8), in their order: `nosuid` and `nodev` unless told
    /// otherwise, as libfuse has it. For a remount, mount(8) leaves out of them what
    /// it takes for a default, so what no option names cannot stay as it is.
    package static func applying(_ options: [String]) -> Set<String> {
        var flags: Set = ["nosuid", "nodev", "relatime"]
        for option in options {
            if let absent = absences[option] { flags.remove(absent) }
            if values[option] != nil { flags.insert(option) }
        }
        return flags
    }

    package static func bits(_ flags: Set<String>) -> UInt {
        flags.reduce(0) { $0 | (values[$1] ?? 0) }
    }
}
