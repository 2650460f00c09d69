import Glibc
import Testing

extension MountTests {
    /// "Write `NAME SIZE [heap=H] [direction=D] [lease=none|process]`. ... Read: the buffers, one
    /// a line".
    @Suite struct Alloc {
        private static func lines(of mount: Mount) throws -> [String] {
            try text(of: mount.path("control/alloc")).split(separator: "\n").map(String.init)
        }

        @Test func `every key and value is taken, in any order`() throws {
            try withMount { mount in
                try mount.put(
                    """
                    a 4k heap=system direction=bidirectional lease=none
                    b 4k direction=to_device heap=contiguous
                    c 4k lease=none heap=coherent direction=from_device

                    """, "control/alloc")
                let uid = getuid()
                let gid = getgid()
                let lines = try MountTests.Alloc.lines(of: mount)
                let owner = "uid=\(uid) gid=\(gid) mode=0644"
                #expect(lines[0].hasPrefix("a 4096 heap=system direction=bidirectional \(owner)"))
                #expect(lines[1].hasPrefix("b 4096 heap=contiguous direction=to_device \(owner)"))
                #expect(lines[2].hasPrefix("c 4096 heap=coherent direction=from_device \(owner)"))
                #expect(lines.count == 3)
                try mount.bash("chmod 600 buffers/b; truncate -s 100 buffers/a")
                let changed = try MountTests.Alloc.lines(of: mount)
                #expect(changed[0].hasPrefix("a 100 ") && changed[1].contains(" mode=0600"))
            }
        }

        @Test(arguments: [
            "x", "x 4k 4k", "x 4k heap", "x 4k heap=", "x 4k =system", "x 4k heap=user",
            "x 4k heap=SYSTEM", "x 4k direction=up", "x 4k lease=ever", "x 4k color=red",
            "x 4k heap=system heap=system", "x 4k direction=to_device direction=to_device",
            "x heap=system", "x heap=system 4k", "4k", "x/y 4k", "../x 4k", ". 4k", ".. 4k",
            "\u{7f} 4k", "ä 4k", "x\u{0} 4k", "x 4k\u{0}", "x 4k \u{1b}[0m",
        ])
        func `a malformed line is EINVAL, is in the log, and makes nothing`(line: String) throws {
            try withMount { mount in
                #expect(throws: Errno(EINVAL)) { try mount.alloc(line) }
                #expect(names(in: mount.path("buffers")).isEmpty)
                let refusal = try #require(try mount.lastRefusal)
                #expect(refusal.errno == "EINVAL" && refusal.uid == Int(getuid()))
                #expect(!refusal.why.isEmpty)
            }
        }

        @Test func `a name of 64 bytes is ENAMETOOLONG, one that is taken EEXIST`() throws {
            try withMount { mount in
                let name = String(repeating: "a", count: 63)
                try mount.alloc("\(name) 4k")
                #expect(throws: Errno(ENAMETOOLONG)) { try mount.alloc("\(name)a 4k") }
                #expect(throws: Errno(EEXIST)) { try mount.alloc("\(name) 8k") }
                #expect(try mount.size(name) == 4096)
                #expect(names(in: mount.path("buffers")) == [name])
            }
        }

        @Test(arguments: [
            "x", "x for_gpu", "x for_cpu 0", "x for_cpu 0 1 2", "x for_cpu -1 1",
            "x for_cpu 0 4097",
            "x for_cpu 4096 1", "x for_cpu 9223372036854775807 9223372036854775807", "for_cpu",
            "x for_device 4095 2", "x for_cpu a b",
        ])
        func `a sync with a bad line or range is EINVAL`(line: String) throws {
            try withMount { mount in
                try mount.alloc("x 4k")
                #expect(throws: Errno(EINVAL)) { try mount.put(line, "control/sync") }
                #expect(try mount.value("attributes/x/sync_owner") == "0")
                #expect(try mount.lastRefusal?.errno == "EINVAL")
            }
        }

        @Test func `sync takes a buffer, or a range of it, a length of 0 is the rest`() throws {
            try withMount { mount in
                try mount.alloc("x 4k")
                for range in ["", " 0 4096", " 100 200", " 4096 0", " 0 0", " 0x10 1k"] {
                    try mount.put("x for_device\(range)\n", "control/sync")
                    #expect(try mount.value("attributes/x/sync_owner") == "1")
                    try mount.put("x for_cpu\(range)\n", "control/sync")
                    #expect(try mount.value("attributes/x/sync_owner") == "0")
                }
                #expect(throws: Errno(ENOENT)) { try mount.put("none for_cpu", "control/sync") }
                #expect(throws: Errno(ENOENT)) { try mount.put("none", "control/free") }
                #expect(throws: Errno(EINVAL)) { try mount.put("x y", "control/free") }
                #expect(exists(mount.buffer("x")))
            }
        }

        @Test func `heaps show type, limit, what each uses, and the largest allocation`() throws {
            try withMount(.best, "size=16M") { mount in
                #expect(
                    names(in: mount.path("control/heaps")) == ["coherent", "contiguous", "system"])
                for (heap, type) in [
                    ("system", "page"), ("contiguous", "fixed"), ("coherent", "fixed"),
                ] {
                    let directory = "control/heaps/\(heap)/"
                    #expect(names(in: mount.path(directory)) == ["max", "size", "type", "used"])
                    #expect(try mount.value(directory + "type") == type)
                    #expect(try mount.number(directory + "size") == 16 << 20)
                    #expect(try mount.number(directory + "used") == 0)
                    try mount.alloc("\(heap) 1M heap=\(heap)")
                    #expect(try mount.number(directory + "used") == 1 << 20)
                }
                let max = try mount.number("control/heaps/system/max")
                #expect(max > 12 << 20 && max <= 13 << 20)
                #expect(throws: Errno(ENOSPC)) { try mount.alloc("big \(max + 4096)") }
                try mount.alloc("big \(max)")
                #expect(try mount.number("control/heaps/coherent/max") < 1 << 16)
            }
        }
    }
}
