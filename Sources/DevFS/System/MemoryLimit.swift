import Glibc
import Synchronization
import SystemPackage

/// What the memory cgroups of this process leave. Memory of a tmpfs is charged to whoever makes the
/// kernel allocate it, and beyond the limit the kernel ends the process: to be asked before.
final class MemoryLimit: Sendable {
    /// The least room in a cgroup, and which one that is.
    struct Room: Equatable {
        var bytes: UInt64
        /// Of the cgroup's own limit, what is left to the server and to what it does not ask for.
        var reserve: UInt64
        var cgroup: String
    }

    /// Asked for in all before the files are read again: less is within the reserve.
    private static let step: UInt64 = 4 << 20

    /// In place of `/`, for tests.
    private let root: String
    private let unchecked = Atomic<UInt64>(0)
    /// Admitted and perhaps not yet allocated.
    private let pending = Atomic<UInt64>(0)

    init(root: String = "") {
        self.root = root
    }

    /// Runs what allocates at most `bytes` of memory.
    /// - Throws: ENOMEM where the cgroup has no room for them.
    func admitting<T>(_ bytes: UInt64, _ body: () throws(Errno) -> T) throws(Errno) -> T {
        guard bytes > 0 else { return try body() }
        let others = pending.add(bytes, ordering: .relaxed).oldValue
        defer { pending.subtract(bytes, ordering: .relaxed) }
        let (sum, isHuge) = unchecked.load(ordering: .relaxed).addingReportingOverflow(bytes)
        if sum < Self.step, !isHuge {
            unchecked.add(bytes, ordering: .relaxed)
        } else {
            unchecked.store(0, ordering: .relaxed)
            if let room = room() {
                let free = room.bytes - min(room.bytes, room.reserve)
                guard others <= free, bytes <= free - others else { throw .noMemory }
            }
        }
        return try body()
    }

    /// Nil where no limit is to be seen.
    func room() -> Room? {
        var least: Room?
        for hierarchy in hierarchies() {
            var path = hierarchy.path
            while true {
                if let room = hierarchy.room(path), room.bytes < least?.bytes ?? UInt64.max {
                    least = room
                }
                guard let slash = path.lastIndex(of: "/") else { break }
                path = String(path[..<slash])
            }
        }
        return least
    }

    /// A tree of cgroups that counts memory, and where this process is in it.
    private struct Hierarchy {
        var isUnified: Bool
        var mountpoint: String
        /// Below the mount point; without a slash at the end.
        var path: String

        func room(_ path: String) -> Room? {
            let directory = mountpoint + path
            func number(_ file: String) -> UInt64? {
                (try? Syscalls.contents(of: "\(directory)/\(file)")).flatMap {
                    UInt64(String(decoding: $0, as: UTF8.self).filter { $0 != "\n" })
                }
            }
            // `max`, the root and what is as much as none have no number that means anything.
            guard let limit = number(isUnified ? "memory.max" : "memory.limit_in_bytes"),
                limit < UInt64(Int64.max) / 2,
                let used = number(isUnified ? "memory.current" : "memory.usage_in_bytes")
            else { return nil }
            // What the kernel takes back before it ends anybody.
            var cache: UInt64 = 0
            let prefix = isUnified ? "" : "total_"
            let statistics = (try? Syscalls.contents(of: "\(directory)/memory.stat")) ?? []
            for line in String(decoding: statistics, as: UTF8.self).split(separator: "\n") {
                let words = line.split(separator: " ")
                if words.count == 2,
                    words[0] == prefix + "active_file" || words[0] == prefix + "inactive_file"
                {
                    cache &+= UInt64(words[1]) ?? 0
                }
            }
            let taken = used - min(used, cache)
            return Room(
                bytes: limit - min(limit, taken), reserve: min(16 << 20, limit / 8),
                cgroup: path.isEmpty ? "/" : path)
        }
    }

    /// `cgroups(7)`, `proc_pid_mountinfo(5)`
    private func hierarchies() -> [Hierarchy] {
        func lines(_ file: String) -> [Substring] {
            let bytes = (try? Syscalls.contents(of: root + file)) ?? []
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { $0[...] }
        }
        let mounts = lines("/proc/self/mountinfo").map { $0.split(separator: " ") }
        return lines("/proc/self/cgroup").compactMap { line in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return nil }
            let isUnified = fields[0] == "0"
            guard isUnified || fields[1].split(separator: ",").contains("memory") else {
                return nil
            }
            for mount in mounts {
                guard let dash = mount.firstIndex(of: "-"), dash >= 6, dash + 3 < mount.count,
                    mount[dash + 1] == (isUnified ? "cgroup2" : "cgroup"),
                    isUnified || mount[dash + 3].split(separator: ",").contains("memory")
                else { continue }
                // A container sees a part of the tree, by the path that it has outside.
                var path = fields[2] == "/" ? "" : String(fields[2])
                let top = mount[3] == "/" ? "" : String(mount[3])
                if !top.isEmpty, path == top || path.hasPrefix(top + "/") {
                    path = String(path.dropFirst(top.count))
                }
                return Hierarchy(
                    isUnified: isUnified, mountpoint: root + mount[4], path: path)
            }
            return nil
        }
    }
}
