import DevFSBase
import Glibc
import SystemPackage

/// What is mounted, as this process sees it.
package enum MountTable {
    private static let type = "fuse.devfs"

    /// All mounts, in the order they were made.
    package static func all() throws(DevFSError) -> [MountEntry] {
        try attempting("reading /proc/self/mountinfo") { () throws(Errno) in try MountEntry.all() }
    }

    /// All DevFS mounts, in the order they were made.
    package static func devfs() throws(DevFSError) -> [MountEntry] {
        try all().filter { $0.type == type }
    }

    /// The DevFS mount that `path` is on. One that another user serves, who may never answer, is
    /// looked at only where it is asked for by name.
    ///
    /// - Parameter answer: asks a path for an answer, before anything else is asked of it that waits
    ///   for ever where its server hangs; it is told the mount, where that is known already.
    /// - Throws: `notMounted` if `path` is on another file system; what `answer` throws.
    package static func containing<Failure: Error>(
        _ path: String, answer: (String, MountEntry?) throws(Failure) -> Void,
        failing: (DevFSError) -> Failure
    ) throws(Failure) -> MountEntry {
        func known<Result>(_ body: () throws(DevFSError) -> Result) throws(Failure) -> Result {
            do throws(DevFSError) {
                return try body()
            } catch {
                throw failing(error)
            }
        }
        let isHere = path == "."
        let written = try known { () throws(DevFSError) in try lexicalPath(path) }
        let apparent = try known { () throws(DevFSError) in try visible(at: written) }
        if !isHere { try answer(path, apparent) }
        let absolute = try known { () throws(DevFSError) in
            try isHere ? written : absolutePath(path)
        }
        let entry = try known { () throws(DevFSError) in try visible(at: absolute) }
        guard let entry, entry.type == type else {
            throw failing(DevFSError(.notMounted, path, "not on a DevFS mount"))
        }
        if isHere && entry.isStrangers {
            let user = entry.user.flatMap(Accounts.name) ?? "uid \(entry.user ?? 0)"
            throw failing(
                DevFSError(
                    .refused, path,
                    "a mount of \(user), who may never answer; give its path to ask it all the same"
                ))
        }
        if isHere { try answer(path, entry) }
        return entry
    }

    /// An absolute path to the same place, not looked up: `..` and symbolic links are in it still.
    package static func unresolvedPath(_ path: String) throws(DevFSError) -> String {
        guard !path.isEmpty else { throw DevFSError("an empty path", .noSuchFileOrDirectory) }
        if path.hasPrefix("/") { return path }
        let current = try attempting("finding the working directory") { () throws(Errno) in
            try Calls.currentDirectory()
        }
        return "\(current)/\(path)"
    }

    /// An absolute path without `.` and `..`, not looked up.
    private static func lexicalPath(_ path: String) throws(DevFSError) -> String {
        var lexical = FilePath(try unresolvedPath(path))
        lexical.lexicallyNormalize()
        return lexical.string
    }

    /// `path` without symbolic links, as far as they can be looked up: on a dead mount nothing can.
    package static func absolutePath(_ path: String) throws(DevFSError) -> String {
        guard !path.isEmpty else { throw DevFSError("an empty path", .noSuchFileOrDirectory) }
        do throws(Errno) {
            return try Calls.realPath(path)
        } catch {
            let lexical = FilePath(try lexicalPath(path))
            guard error == .noSuchFileOrDirectory || error == .socketNotConnected else {
                throw DevFSError(path, error)
            }
            // What is there of it may have symbolic links still.
            if let name = lexical.lastComponent,
                let parent = try? Calls.realPath(lexical.removingLastComponent().string)
            {
                return FilePath(parent).appending(name).string
            }
            return lexical.string
        }
    }

    /// The mount that a path without symbolic links is on.
    package static func visible(at path: String) throws(DevFSError) -> MountEntry? {
        // Of several mounts on one directory the last is the visible one.
        try all().reversed().filter { contains(path, in: $0.mountpoint) }
            .max { $0.mountpoint.utf8.count < $1.mountpoint.utf8.count }
    }

    private static func contains(_ path: String, in mountpoint: String) -> Bool {
        mountpoint == "/" || path == mountpoint || path.hasPrefix(mountpoint + "/")
    }
}
