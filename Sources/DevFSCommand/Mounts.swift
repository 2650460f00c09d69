import DevFS
import Glibc
import SystemPackage

/// What is mounted, as this process sees it.
enum Mounts {
    private static let type = "fuse.devfs"

    /// All DevFS mounts, in the order they were made.
    static func devfs() throws -> [MountEntry] {
        try all().filter { $0.type == type }
    }

    private static func all() throws -> [MountEntry] {
        try attempting("reading /proc/self/mountinfo") { try MountEntry.all() }
    }

    /// The DevFS mount that `path` is on. One that another user serves, who may never answer, is
    /// looked at only where it is asked for by name.
    ///
    /// - Throws: "nothing found" if `path` is on another file system, or is not there.
    static func containing(_ path: String) throws -> MountEntry {
        let isHere = path == "."
        let written = try lexicalPath(path)
        let apparent = try visible(at: written)
        if !isHere { try Answers.check(path, on: apparent) }
        let absolute = try isHere ? written : absolutePath(path)
        let visible = try visible(at: absolute)
        guard let visible, visible.type == type else {
            throw Failure(path, "not on a DevFS mount", status: .notFound)
        }
        if isHere && visible.isStrangers {
            throw Failure(
                path,
                "a mount of \(visible.user.flatMap(Accounts.name) ?? "uid \(visible.user ?? 0)"), "
                    + "who may never answer; "
                    + "give its path to ask it all the same")
        }
        if isHere { try Answers.check(path, on: visible) }
        return visible
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
        guard let entry = try all().first(where: { $0.id == mount }), entry.type == type else {
            throw Failure(path, "not on a DevFS mount", status: .notFound)
        }
        return entry
    }

    /// An absolute path to the same place, not looked up: `..` and symbolic links are in it still.
    static func unresolvedPath(_ path: String) throws -> String {
        guard !path.isEmpty else {
            throw Failure("an empty path", Errno.noSuchFileOrDirectory)
        }
        if path.hasPrefix("/") { return path }
        let current = try attempting("finding the working directory") {
            try Syscalls.currentDirectory()
        }
        return "\(current)/\(path)"
    }

    /// An absolute path without `.` and `..`, not looked up.
    private static func lexicalPath(_ path: String) throws -> String {
        var lexical = FilePath(try unresolvedPath(path))
        lexical.lexicallyNormalize()
        return lexical.string
    }

    /// `path` without symbolic links, as far as they can be looked up: on a dead mount nothing can.
    static func absolutePath(_ path: String) throws -> String {
        guard !path.isEmpty else {
            throw Failure("an empty path", Errno.noSuchFileOrDirectory)
        }
        do throws(Errno) {
            return try Syscalls.realPath(path)
        } catch {
            let lexical = FilePath(try lexicalPath(path))
            guard error == .noSuchFileOrDirectory || error == .socketNotConnected else {
                throw Failure(path, error)
            }
            // What is there of it may have symbolic links still.
            if let name = lexical.lastComponent,
                let parent = try? Syscalls.realPath(lexical.removingLastComponent().string)
            {
                return FilePath(parent).appending(name).string
            }
            return lexical.string
        }
    }

    /// Type of the file system that `path` is on.
    static func type(at path: String) throws -> String? {
        try visible(at: absolutePath(path))?.type
    }

    /// The mount that a path without symbolic links is on.
    private static func visible(at path: String) throws -> MountEntry? {
        // Of several mounts on one directory the last is the visible one.
        try all().reversed().filter { contains(path, in: $0.mountpoint) }
            .max { $0.mountpoint.utf8.count < $1.mountpoint.utf8.count }
    }

    private static func contains(_ path: String, in mountpoint: String) -> Bool {
        mountpoint == "/" || path == mountpoint || path.hasPrefix(mountpoint + "/")
    }
}
