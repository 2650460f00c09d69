import DevFS
import DevFSClient
import Glibc
import SystemPackage

/// What is mounted, as this process sees it.
enum Mounts {
    /// All DevFS mounts, in the order they were made.
    static func devfs() throws -> [MountEntry] {
        try failing { () throws(DevFSError) in try MountTable.devfs() }
    }

    /// The DevFS mount that `path` is on. One that another user serves, who may never answer, is
    /// looked at only where it is asked for by name.
    ///
    /// - Throws: "nothing found" if `path` is on another file system, or is not there.
    static func containing(_ path: String) throws -> MountEntry {
        try MountTable.containing(
            path, answer: { try Answers.check($0, on: $1) }, failing: { Failure($0) })
    }

    /// The DevFS mount that `path` is on, found without asking the file system itself.
    ///
    /// - Throws: as `containing`, and for root where a user can make the path lead elsewhere.
    static func toUnmount(_ path: String) throws -> MountEntry {
        guard geteuid() == 0 else { return try containing(path) }
        let absolute = try unresolvedPath(path)
        let mount: UInt64
        do throws(Place.Failure) {
            mount = try Place.find(absolute).mount
        } catch {
            guard error.why.isEmpty else {
                throw Failure(path, error.errno, detail: error.why)
            }
            // Of what is below a dead mount nothing is there.
            mount = error.mount
        }
        guard let entry = try devfs().first(where: { $0.id == mount }) else {
            throw Failure(path, "not on a DevFS mount", status: .notFound)
        }
        return entry
    }

    /// An absolute path to the same place, not looked up: `..` and symbolic links are in it still.
    static func unresolvedPath(_ path: String) throws -> String {
        try failing { () throws(DevFSError) in try MountTable.unresolvedPath(path) }
    }

    /// `path` without symbolic links, as far as they can be looked up: on a dead mount nothing can.
    static func absolutePath(_ path: String) throws -> String {
        try failing { () throws(DevFSError) in try MountTable.absolutePath(path) }
    }

    /// Type of the file system that `path` is on.
    static func type(at path: String) throws -> String? {
        try failing { () throws(DevFSError) in
            try MountTable.visible(at: MountTable.absolutePath(path))?.type
        }
    }
}
