import Glibc
import Testing

/// A memory cgroup below this process's own, with a limit.
struct Cgroup {
    private let path: String
    private let parent: String

    private static let isUnified = exists("/sys/fs/cgroup/cgroup.controllers")

    /// This process's own, where memory is counted.
    private static let own: String? = {
        let lines = ((try? text(of: "/proc/self/cgroup")) ?? "").split(separator: "\n")
        for line in lines {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if isUnified, fields[0] == "0" { return "/sys/fs/cgroup" + fields[2] }
            if !isUnified, fields[1] == "memory" { return "/sys/fs/cgroup/memory" + fields[2] }
        }
        return nil
    }()

    private static var limitFile: String { isUnified ? "memory.max" : "memory.limit_in_bytes" }

    /// Nil where one can be made.
    static let whyNot: String? = {
        guard Machine.isRoot else { return "needs root to make a cgroup" }
        guard let own, let cgroup = try? Cgroup(limit: 1 << 30) else {
            return "no memory cgroup can be made here"
        }
        cgroup.remove()
        return nil
    }()

    static let comment = Comment(rawValue: whyNot ?? "")

    init(limit: Int) throws {
        parent = try #require(Self.own)
        path = "\(parent)/devfs-test-\(getpid())"
        try checked { unsafe mkdir(path, 0o755) }
        do {
            try Self.put("\(limit)", "\(path)/\(Self.limitFile)")
        } catch {
            remove()
            throw error
        }
    }

    func add(_ pid: pid_t) throws { try Self.put("\(pid)", "\(path)/cgroup.procs") }

    func leave(_ pid: pid_t) throws { try Self.put("\(pid)", "\(parent)/cgroup.procs") }

    /// What it holds is its parent's, or nobody's.
    func remove() { unsafe rmdir(path) }

    private static func put(_ text: String, _ file: String) throws {
        let descriptor = try checked { unsafe open(file, O_WRONLY) }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        try checked { Int32(unsafe write(descriptor, bytes, bytes.count)) }
    }
}
