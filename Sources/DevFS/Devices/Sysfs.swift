import Glibc
import SystemPackage

/// The kernel's view of the machine's devices, and the few other files that tell who uses them.
/// `sysfs(5)`; Documentation/ABI/testing/sysfs-bus-pci
package struct Sysfs: Sendable {
    /// `/sys`, `/proc`, `/dev` and `/run` are below it: empty, but for tests.
    let root: String
    /// Writes a value to a file in one call.
    let write: @Sendable (_ text: String, _ path: String) throws(Errno) -> Void
    /// Somebody has a block device for his own.
    let claimed: @Sendable (_ path: String) -> Bool

    package init() {
        self.init(
            root: "",
            write: { text, path throws(Errno) in
                let file = try Syscalls.open(path, flags: O_WRONLY)
                try Syscalls.write(text, to: file.raw)
            },
            claimed: Syscalls.isClaimed(blockDevice:))
    }

    init(
        root: String,
        write: @escaping @Sendable (_ text: String, _ path: String) throws(Errno) -> Void,
        claimed: @escaping @Sendable (_ path: String) -> Bool
    ) {
        self.root = root
        self.write = write
        self.claimed = claimed
    }

    /// The text of a file without what is blank at its end; nil where it can't be read.
    func text(_ path: String) -> String? {
        guard let bytes = try? Syscalls.contents(of: root + path) else { return nil }
        let end = bytes.lastIndex { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: " ") }
        return String(decoding: bytes[..<(end.map { $0 + 1 } ?? 0)], as: UTF8.self)
    }

    /// A hexadecimal or decimal number.
    func number(_ path: String) -> UInt64? { text(path).flatMap { Number.plain($0) } }

    func names(_ path: String) -> [String] { (try? Syscalls.names(in: root + path)) ?? [] }

    func exists(_ path: String) -> Bool { (try? Syscalls.status(of: root + path)) != nil }

    /// The last name that a symbolic link leads to, as a device's `driver`; nil for none.
    func target(_ path: String) -> String? {
        (try? Syscalls.link(root + path, at: Syscalls.currentDirectory))?
            .split(separator: "/").last.map(String.init)
    }

    /// The path without symbolic links; nil where there is nothing.
    func real(_ path: String) -> String? { try? Syscalls.realPath(root + path) }

    /// Somebody has the block device of this name in `/sys/class/block` for his own.
    func isClaimed(_ name: String) -> Bool {
        // Directories of /dev are told so in sysfs. lib/kobject.c, kobject_set_name_vargs()
        claimed("\(root)/dev/\(name.replacing("!", with: "/"))")
    }

    func put(_ text: String, _ path: String) throws(Errno) { try write(text, root + path) }
}
