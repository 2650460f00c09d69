import CFuse
import Glibc
import SystemPackage

/// Raw calls on directories, which wait for nobody who has a file in them open.
extension Syscalls {
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
