import Glibc
import Testing

extension MountTests {
    /// "Errors of `stream`: ... unknown buffer or source | `ENOENT`"
    @Suite struct StreamCommands {
        private func withBuffer(_ body: (Mount) throws -> Void) throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                try mount.put("s software\n", "control/signal")
                try body(mount)
            }
        }

        @Test func `a stream has its files, and control slash stream shows it`() throws {
            try withBuffer { mount in
                try mount.put(
                    "t buffer=rx period=4K source=s policy=stop watermark=100\n", "control/stream")
                #expect(names(in: mount.path("streams")) == ["t"])
                #expect(
                    names(in: mount.path("streams/t"))
                        == [
                            "available", "data", "enable", "overruns", "ready", "status",
                            "watermark",
                        ])
                let line = try mount.bash("cat control/stream")
                let head = "t buffer=rx period=4096 source=s policy=stop"
                #expect(line.hasPrefix(head) && line.contains("watermark=100"))
                #expect(try mount.value("streams/t/status") == "armed")
                #expect(try mount.value("streams/t/enable") == "0")
                try mount.put("1", "streams/t/enable")
                #expect(try mount.value("streams/t/status") == "running")
                for text in ["2", "x", "-1", "\n"] {
                    #expect(throws: Errno(EINVAL)) { try mount.put(text, "streams/t/enable") }
                }
                try mount.put("u remove\n".replacing("u", with: "t"), "control/stream")
                #expect(names(in: mount.path("streams")).isEmpty)
            }
        }

        @Test(arguments: [
            "t", "t buffer=rx", "t buffer=rx period=4K", "t period=4K source=s",
            "t buffer=rx source=s", "t buffer=rx period=0 source=s",
            "t buffer=rx period=3 source=s",
            "t buffer=rx period=6 source=s", "t buffer=rx period=64K source=s",
            "t buffer=rx period=128K source=s", "t buffer=rx period=12K source=s",
            "t buffer=rx period=-4 source=s", "t buffer=rx period=4K source=s policy=never",
            "t buffer=rx period=4K source=s watermark=0",
            "t buffer=rx period=4K source=s watermark=61441",
            "t buffer=rx period=4K source=s rate=1000",
            "t buffer=rx period=4K source=pattern rate=0",
            "t buffer=rx period=4K source=pattern rate=1073741825",
            "t buffer=rx buffer=rx period=4K source=s", "t buffer=rx period=4K source=s color=red",
            ".t buffer=rx period=4K source=s", "t remove now",
        ])
        func `a malformed line is EINVAL and makes nothing`(line: String) throws {
            try withBuffer { mount in
                #expect(throws: Errno(EINVAL)) { try mount.put(line, "control/stream") }
                #expect(names(in: mount.path("streams")).isEmpty)
                let refs = try mount.value("attributes/rx/refs")
                #expect(refs == "0")
            }
        }

        @Test func `unknown is ENOENT, taken EEXIST, and a buffer that streams EBUSY`() throws {
            try withBuffer { mount in
                let cases: [(String, Int32)] = [
                    ("t buffer=none period=4K source=s", ENOENT),
                    ("t buffer=rx period=4K source=none", ENOENT), ("t remove", ENOENT),
                ]
                for (line, code) in cases {
                    #expect(throws: Errno(code), "\(line)") {
                        try mount.put(line, "control/stream")
                    }
                }
                try mount.put("t buffer=rx period=32K source=s", "control/stream")
                #expect(throws: Errno(EBUSY)) {
                    try mount.put("u buffer=rx period=4K source=s", "control/stream")
                }
                try mount.alloc("other 64K")
                #expect(throws: Errno(EEXIST)) {
                    try mount.put("t buffer=other period=4K source=s", "control/stream")
                }
                try mount.put(
                    "u buffer=other period=0x1000 source=pattern rate=1G", "control/stream")
                #expect(names(in: mount.path("streams")) == ["t", "u"])
            }
        }
    }
}
