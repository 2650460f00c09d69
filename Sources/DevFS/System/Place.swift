import CFuse
import Glibc
import SystemPackage

/// Where a path leads, found once and then used by descriptor: whatever is renamed or put in its
/// place meanwhile, it stays what was found.
///
/// A symbolic link is followed only where nobody but root and this process's user can change it, and
/// nothing is looked up on a FUSE file system that another user serves, who may never answer.
package struct Place: Sendable {
    /// Why a path leads nowhere.
    package struct Failure: Error {
        package var errno: Errno
        /// What is wrong beyond `errno`, and the fix; empty where `errno` says it all.
        package var why = ""
        /// The mount that was reached, as `MountEntry.id`.
        package var mount: UInt64
    }

    /// O_PATH; the directory, or the file, itself.
    let directory: SharedDescriptor
    /// What its name is in, and that name; nil for `/` and behind `..`.
    let parent: SharedDescriptor?
    let name: String
    /// The mount that it is on, as `MountEntry.id`.
    package let mount: UInt64
    /// Nobody but root and this process's user can make the path lead elsewhere.
    let isStable: Bool
    /// It is the root of that mount; nil behind `..`, where that is not seen.
    let isMountRoot: Bool?

    /// Its path as the kernel knows it now: for messages, and for other programs.
    var path: String {
        (try? Syscalls.link("/proc/self/fd/\(directory.raw)", at: Syscalls.currentDirectory)) ?? ""
    }

    /// - Parameters:
    ///   - path: absolute.
    ///   - followsLinks: false for a path that the kernel gave, which has none: one is ELOOP.
    package static func find(
        _ path: String, followsLinks: Bool = true
    ) throws(Failure) -> Place {
        var walk = try PathWalk(followsLinks: followsLinks)
        return try walk.follow(path)
    }
}

/// One way down a path, component by component.
struct PathWalk {
    private let followsLinks: Bool
    private let trusted: Set<uid_t> = [0, geteuid()]
    /// MAXSYMLINKS of the kernel.
    private var linksLeft = 40
    private var directory: SharedDescriptor
    private var status: FileStatus
    private var parent: SharedDescriptor?
    private var name = ""
    private var mount: UInt64
    private var isStable = true
    private var isMountRoot: Bool? = true
    private var mounts: [UInt64: MountEntry] = [:]

    init(followsLinks: Bool) throws(Place.Failure) {
        self.followsLinks = followsLinks
        do throws(Errno) {
            directory = SharedDescriptor(
                try Syscalls.open("/", flags: cfuse_o_path | O_DIRECTORY))
            status = try Syscalls.status(of: directory.raw)
            mount = try Syscalls.mountID(of: directory.raw)
        } catch {
            throw Place.Failure(errno: error, mount: 0)
        }
    }

    mutating func follow(_ path: String) throws(Place.Failure) -> Place {
        var rest = Self.components(path)
        while let component = rest.popLast() {
            do throws(Errno) {
                try step(component, &rest)
            } catch {
                throw Place.Failure(errno: error, why: why ?? "", mount: mount)
            }
        }
        return Place(
            directory: directory, parent: parent, name: name, mount: mount, isStable: isStable,
            isMountRoot: isMountRoot)
    }

    /// What a refusal of our own is about.
    private var why: String?

    /// The names of a path, the first one last.
    private static func components(_ path: String) -> [String] {
        path.split(separator: "/").filter { $0 != "." }.reversed().map(String.init)
    }

    private mutating func step(_ component: String, _ rest: inout [String]) throws(Errno) {
        let isLast = rest.isEmpty
        // The directory may have been moved, and its parent be any other.
        if component == ".." && !isStable { throw refuse(component) }
        let found = try open(component, isLast: isLast)
        let foundMount = try Syscalls.mountID(of: found.raw)
        let entry = foundMount == mount ? nil : try self.entry(foundMount)
        if entry?.isStrangers == true && !isLast {
            why =
                "\(component.shellQuoted) is a mount that another user serves, who may never "
                + "answer; unmount it, or take another directory"
            throw .permissionDenied
        }
        // A server that is dead or another user's is not asked what it is.
        let isServed = entry?.user != nil
        let foundStatus = isLast && isServed ? nil : try Syscalls.status(of: found.raw)
        if let foundStatus, foundStatus.mode & S_IFMT == S_IFLNK {
            return try follow(found, component, foundStatus, &rest)
        }
        guard isLast || foundStatus?.isDirectory == true else { throw .notDirectory }
        if component == ".." {
            (parent, name, isMountRoot) = (nil, "", nil)
        } else {
            // What is mounted on a name is not what has the name.
            isStable = isStable && isFixed(entry == nil ? foundStatus?.uid : nil)
            (parent, name, isMountRoot) = (directory, component, foundMount != mount)
        }
        directory = found
        mount = foundMount
        if let foundStatus { status = foundStatus }
    }

    /// Opens what has the name, a symbolic link itself.
    private func open(_ component: String, isLast: Bool) throws(Errno) -> SharedDescriptor {
        let flags = cfuse_o_path | O_NOFOLLOW
        do throws(Errno) {
            // O_DIRECTORY has autofs mount what is on the way. What the path leads to is left: the
            // mount that is being made may be the one that autofs waits for.
            return SharedDescriptor(
                try Syscalls.open(
                    component, at: directory.raw, flags: isLast ? flags : flags | O_DIRECTORY))
        } catch .notDirectory where !isLast {
            return SharedDescriptor(try Syscalls.open(component, at: directory.raw, flags: flags))
        }
    }

    private mutating func follow(
        _ link: SharedDescriptor, _ component: String, _ linkStatus: FileStatus,
        _ rest: inout [String]
    ) throws(Errno) {
        guard followsLinks, linksLeft > 0 else { throw .tooManySymbolicLinkLevels }
        guard trusted.contains(linkStatus.uid), isFixed(linkStatus.uid) else {
            throw refuse(component)
        }
        linksLeft -= 1
        let text = try Syscalls.link("", at: link.raw)
        if text.hasPrefix("/") {
            let top = try PathWalk.top()
            (directory, status, mount) = (top.directory, top.status, top.mount)
        }
        (parent, name, isMountRoot) = (nil, "", nil)
        rest += Self.components(text)
    }

    private static func top() throws(Errno) -> PathWalk {
        do throws(Place.Failure) {
            return try PathWalk(followsLinks: false)
        } catch {
            throw error.errno
        }
    }

    /// Nobody who is not trusted can take an entry of the directory away, or put another in its
    /// place. `owner` is the entry's, nil where it is not known.
    private func isFixed(_ owner: uid_t?) -> Bool {
        guard trusted.contains(status.uid) else { return false }
        if status.mode & 0o022 == 0 { return true }
        return status.mode & S_ISVTX != 0 && owner.map { trusted.contains($0) } ?? false
    }

    private mutating func refuse(_ component: String) -> Errno {
        why =
            (component == ".." ? ".. leads" : "the symbolic link \(component.shellQuoted) leads")
            + " wherever another user wants; give a path without it"
        return .permissionDenied
    }

    /// Of a mount that was made meanwhile, too.
    private mutating func entry(_ id: UInt64) throws(Errno) -> MountEntry {
        if mounts[id] == nil {
            mounts = Dictionary(
                try MountEntry.all().map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        }
        guard let entry = mounts[id] else { throw .resourceTemporarilyUnavailable }
        return entry
    }
}
