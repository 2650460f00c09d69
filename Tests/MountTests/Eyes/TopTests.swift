import Glibc
import Testing

extension MountTests {
    /// devfs-top(1).
    @Suite(.enabled(if: Tmux.isThere, "needs tmux")) struct Top {
        private func withBusyMount(_ body: (Mount) throws -> Void) throws {
            try withMount(.best, "size=64M") { mount in
                try mount.alloc("rx 4M")
                try mount.alloc("tx 16K")
                try mount.put("tick timer period=10ms\n", "control/signal")
                try mount.put(
                    "adc buffer=rx period=64K source=pattern rate=16M\n", "control/stream")
                try mount.put("1", "streams/adc/enable")
                try body(mount)
            }
        }

        private func start(_ mount: Mount, _ terminal: Tmux, _ words: String = "") throws {
            try terminal.type("\(Machine.devfs) top \(mount.root) \(words); echo status $?")
            try terminal.shows { $0.first { $0.hasPrefix("tick ") }?.contains("/s ") ?? false }
        }

        private func line(_ start: String, _ screen: [String]) -> [Substring] {
            screen.first { $0.hasPrefix(start) }?.split(separator: " ") ?? []
        }

        @Test func `the table has buffers, rates, the fill, lost periods and the server`() throws {
            try withBusyMount { mount in
                let terminal = try Tmux()
                try start(mount, terminal, "--interval 0.2")
                #expect(try terminal.isAlternate)
                // Nobody reads: soon the ring is full, and periods are lost.
                try terminal.shows { line("adc ", $0).contains("98%") }
                let screen = try terminal.screen()
                #expect(screen[0].hasPrefix("\(mount.device) on \(mount.root)"))
                #expect(screen[1].hasPrefix("server \(mount.server.pid)  rss "))
                #expect(screen[1].hasSuffix("requests/s"))
                #expect(screen[2].hasPrefix("memory 4.0M of 64.0M"))
                #expect(line("rx ", screen).prefix(5) == ["rx", "4.0M", "1", "system", "root"])
                #expect(line("tx ", screen).prefix(3) == ["tx", "16.0K", "0"])
                #expect(line("tick ", screen).contains("timer"))
                try terminal.shows { Int(line("adc ", $0).dropLast(2).last ?? "") ?? 0 > 0 }
                // 16M words of 4 bytes a second, on a machine that is busy less.
                let rate = try line("adc ", terminal.screen())[1]
                #expect(rate.hasSuffix("M/s"))
                try terminal.press("q")
                try terminal.shows("status 0")
            }
        }

        @Test func `keys sort the rows, reverse them, and move in many`() throws {
            try withMount(.best, "size=64M") { mount in
                try mount.put((1...40).map { "b\($0 + 10) \($0)K\n" }.joined(), "control/alloc")
                try mount.put("tick timer period=10ms\n", "control/signal")
                let terminal = try Tmux(rows: 20)
                try start(mount, terminal)
                func buffers(_ screen: [String]) -> [Substring] {
                    screen.filter { $0.hasPrefix("b") }.map { $0.prefix { $0 != " " } }
                }
                let first = buffers(try terminal.screen())
                #expect(first.first == "b11" && first.count > 5 && first.count < 16)
                try terminal.shows("1-\(first.count) of 40")
                try terminal.press("s")
                try terminal.shows {
                    buffers($0).prefix(2) == ["b50", "b49"] && $0[3].contains("SIZE\u{25bc}")
                }
                try terminal.press("r")
                try terminal.shows {
                    buffers($0).prefix(2) == ["b11", "b12"] && $0[3].contains("SIZE\u{25b2}")
                }
                try terminal.press("Down", "Down")
                try terminal.shows { buffers($0).first == "b13" }
                try terminal.press("End")
                try terminal.shows { buffers($0).last == "b50" }
                // The arrows are the next table's.
                try terminal.press("Tab", "Up")
                try terminal.shows { buffers($0).last == "b50" }
                try terminal.press("q")
                try terminal.shows("status 0")
            }
        }

        @Test func `a terminal of 20 columns has the names and the numbers, and grows again`()
            throws
        {
            try withBusyMount { mount in
                let terminal = try Tmux()
                try start(mount, terminal)
                try terminal.resize(columns: 20, rows: 10)
                try terminal.shows {
                    $0.contains { $0.hasPrefix("BUFFER") && !$0.contains("OWNER") }
                }
                try terminal.shows { screen in
                    screen.allSatisfy { $0.count <= 20 }
                        && line("rx ", screen).prefix(2) == ["rx", "4.0M"]
                }
                try terminal.resize(columns: 5, rows: 2)
                try terminal.shows { $0.allSatisfy { $0.count <= 5 } }
                try terminal.resize(columns: 90, rows: 30)
                try terminal.shows {
                    $0.contains { $0.hasPrefix("BUFFER") && $0.contains("OWNER") }
                }
                try terminal.press("q")
                try terminal.shows("status 0")
            }
        }

        @Test func `without UTF-8 the screen is ASCII`() throws {
            try withBusyMount { mount in
                let terminal = try Tmux(locale: "C")
                try start(mount, terminal)
                try terminal.shows { screen in
                    screen.allSatisfy { $0.allSatisfy(\.isASCII) }
                        && screen[2].contains("[#") && screen[3].hasPrefix("BUFFER^")
                }
                try terminal.press("q")
            }
        }

        @Test(arguments: [false, true])
        func `colours are only where NO_COLOR does not forbid them`(isForbidden: Bool) throws {
            try withBusyMount { mount in
                let terminal = try Tmux(columns: 80, "NO_COLOR=\(isForbidden ? "1" : "")")
                try start(mount, terminal)
                // A row with lost periods is yellow.
                try terminal.shows { Int(line("adc ", $0).dropLast(2).last ?? "") ?? 0 > 0 }
                func hasColour() throws -> Bool {
                    try terminal.screen(escapes: true).contains { $0.contains("\u{1b}[33m") }
                }
                #expect(try holds(within: .seconds(isForbidden ? 1 : 5), hasColour) != isForbidden)
                try terminal.press("q")
                try terminal.shows("status 0")
            }
        }

        @Test(arguments: [("C-c", "status 130"), ("", "status 143"), ("q", "status 0")])
        func `whatever ends it, the terminal is as before`(key: String, status: String) throws {
            try withBusyMount { mount in
                let terminal = try Tmux()
                try start(mount, terminal)
                if key.isEmpty {
                    _ = Machine.shell("kill \(try #require(program(mount)))")
                } else {
                    try terminal.press(key)
                }
                try terminal.shows(status)
                #expect(try terminal.isRestored())
            }
        }

        @Test func `Ctrl-Z gives the terminal back, and fg takes it again`() throws {
            try withBusyMount { mount in
                let terminal = try Tmux()
                try start(mount, terminal)
                try terminal.press("C-z")
                try terminal.shows("Stopped")
                #expect(try terminal.isRestored())
                try terminal.type("fg")
                try terminal.shows { line("tick ", $0).contains("timer") }
                // One that was stopped by somebody else finds its screen as it wants it.
                let pid = try #require(program(mount))
                _ = Machine.shell("kill -STOP \(pid)")
                try terminal.shows("Stopped")
                try terminal.type("clear; fg; echo status $?")
                try terminal.shows { line("tick ", $0).contains("timer") }
                try terminal.press("q")
                try terminal.shows("status 0")
                #expect(try terminal.isRestored())
            }
        }

        /// The process of `top` on a mount.
        private func program(_ mount: Mount) -> String? {
            Machine.shell("pgrep -f '[d]evfs top \(mount.root)'")?
                .split(separator: "\n").last.map(String.init)
        }

        @Test func `a mount that goes away ends it with the reason`() throws {
            try withBusyMount { mount in
                let terminal = try Tmux()
                try start(mount, terminal)
                _ = try Child(["umount", "-l", mount.root]).wait()
                try terminal.shows("status 2")
                try terminal.shows("it was unmounted")
                #expect(try terminal.isRestored())
            }
        }

        @Test func `a server that was killed, or stands still, is told`() throws {
            try withBusyMount { mount in
                let terminal = try Tmux(columns: 250)
                try start(mount, terminal, "--timeout 3")
                kill(mount.server.pid, SIGSTOP)
                try terminal.shows("no answer for 2 s")
                try terminal.shows("status 124")
                try terminal.shows("kill -CONT")
                kill(mount.server.pid, SIGCONT)
                #expect(try terminal.isRestored())
                try start(mount, terminal)
                try mount.stop(SIGKILL)
                try terminal.shows("status 1")
                try terminal.shows("the server has died")
                #expect(try terminal.isRestored())
            }
        }

        @Test func `once and JSON are for scripts, and a pipe is as once`() throws {
            try withBusyMount { mount in
                let output = try mount.bash(
                    """
                    '\(Machine.devfs)' top . --once --json --interval 0.3 | python3 -c '
                    import json, sys
                    report = json.load(sys.stdin)
                    assert [b["name"] for b in report["buffers"]] == ["rx", "tx"]
                    tick, = report["signals"]
                    assert 10 < tick["rate"] < 300, tick
                    adc, = report["streams"]
                    assert adc["rate"] > 0 and adc["size"] == 4 << 20 and 0 <= adc["fill"] <= 1, adc
                    server = report["server"]
                    assert server["pid"] == \(mount.server.pid) and server["requests"] > 0
                    assert 1 << 20 < server["rss"] < 1 << 30 and server["size"] == 64 << 20, server
                    assert report["seconds"] >= 0.3
                    '
                    '\(Machine.devfs)' top . --json --interval 0.1 | head -n 3 | python3 -c '
                    import json, sys
                    times = [json.loads(line)["ns"] for line in sys.stdin]
                    assert len(times) == 3 and times == sorted(times), times
                    ' || true
                    LC_ALL=C '\(Machine.devfs)' top --interval 0.1 | cat -A
                    """)
                #expect(output.contains("\nrx       4.0M     1  system  root"))
                #expect(output.allSatisfy(\.isASCII) && !output.contains("^["))
                #expect(!output.contains(" $"), "blanks at the end of a line")
            }
        }

        @Test func `a place with control characters is shown and not obeyed`() throws {
            try withMount { mount in
                let place = mount.directory + "/\u{1b}[31mred"
                _ = try Child(["mkdir", place]).wait()
                defer { _ = try? Child(["fusermount3", "-u", "-z", place]).wait() }
                _ = try Child([Machine.devfs, "mount", "\(mount.device)-x", place]).wait()
                defer {
                    _ = try? Child([Machine.devfs, "unmount", "--", place]).wait()
                    _ = try? Child([Machine.devfs, "device", "remove", "\(mount.device)-x"]).wait()
                }
                let output = try Child([Machine.devfs, "top", "--once", place]).wait()
                #expect(output.status == 0, "\(output.error)")
                #expect(output.text.contains("\\x1b[31mred") && !output.text.contains("\u{1b}"))
            }
        }

        @Test func `wrong usage says what is wrong`() throws {
            try withMount { mount in
                func status(_ words: String...) throws -> Output {
                    try Child([Machine.devfs, "top"] + words).wait()
                }
                #expect(try status(mount.root, "--interval", "0").status == 64)
                #expect(try status(mount.root, "--interval", "x").status == 64)
                #expect(try status("/tmp", "--once").status == 2)
                let terminal = try Tmux(columns: 120, "TERM=no-such-terminal")
                try terminal.type("\(Machine.devfs) top \(mount.root); echo status $?")
                try terminal.shows("status 1")
                try terminal.shows("TERM is no-such-terminal, which is not known here")
            }
        }
    }
}
