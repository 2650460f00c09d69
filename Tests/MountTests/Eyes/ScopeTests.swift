import Glibc
import Testing

extension MountTests {
    /// devfs-view(1), live.
    @Suite(.enabled(if: Tmux.isThere, "needs tmux")) struct LiveView {
        private func withStream(_ words: String = "rate=1M", _ body: (Mount) throws -> Void) throws
        {
            try withMount { mount in
                try mount.alloc("ring 1M")
                try mount.put(
                    "adc buffer=ring period=4K source=pattern \(words)\n", "control/stream")
                try body(mount)
            }
        }

        private func start(_ mount: Mount, _ terminal: Tmux, _ words: String) throws {
            try terminal.type("\(Machine.devfs) view \(mount.root)/\(words); echo status $?")
        }

        @Test func `a stream is live, is held, and goes on`() throws {
            try withStream { mount in
                let terminal = try Tmux(columns: 100)
                try start(mount, terminal, "streams/adc --type u4")
                try terminal.shows { $0.first == "adc" && $0[1].hasPrefix("1: ") }
                #expect(try terminal.isAlternate)
                let before = try terminal.screen()[1]
                try terminal.shows { $0[1].hasPrefix("1: ") && $0[1] != before }
                try terminal.press("Space")
                try terminal.shows { $0[0] == "adc  held" }
                let held = try terminal.screen()
                usleep(300_000)
                #expect(try terminal.screen() == held)
                try terminal.press("Space")
                try terminal.shows { $0[1].hasPrefix("1: ") && $0[1] != held[1] }
                try terminal.press("f")
                try terminal.shows("spectrum of 1024 samples")
                try terminal.press("q")
                try terminal.shows("status 0")
                #expect(try terminal.isRestored())
            }
        }

        @Test func `a trigger finds its level, and holds once`() throws {
            // 16 bit halves of counters: 0 to 65535 again and again in the lower one.
            // Nothing is lost: a gap would be a crossing, too.
            try withStream("rate=1M policy=stop") { mount in
                let terminal = try Tmux(columns: 100)
                try start(
                    mount, terminal, "streams/adc --type u2 --channels 2 --trigger 30000 --hold")
                try terminal.shows { $0[0] == "adc  held  trigger rising to 30000" }
                // An eighth of the window is in front of it.
                let words = try terminal.screen()[1].split(separator: " ")
                try #require(words.count == 4)
                #expect(Int(words[1]) == 30000 - 128 && Int(words[3]) == 30000 + 895)
                try terminal.press("Down")
                try terminal.shows { $0[0].contains("trigger rising to 29949") }
                try terminal.press("e")
                try terminal.shows { $0[0].contains("trigger falling") }
                try terminal.press("t", "Space")
                try terminal.shows { $0[0].hasPrefix("adc") && !$0[0].contains("trigger") }
                try terminal.press("t")
                // A counter falls at its end alone.
                try terminal.shows { $0[0].contains("trigger falling") }
                try terminal.press("q")
                try terminal.shows("status 0")
            }
        }

        @Test func `a trigger that fires once is not missed`() throws {
            // This generator waits while the ring is full, so nothing is lost.
            try withStream("rate=4M policy=stop") { mount in
                let terminal = try Tmux(columns: 100)
                try start(mount, terminal, "streams/adc --type u4 --trigger 3000000 --hold")
                try terminal.shows(within: .seconds(30)) {
                    $0[0] == "adc  held  trigger rising to 3000000"
                        && $0[1] == "1: \(3_000_000 - 128) to \(3_000_000 + 895)"
                }
                try terminal.press("q")
                try terminal.shows("status 0")
            }
        }

        @Test func `a stream that ends stays to be looked at, one that is removed is an error`()
            throws
        {
            try withStream { mount in
                let terminal = try Tmux(columns: 100)
                try start(mount, terminal, "streams/adc --type u4")
                try terminal.shows { $0.first == "adc" && $0[1].hasPrefix("1: ") }
                try mount.put("0", "streams/adc/enable")
                try terminal.shows { $0.first == "adc  ended" && $0[1].hasPrefix("1: ") }
                try terminal.press("q")
                try terminal.shows("status 0")
                try terminal.type("clear")
                try mount.put("1", "streams/adc/enable")
                try start(mount, terminal, "streams/adc --type u4")
                try terminal.shows { $0.first == "adc" && $0[1].hasPrefix("1: ") }
                try mount.put("adc remove\n", "control/stream")
                try terminal.shows("status 1")
                try terminal.shows("the stream was removed")
                #expect(try terminal.isRestored())
            }
        }

        @Test func `20 columns have a picture, 3 by 2 do no harm`() throws {
            try withStream { mount in
                let terminal = try Tmux(columns: 20, rows: 10)
                try start(mount, terminal, "streams/adc --type u4 --channels 4")
                try terminal.shows {
                    $0[0].hasPrefix("adc") && $0[1].hasPrefix("1: ") && $0[4].hasPrefix("2: ")
                }
                #expect(try terminal.screen().allSatisfy { $0.count <= 20 })
                try terminal.resize(columns: 3, rows: 2)
                usleep(200_000)
                try terminal.resize(columns: 60, rows: 20)
                try terminal.shows { $0.contains { $0.hasPrefix("4: ") } }
                try terminal.press("C-c")
                try terminal.shows("status 130")
                #expect(try terminal.isRestored())
            }
        }

        @Test func `a buffer that shrinks under the view ends it with the reason`() throws {
            try withMount { mount in
                try mount.fill("rx", [1, 2, 3, 4])
                let terminal = try Tmux(columns: 100)
                try start(mount, terminal, "buffers/rx --watch")
                try terminal.shows { $0.first == "rx  4 samples" }
                try mount.fill("rx", [9, 9, 9, 9])
                try terminal.shows { $0[1] == "1: 9 to 9" }
                try mount.bash("truncate -s 2 buffers/rx")
                try terminal.shows { $0.first == "rx  2 samples" }
                try mount.bash("truncate -s 0 buffers/rx")
                try terminal.shows("status 1")
                try terminal.shows("it has 0 bytes from 0 on, and a frame is 1 bytes")
                #expect(try terminal.isRestored())
            }
        }

        @Test func `a server that dies ends it`() throws {
            try withStream { mount in
                let terminal = try Tmux(columns: 200)
                try start(mount, terminal, "streams/adc --type u4")
                try terminal.shows { $0.first == "adc" && $0[1].hasPrefix("1: ") }
                try mount.stop(SIGKILL)
                try terminal.shows("status 1")
                #expect(try terminal.isRestored())
            }
        }
    }

