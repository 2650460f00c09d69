import Glibc
import Testing

extension MountTests {
    /// "attributes/NAME/: one value a file".
    @Suite struct Attributes {
        @Test(arguments: ["system", "contiguous", "coherent"])
        func `every attribute reads as the manual says`(heap: String) throws {
            try withMount { mount in
                try mount.alloc("rx 64K heap=\(heap) direction=from_device")
                let values = [
                    "size": "65536", "heap": heap, "direction": "from_device",
                    "numa_node": "-1", "dma_coherent": "1", "sync_offset": "0", "sync_size": "0",
                    "sync_direction": "2", "sync_owner": "0", "refs": "0", "name": "rx",
                    "lease": "none",
                ]
                var all = ["dma_addr", "phys_addr", "nents", "sg_table", "owner"]
                all += ["sync_for_cpu", "sync_for_device"] + values.keys
                #expect(names(in: mount.path("attributes/rx")) == all.sorted())
                for (name, value) in values where name != "sync_direction" && name != "numa_node" {
                    #expect(try mount.value("attributes/rx/" + name) == value, "\(name)")
                }
                let direction = try mount.value("attributes/rx/sync_direction")
                #expect(["0", "2"].contains(direction))
                #expect(try mount.number("attributes/rx/numa_node") >= -1)
                for name in ["dma_addr", "phys_addr", "nents", "sg_table"] {
                    #expect(throws: Errno(ENODATA), "\(name)") {
                        try text(of: mount.path("attributes/rx/" + name))
                    }
                }
                #expect(throws: Errno(ENOENT)) { try mount.open("attributes/rx/other", O_RDONLY) }
            }
        }

        @Test func `direction is bidirectional if not said, and to_device if said`() throws {
            try withMount { mount in
                try mount.bash("echo 'a 4k' > control/alloc; touch buffers/b")
                try mount.alloc("c 4k direction=to_device")
                #expect(try mount.value("attributes/a/direction") == "bidirectional")
                #expect(try mount.value("attributes/b/direction") == "bidirectional")
                #expect(try mount.value("attributes/c/direction") == "to_device")
            }
        }

        @Test(arguments: Mode.here)
        func `writing size is ftruncate`(mode: Mode) throws {
            try withMount(mode, "size=8M") { mount in
                try mount.fill("rx", pattern(4096))
                try mount.put("0x2000\n", "attributes/rx/size")
                #expect(try mount.contents("rx") == pattern(4096) + zeros(4096))
                try mount.put("1k", "attributes/rx/size")
                #expect(try mount.contents("rx") == Array(pattern(4096).prefix(1024)))
                #expect(throws: Errno(ENOSPC)) { try mount.put("1G\n", "attributes/rx/size") }
                let held = try mount.open("buffers/rx")
                defer { held.close() }
                #expect(throws: Errno(EBUSY)) { try mount.put("1\n", "attributes/rx/size") }
                try mount.alloc("fixed 4k heap=contiguous")
                #expect(throws: Errno(ENOSPC)) { try mount.put("8k\n", "attributes/fixed/size") }
                #expect(try mount.number("attributes/rx/size") == 1024)
                #expect(try mount.number("attributes/fixed/size") == 4096)
            }
        }

        @Test(arguments: [
            "size", "sync_offset", "sync_size", "sync_for_cpu", "sync_for_device",
            "sync_direction", "lease", "name",
        ])
        func `a wrong value is EINVAL and changes nothing`(name: String) throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                let file = "attributes/rx/" + name
                let before = try? mount.value(file)
                var wrong = ["", "\n", "-1", "1 2", "1.5", "0x", "1T", "9223372036854775808", "+1"]
                wrong += ["1\n2\n", "\u{0}", " ", "0xg", "1kk", "18446744073709551616", "none?"]
                if name == "name" { wrong = ["", "\n", ".a", "a b", "a/b", "a\nb\n", "\u{1}"] }
                for value in wrong where value != "" {
                    #expect(throws: Errno(EINVAL), "\(name) = '\(value)'") {
                        try mount.put(value, file)
                    }
                }
                #expect((try? mount.value(file)) == before)
                #expect(names(in: mount.path("attributes")) == ["rx"])
                #expect(try mount.lastRefusal?.errno == "EINVAL")
                #expect(try mount.lastRefusal?.file.hasSuffix(file) ?? false)
            }
        }

        @Test func `owner is the pid that allocated, 0 when that has ended`() throws {
            try withMount { mount in
                try mount.alloc("rx 4k")
                #expect(try mount.number("attributes/rx/owner") == Int(getpid()))
                try mount.bash("echo 'short 4k' > control/alloc")
                #expect(holds { (try? mount.value("attributes/short/owner")) == "0" })
            }
        }

        @Test(arguments: Mode.here)
        func `refs counts descriptors through the mount and streams`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 64k")
                let one = try mount.open("buffers/rx")
                let two = try mount.open("buffers/rx", O_RDONLY)
                #expect(try mount.value("attributes/rx/refs") == "2")
                try mount.put("s software\n", "control/signal")
                try mount.put("t buffer=rx period=4k source=s\n", "control/stream")
                #expect(try mount.value("attributes/rx/refs") == "3")
                try mount.put("t remove\n", "control/stream")
                [one, two].closeAll()
                #expect(holds { (try? mount.value("attributes/rx/refs")) == "0" })
            }
        }

        @Test func `attributes of a removed buffer are gone, for an open one too`() throws {
            try withMount { mount in
                try mount.alloc("rx 4k")
                let file = try mount.open("attributes/rx/size", O_RDWR)
                defer { file.close() }
                try mount.bash("rm buffers/rx")
                #expect(throws: (any Error).self) { try file.write("8k\n") }
                #expect(!exists(mount.path("attributes/rx")))
            }
        }
    }
}
