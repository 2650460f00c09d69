import CFuse
import DevFSBase
import Glibc
import Synchronization
import SystemPackage

/// Raw calls on directories, which wait for nobody who has a file in them open.
extension Syscalls {
    /// `renameat2(2)` within one directory.
    static func rename(
        _ old: String, to new: String, at directory: CInt, flags: RenameFlags
    ) throws(Errno) {
        try check { unsafe cfuse_renameat2(directory, old, directory, new, flags.rawValue) }
    }

    /// `mkdirat(2)`; a directory that is there already is fine.
    static func makeDirectory(
        _ path: String, at directory: CInt = currentDirectory, mode: mode_t
    ) throws(Errno) {
        do throws(Errno) {
            try check { unsafe mkdirat(directory, path, mode) }
        } catch .fileExists {
            guard try status(of: path, at: directory).isDirectory else { throw .notDirectory }
        }
    }

    /// `mkdirat(2)`
    /// - Throws: EEXIST where something has the name.
    static func makeNewDirectory(
        _ path: String, at directory: CInt, mode: mode_t
    ) throws(Errno) {
        try check { unsafe mkdirat(directory, path, mode) }
    }

    /// `rmdir(2)`
    static func removeDirectory(_ path: String) throws(Errno) {
        try check { unsafe rmdir(path) }
    }

    /// Makes the name of a fresh link one of its own.
    private static let linkNumber = Atomic<UInt64>(0)

    /// Makes or replaces a symbolic link in one step. `symlinkat(2)`, `renameat(2)`
    static func setLink(_ name: String, to text: String, at directory: CInt) throws(Errno) {
        let fresh = ".\(name).\(linkNumber.add(1, ordering: .relaxed).newValue)"
        do throws(Errno) {
            try check { unsafe symlinkat(text, directory, fresh) }
        } catch .fileExists {
            try unlink(fresh, at: directory)
            try check { unsafe symlinkat(text, directory, fresh) }
        }
        try rename(fresh, to: name, at: directory, flags: [])
    }

    /// The text of a symbolic link, at most 4,095 bytes. `readlinkat(2)`
    static func link(_ name: String, at directory: CInt) throws(Errno) -> String {
        var text = [CChar](repeating: 0, count: 4096)
        let count = try check { unsafe readlinkat(directory, name, &text, text.count) }
        return unsafe text.withUnsafeBytes { bytes in
            unsafe String(decoding: bytes[..<count], as: UTF8.self)
        }
    }

    /// The same of a path, sorted.
    package static func names(in path: String) throws(Errno) -> [String] {
        let directory = try open(path, flags: O_RDONLY | O_DIRECTORY)
        return try names(in: directory.raw).sorted()
    }

    /// The names in a directory, without `.` and `..`. `readdir(3)`
    static func names(in directory: CInt) throws(Errno) -> [String] {
        let fresh = try open(".", at: directory, flags: O_RDONLY | O_DIRECTORY)
        guard let stream = unsafe fdopendir(fresh.raw) else { throw lastError }
        _ = fresh.take()
        defer { unsafe closedir(stream) }
        return unsafe DirectoryEntries.names(in: stream)
    }

    /// `mkdirat(2)`; EEXIST where the name is taken.
    static func makeFreshDirectory(_ name: String, at directory: CInt) throws(Errno) {
        try check { unsafe mkdirat(directory, name, 0o700) }
    }

    /// `unlinkat(2)`, AT_REMOVEDIR; ENOTEMPTY, ENOTDIR.
    static func removeDirectory(_ name: String, at directory: CInt) throws(Errno) {
        try check { unsafe unlinkat(directory, name, AT_REMOVEDIR) }
    }

    /// `renameat2(2)` from one directory to another.
    static func rename(
        _ old: String, at directory: CInt, to new: String, at other: CInt, flags: RenameFlags
    ) throws(Errno) {
        try check { unsafe cfuse_renameat2(directory, old, other, new, flags.rawValue) }
    }

    /// The same directory by a mount that can't be written, and lives as long as what is open by it.
    /// `open_tree(2)`, `mount_setattr(2)`
    static func readOnlyClone(of directory: CInt) throws(Errno) -> SharedDescriptor {
        let raw = try check { cfuse_clone_read_only(directory) }
        return SharedDescriptor(Descriptor(owning: raw))
    }

    /// `symlinkat(2)`; EEXIST where the name is taken.
    static func makeLink(_ name: String, to text: String, at directory: CInt) throws(Errno) {
        try check { unsafe symlinkat(text, directory, name) }
    }
}

/// Flags of `renameat2(2)`, from linux/fs.h.
struct RenameFlags: OptionSet, Sendable {
    let rawValue: UInt32

    static let noReplace = RenameFlags(rawValue: 1)
    static let exchange = RenameFlags(rawValue: 2)
}
