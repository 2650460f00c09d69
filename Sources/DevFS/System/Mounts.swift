import CFuse
import Glibc
import SystemPackage

/// A line of /proc/self/mountinfo. `proc_pid_mountinfo(5)`
public struct MountEntry: Sendable, Equatable {
    public var mountpoint: String
    /// `fuse.devfs`, `tmpfs`, ...
    public var type: String
    public var source: String
    /// Who mounted a FUSE file system: its `user_id=`.
    public var user: UInt32?

    /// A mount of DevFS that this user made. Anybody can give one of his own our type and source.
    var isOurs: Bool { type == "fuse.devfs" && user == geteuid() }

    /// All mounts of this mount namespace, oldest first.
    public static func all() throws(Errno) -> [MountEntry] {
        let text = try Syscalls.contents(of: "/proc/self/mountinfo")
        return String(decoding: text, as: UTF8.self).split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, dash + 2 < fields.count
            else { return nil }
            let options = dash + 3 < fields.count ? fields[dash + 3].split(separator: ",") : []
            let user = options.first { $0.hasPrefix("user_id=") }?.dropFirst("user_id=".utf8.count)
            return MountEntry(
                mountpoint: unescape(fields[4]), type: String(fields[dash + 1]),
                source: unescape(fields[dash + 2]), user: user.flatMap { UInt32($0) })
        }
    }

    /// Blanks and backslashes stand as `\ooo` there.
    private static func unescape(_ text: Substring) -> String {
        guard text.contains("\\") else { return String(text) }
        var bytes: [UInt8] = []
        var rest = Substring(text).utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"),
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

    /// True where the server of a FUSE mount is gone.
    public var isDead: Bool {
        do throws(Errno) {
            _ = try Syscalls.status(of: mountpoint)
            return false
        } catch {
            return error == .socketNotConnected
        }
    }
}

extension Syscalls {
    /// `mount(2)`
    static func mount(
        _ source: String, on directory: String, type: String, flags: UInt, options: String
    ) throws(Errno) {
        try check {
            unsafe options.withCString { unsafe CFuse.mount(source, directory, type, flags, $0) }
        }
    }

    /// `umount2(2)`
    static func unmount(_ directory: String, lazily: Bool = false) throws(Errno) {
        try check {
            unsafe umount2(directory, CInt(UMOUNT_NOFOLLOW) | (lazily ? CInt(MNT_DETACH) : 0))
        }
    }
}
