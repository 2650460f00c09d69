import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// "An allocation that the server's memory cgroup has no room for is `ENOMEM`."
@Suite("The limit of the memory cgroup") struct MemoryLimitTests {
    /// A directory in place of `/`.
    private final class Root {
        let path = "/tmp/devfs-cgroup-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"

        init(cgroup: String, mountinfo: String) throws {
            try put(cgroup, "proc/self/cgroup")
            try put(mountinfo, "proc/self/mountinfo")
        }

        deinit { _ = Spawn.run(["rm", "-rf", path]) }

        func put(_ text: String, _ file: String) throws {
            var directory = path
            try Syscalls.makeDirectory(directory, mode: 0o700)
            for part in file.split(separator: "/").dropLast() {
                directory += "/\(part)"
                try Syscalls.makeDirectory(directory, mode: 0o700)
            }
            let descriptor = try Syscalls.open(
                "\(path)/\(file)", flags: O_CREAT | O_TRUNC | O_WRONLY, mode: 0o600)
            let bytes = Array(text.utf8)
            #expect(unsafe pwrite(descriptor.raw, bytes, bytes.count, 0) == bytes.count)
        }

        func unified(_ path: String, max: String, current: Int, file: Int = 0) throws {
            let directory = "sys/fs/cgroup\(path)"
            try put("\(max)\n", "\(directory)/memory.max")
            try put("\(current)\n", "\(directory)/memory.current")
            try put(
                "anon 5\nfile 999\nactive_file \(file)\ninactive_file \(file)\n",
                "\(directory)/memory.stat")
        }
    }

    private static let mib = 1 << 20
    private static let unified =
        "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw,nsdelegate\n"

    @Test func `the least room of all cgroups above counts`() throws {
        let root = try Root(cgroup: "0::/system.slice/devfs.service\n", mountinfo: Self.unified)
        try root.unified("/system.slice/devfs.service", max: "\(800 * Self.mib)", current: 0)
        try root.unified("/system.slice", max: "\(400 * Self.mib)", current: 300 * Self.mib)
        let limit = MemoryLimit(root: root.path)
        #expect(
            limit.room()
                == MemoryLimit.Room(
                    bytes: 100 << 20, reserve: 16 << 20, cgroup: "/system.slice"))
        // What the kernel takes back by itself is room as well.
        try root.unified(
            "/system.slice", max: "\(400 * Self.mib)", current: 300 * Self.mib,
            file: 50 * Self.mib)
        #expect(limit.room()?.bytes == 200 << 20)
        try root.unified("/system.slice", max: "max", current: 300 * Self.mib)
        #expect(limit.room()?.bytes == 800 << 20)
        try root.unified("/system.slice/devfs.service", max: "max", current: 1)
        #expect(limit.room() == nil)
    }

    @Test func `the first version's cgroup of a container is found`() throws {
        let root = try Root(
            cgroup: "5:cpu:/docker/1\n4:memory:/docker/1/sub\n0::/\n",
            mountinfo: "30 20 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw\n"
                + "31 20 0:27 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
        let directory = "sys/fs/cgroup/memory/sub"
        try root.put("\(64 * Self.mib)\n", "\(directory)/memory.limit_in_bytes")
        try root.put("\(60 * Self.mib)\n", "\(directory)/memory.usage_in_bytes")
        try root.put(
            "inactive_file 1\ntotal_inactive_file \(2 * Self.mib)\n", "\(directory)/memory.stat")
        try root.put("9223372036854771712\n", "sys/fs/cgroup/memory/memory.limit_in_bytes")
        try root.put("\(70 * Self.mib)\n", "sys/fs/cgroup/memory/memory.usage_in_bytes")
        let limit = MemoryLimit(root: root.path)
        #expect(
            limit.room()
                == MemoryLimit.Room(bytes: 6 << 20, reserve: 8 << 20, cgroup: "/sub"))
    }

    @Test func `what is asked for at once, and little by little, is refused`() throws {
        let root = try Root(cgroup: "0::/a\n", mountinfo: Self.unified)
        try root.unified("/a", max: "\(200 * Self.mib)", current: 100 * Self.mib)
        let limit = MemoryLimit(root: root.path)
        let free = UInt64(84 * Self.mib)
        try limit.admitting(free) {}
        #expect(throws: Errno.noMemory) { try limit.admitting(free + 1) {} }
        #expect(throws: Errno.noMemory) { try limit.admitting(.max) {} }
        // What others have been admitted counts until it is there.
        try limit.admitting(free / 2) { () throws(Errno) in
            try limit.admitting(free / 2) {}
            do throws(Errno) {
                try limit.admitting(free / 2 + 1) {}
                Issue.record("more than there is")
            } catch {
                guard error == .noMemory else { throw error }
            }
        }
        try root.unified("/a", max: "\(200 * Self.mib)", current: 199 * Self.mib)
        var admitted = 0
        #expect(throws: Errno.noMemory) {
            while admitted < 10_000 {
                try limit.admitting(4096) {}
                admitted += 1
            }
        }
        #expect(admitted <= 1024)
    }

    @Test func `without a cgroup there is no limit`() throws {
        let limit = MemoryLimit(root: "/nonexistent")
        #expect(limit.room() == nil)
        try limit.admitting(.max) {}
    }
}
