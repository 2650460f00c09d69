import Glibc
import SystemPackage

/// A line of /proc/self/mountinfo. `proc_pid_mountinfo(5)`
package struct MountEntry: Sendable, Equatable {
    /// The number that `mnt_id` of /proc/self/fdinfo has as well; free for another mount once this
    /// one is gone.
    package var id: UInt64 = 0
    /// The mount that it is mounted on.
    package var parentID: UInt64 = 0
    /// What of its file system is mounted: `/`, or less by a bind mount.
    package var root = "/"
    /// `MAJOR:MINOR` of its file system.
    package var device = ""
    package var mountpoint: String
    /// `fuse.devfs`, `tmpfs`, ...
    package var type: String
    package var source: String
    /// `ro`, `nosuid` and the like: of this mount, and then of its file system.
    package var flags: Set<String> = []
    /// Who mounted a FUSE file system, and answers for it: its `user_id=`.
    package var user: UInt32?

    /// A mount of DevFS that this user made. Anybody can give one of his own our type and source.
    package var isOurs: Bool { type == "fuse.devfs" && user == geteuid() }

    /// Another user answers for what is on it, or does not: whoever asks him may wait for ever.
    /// Root's are trusted.
    package var isStrangers: Bool { user.map { $0 != 0 && $0 != geteuid() } ?? false }

    /// All mounts of this mount namespace, oldest first.
    package static func all() throws(Errno) -> [MountEntry] {
        parse(try KernelFile.contents(of: "/proc/self/mountinfo"))
    }

    /// All mounts of the mount namespace that a process is in.
    package static func all(seenBy process: pid_t) throws(Errno) -> [MountEntry] {
        parse(try KernelFile.contents(of: "/proc/\(process)/mountinfo"))
    }

    /// The entries of a table, in one pass over it; a line that is none is left out.
    package static func parse(_ table: [UInt8]) -> [MountEntry] {
        table.split(separator: UInt8(ascii: "\n")).compactMap { line in
            // The kernel escapes blanks within a field; a field may be empty, as a source is that
            // somebody gave an empty name.
            let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard
                let dash = fields.indices.dropFirst(6).first(where: {
                    fields[$0].elementsEqual("-".utf8)
                }),
                dash + 3 < fields.count, let id = UInt64(String(decoding: fields[0], as: UTF8.self))
            else { return nil }
            return MountEntry(
                id: id, parentID: UInt64(String(decoding: fields[1], as: UTF8.self)) ?? 0,
                root: unescape(fields[3]), device: String(decoding: fields[2], as: UTF8.self),
                mountpoint: unescape(fields[4]), type: unescape(fields[dash + 1]),
                source: unescape(fields[dash + 2]), flags: flags(fields[5], fields[dash + 3]),
                user: user(fields[dash + 3]))
        }
    }

    private static func flags(
        _ own: ArraySlice<UInt8>, _ superblocks: ArraySlice<UInt8>
    ) -> Set<String> {
        let comma = UInt8(ascii: ",")
        let words = own.split(separator: comma) + superblocks.split(separator: comma)
        return Set(
            words.map { String(decoding: $0, as: UTF8.self) }
                .filter { MountFlags.values[$0] != nil })
    }

    /// FUSE writes its own options last, whatever a security module writes before them.
    /// fs/fuse/inode.c, fuse_show_options()
    private static func user(_ options: ArraySlice<UInt8>) -> UInt32? {
        let key = Array("user_id=".utf8)
        guard
            let option = options.split(separator: UInt8(ascii: ",")).last(where: {
                $0.starts(with: key)
            })
        else { return nil }
        return UInt32(String(decoding: option.dropFirst(key.count), as: UTF8.self))
    }

    /// Blanks and backslashes stand as `\ooo` there.
    private static func unescape(_ text: ArraySlice<UInt8>) -> String {
        let backslash = UInt8(ascii: "\\")
        guard text.contains(backslash) else { return String(decoding: text, as: UTF8.self) }
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            if byte == backslash,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