    /// devfs-view(1), --output: by the Python package of this checkout.
    @Suite struct FigureTests {
        private static let hasMatplotlib =
            Machine.shell("/usr/bin/python3 -c 'import numpy, matplotlib'") != nil

        private func view(_ mount: Mount, _ words: String..., path: String? = nil) throws -> Output
        {
            let path = path ?? "\(Machine.package)/python/src"
            return try Child(
                [
                    "env", "PATH=/usr/bin:/bin", "PYTHONPATH=\(path)", Machine.devfs, "view",
                    "buffers/rx",
                ]
                    + words, directory: mount.root
            ).wait(within: .seconds(60))
        }

        @Test(.enabled(if: hasMatplotlib, "needs python3-matplotlib"))
        func `a picture is a file, and none is overwritten by chance`() throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                let file = mount.directory + "/x.svg"
                let drawn = try view(mount, "--output", file, "--type", "i16le", "--channels", "2")
                #expect(drawn.status == 0, "\(drawn.error)")
                #expect(try text(of: file).contains("<svg"))
                let again = try view(mount, "--output", file)
                #expect(again.status == 1 && again.error.hasSuffix("--force overwrites it\n"))
                #expect(again.error.split(separator: "\n").count == 1)
                let png = mount.directory + "/x.png"
                #expect(try view(mount, "--output", png, "--fft", "--rate", "1M").status == 0)
                #expect(try bytes(of: png).prefix(4) == [0x89, 0x50, 0x4e, 0x47])
                #expect(try view(mount, "--output", file, "--force").status == 0)
            }
        }

        @Test func `without the package it says what to install`() throws {
            try withMount { mount in
                try mount.alloc("rx 4K")
                // Nor is a module of the working directory taken, whoever made it.
                try mount.bash("mkdir -p '\(mount.directory)/trap/devfs'")
                let trap = mount.directory + "/trap"
                let plant = try OpenFile("\(trap)/devfs/plot.py", O_WRONLY | O_CREAT)
                try plant.write("open('\(trap)/sprung', 'w')\n")
                plant.close()
                let output = try Child(
                    [
                        "env", "PATH=/usr/bin:/bin", Machine.devfs, "view", mount.buffer("rx"),
                        "--output", "x.svg",
                    ], directory: trap
                ).wait()
                #expect(
                    output.status == 1 && output.error.contains("pip install"), "\(output.error)")
                #expect(output.error.split(separator: "\n").count == 1)
                #expect(!exists("\(trap)/sprung") && !exists("\(trap)/x.svg"))
                let none = try Child([
                    "env", "PATH=/nonexistent", Machine.devfs, "view", mount.buffer("rx"),
                    "--output", "\(trap)/x.svg",
                ]).wait()
                #expect(none.status == 1 && none.error.contains("there is no python3"))
            }
        }
    }
}
