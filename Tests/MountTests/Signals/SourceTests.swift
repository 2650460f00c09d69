import Glibc
import Testing

extension MountTests {
    /// "Write `NAME software`, `NAME timer period=TIME` or `NAME remove`. Read: the signals, one a
    /// line", and the files `count`, `missed`, `enable` and `trigger`.
    @Suite struct Sources {
        @Test func `a signal has six files, and control slash signal shows it`() throws {
            try withMount { mount in
                try mount.put("go software\ntick timer period=1s\n", "control/signal")
                #expect(names(in: mount.path("signals")) == ["go", "tick"])
                let files = ["count", "enable", "missed", "notify", "trigger", "wait"]
                #expect(names(in: mount.path("signals/go")) == files)
                #expect(names(in: mount.path("signals/tick")) == files)
                let text = try mount.bash("cat control/signal")
                #expect(text.hasPrefix("go software"))
                #expect(text.contains("\ntick timer period=1s"))
                for name in ["go", "tick"] {
                    #expect(try mount.value("signals/\(name)/enable") == "1")
                }
            }
        }

        @Test(arguments: [
            "x", "x hardware", "x software period=1s", "x timer", "x timer period=", "x timer 1s",
            "x timer period=1", "x timer period=0s", "x timer period=0.5s", "x timer period=999ns",
            "x timer period=3601s", "x timer period=-1s", "x timer period=1h", ".x software",
            "x timer period=1s period=1s", "x software software", "x remove now", "x/y software",
            "x timer period=99999999999999999999s",
        ])
        func `a malformed line is EINVAL`(line: String) throws {
            try withMount { mount in
                #expect(throws: Errno(EINVAL)) { try mount.put(line, "control/signal") }
                #expect(names(in: mount.path("signals")).isEmpty)
                let refusal = try mount.lastRefusal
                #expect(refusal?.errno == "EINVAL")
            }
        }

        @Test func `a taken name is EEXIST, an unknown one ENOENT, one that streams EBUSY`() throws
        {
            try withMount { mount in
                try mount.put("x software\n", "control/signal")
                #expect(throws: Errno(EEXIST)) { try mount.put("x software", "control/signal") }
                #expect(throws: Errno(EEXIST)) {
                    try mount.put("x timer period=1s", "control/signal")
                }
                #expect(throws: Errno(ENOENT)) { try mount.put("y remove", "control/signal") }
                try mount.alloc("rx 16k")
                try mount.put("t buffer=rx period=4k source=x\n", "control/stream")
                #expect(throws: Errno(EBUSY)) { try mount.put("x remove", "control/signal") }
                try mount.put("t remove\n", "control/stream")
                try mount.put("x remove", "control/signal")
                #expect(names(in: mount.path("signals")).isEmpty)
            }
        }

        @Test func `the shortest and the longest period are taken`() throws {
            try withMount { mount in
                try mount.put("a timer period=3600s\nb timer period=1000us\n", "control/signal")
                try mount.put("c timer period=1us\n", "control/signal")
                #expect(holds { ((try? mount.number("signals/c/count")) ?? 0) > 100 })
                try mount.put("c remove\n", "control/signal")
                #expect(try mount.value("signals/a/count") == "0")
            }
        }

        @Test func `trigger takes a number of events up to a million`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                for (text, total) in [
                    ("1\n", 1), ("10", 11), ("0x10\n", 27), ("1k", 1051), ("1000000", 1_001_051),
                ] {
                    try mount.put(text, "signals/go/trigger")
                    #expect(try mount.number("signals/go/count") == total)
                }
                for text in ["0", "1000001", "-1", "x", "1 1", "\n", "1.0"] {
                    #expect(throws: Errno(EINVAL), "\(text)") {
                        try mount.put(text, "signals/go/trigger")
                    }
                }
                #expect(try mount.number("signals/go/count") == 1_001_051)
            }
        }

        @Test func `a timer can't be triggered, a disabled source makes no events`() throws {
            try withMount { mount in
                try mount.put("go software\ntick timer period=2ms\n", "control/signal")
                #expect(throws: Errno(EOPNOTSUPP)) { try mount.put("1", "signals/tick/trigger") }
                try mount.put("0\n", "signals/go/enable")
                #expect(throws: Errno(EAGAIN)) { try mount.put("1", "signals/go/trigger") }
                #expect(try mount.value("signals/go/count") == "0")
                try mount.put("1\n", "signals/go/enable")
                try mount.put("1", "signals/go/trigger")
                #expect(try mount.value("signals/go/count") == "1")

                #expect(holds { ((try? mount.number("signals/tick/count")) ?? 0) > 2 })
                try mount.put("0\n", "signals/tick/enable")
                let count = try mount.number("signals/tick/count")
                // Another timer of the same period says when enough time has gone by.
                try mount.put("clock timer period=2ms\n", "control/signal")
                #expect(holds { ((try? mount.number("signals/clock/count")) ?? 0) > 20 })
                #expect(try mount.number("signals/tick/count") == count)
                try mount.put("1", "signals/tick/enable")
                #expect(holds { ((try? mount.number("signals/tick/count")) ?? 0) > count })
                for text in ["2", "-1", "yes", "", "10"] where text != "" {
                    #expect(throws: Errno(EINVAL), "\(text)") {
                        try mount.put(text, "signals/tick/enable")
                    }
                }
                #expect(try mount.value("signals/tick/enable") == "1")
            }
        }
    }
}
