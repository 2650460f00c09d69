import Glibc
import SystemPackage

/// A process in another mount namespace that has a mount, which lives as long as it does.
package struct MountHolder: Sendable {
    package var process: Int32
    /// Its name, which it can choose.
    package var name: String
    /// Where the mount is there.
    package var mountpoint: String

    /// Namespaces and processes that are looked at, and for how long: other users can have many.
    private static let (namespaces, processes, patience) = (256, 65536, Duration.seconds(2))

    /// The file system of a mount, in other mount namespaces.
    package static func of(_ mount: MountEntry) -> [MountHolder] {
        of { $0.type == mount.type && $0.device == mount.device }
    }

    /// A device's tree, in other mount namespaces.
    static func of(source: String) -> [MountHolder] {
        of { $0.isOurs && $0.source == source }
    }

    /// One process for each namespace, as far as this user may look.
    private static func of(_ matches: (MountEntry) -> Bool) -> [MountHolder] {
        let end = ContinuousClock.now + patience
        guard let names = try? Syscalls.names(in: "/proc"), let own = namespace(of: "self")
        else { return [] }
        var (seen, found) = (Set([own]), [MountHolder]())
        for process in names.compactMap({ pid_t($0) }).sorted().prefix(processes) {
            guard seen.count <= namespaces, ContinuousClock.now < end else { break }
            guard let there = namespace(of: "\(process)"), seen.insert(there).inserted,
                let mount = (try? MountEntry.all(seenBy: process))?.first(where: matches)
            else { continue }
            found.append(
                MountHolder(
                    process: process, name: name(of: process), mountpoint: mount.mountpoint))
        }
        return found
    }

    private static func namespace(of process: String) -> String? {
        try? Syscalls.link("/proc/\(process)/ns/mnt", at: Syscalls.currentDirectory)
    }

    /// `proc_pid_comm(5)`
    static func name(of process: pid_t) -> String {
        let text = (try? Syscalls.contents(of: "/proc/\(process)/comm")) ?? []
        return String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    /// The first few: `process 12 (bash), on /mnt`.
    ///
    /// No command to unmount there is named: it would be a program of that namespace, whose files are
    /// whatever its user has mounted over them.
    package static func list(_ holders: [MountHolder]) -> String {
        let shown = holders.prefix(4).map { holder in
            "process \(holder.process) (\(holder.name.shellQuoted)), on "
                + holder.mountpoint.shellQuoted
        }
        let more = holders.count - shown.count
        return shown.joined(separator: "; ") + (more > 0 ? "; and \(more) more" : "")
    }
}
