import DevFS
// In all files of the command.
@_exported import DevFSClient
import Glibc
import SystemPackage

/// A mounted tree, as the library has it, with the command's failures and limits.
struct Tree {
    let device: Device

    var mount: MountEntry { device.mount }

    /// The tree that `path` is in.
    ///
    /// - Throws: "nothing found" if `path` is not on a DevFS mount.
    init(containing path: String) throws {
        device = Device(try Mounts.containing(path))
    }

    /// Path of a file of the tree, given from its root.
    func path(_ file: String) -> String { device.path(file) }

    /// A file's text without the last newline.
    func text(_ file: String) throws -> String {
        try failing { () throws(DevFSError) in try device.text(file) }
    }

    /// A file's text, or nil where it cannot be read: it went meanwhile, or has no value.
    func optionalText(_ file: String) -> String? { try? device.text(file) }

    /// A file's number, or nil as for `optionalText`.
    func number(_ file: String) -> UInt64? { device.number(file) }

    func lines(_ file: String) throws -> [Substring] {
        try failing { () throws(DevFSError) in try device.lines(file) }
    }

    /// Names in a directory, sorted.
    func names(in directory: String) throws -> [String] {
        try failing { () throws(DevFSError) in try device.names(in: directory) }
    }

    /// Writes one command, or one value; `what` says what for.
    func write(_ text: String, to file: String, for what: String) throws {
        try failing { () throws(DevFSError) in try device.write(text, to: file, for: what) }
    }

    /// Opens a file to wait on.
    func openToWait(_ file: String, for what: String) throws -> FileDescriptor {
        try doing(what) {
            try Files.open(path(file), .readOnly, options: .nonBlocking)
        }
    }

    /// Does `body`; an error gets the reason that the tree's log has for it.
    func doing<Result>(_ what: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let errno as Errno {
            throw failure(what, errno)
        }
    }

    /// What went wrong, with the reason that the tree has for it.
    func failure(_ what: String, _ errno: Errno) -> Failure {
        Failure(device.failure(what, errno))
    }
}
