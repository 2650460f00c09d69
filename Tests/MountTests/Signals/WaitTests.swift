import Glibc
import Testing

extension MountTests {
    /// "Each open file has its own position, at first the newest event. `read` blocks until there
    /// is a newer one, then gives one line `SEQ COUNT MISSED NS`".
    @Suite struct Wait {
        @Test func `cat, head and bash's read each get a line at an event`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                let readers = [
                    try mount.start("cat", "signals/go/wait"),
                    try mount.start("head", "-1", "signals/go/wait"),
                    try mount.start(
                        "bash", "-c", "read seq count missed ns < signals/go/wait; echo $seq $count"
                    ),
                    try mount.start("dd", "if=signals/go/wait", "count=1", "status=none"),
                ]
                for reader in readers { #expect(reader.waitsOn("signals/go/wait")) }
                try mount.put("1", "signals/go/trigger")
                for reader in readers.dropFirst() {
                    let output = try reader.wait()
                    #expect(output.status == 0 && output.text.hasPrefix("1 1"), "\(output)")
                }
                #expect(holds { readers[0].textSoFar.hasSuffix("\n") })
                let fields = readers[0].textSoFar.split(separator: " ")
                #expect(fields.count == 4 && fields[..<3] == ["1", "1", "0"])
                try mount.put("1", "signals/go/trigger")
                #expect(holds { readers[0].textSoFar.split(separator: "\n").count == 2 })
                #expect(readers[0].textSoFar.split(separator: "\n")[1].hasPrefix("2 2 0 "))
                readers[0].signal(SIGINT)
                #expect(try readers[0].wait().status == 128 + SIGINT)
            }
        }

        @Test func `the time is CLOCK_MONOTONIC of the event`() throws {
            try withMount { mount in
                try mount.python(
                    """
                    put("control/signal", "go software\\n")
                    fd = os.open("signals/go/wait", os.O_RDONLY)
                    for n in range(1, 6):
                        before = time.monotonic_ns()
                        put("signals/go/trigger", "1\\n")
                        after = time.monotonic_ns()
                        line = os.read(fd, 100)
                        assert line.endswith(b"\\n")
                        seq, count, missed, ns = map(int, line.split())
                        assert (seq, count, missed) == (n, n, 0) and before <= ns <= after
                    """)
            }
        }

        @Test func `a timer ticks at its period, and SEQ counts on`() throws {
            try withMount { mount in
                try mount.put("tick timer period=10ms\n", "control/signal")
                let text = try mount.bash("head -20 signals/tick/wait")
                let lines = text.split(separator: "\n").map {
                    $0.split(separator: " ").compactMap { Int($0) }
                }
                try #require(lines.count == 20 && lines.allSatisfy { $0.count == 4 })
                for (line, next) in zip(lines, lines.dropFirst()) {
                    #expect(next[0] == line[0] + 1 && next[3] > line[3])
                    #expect(next[1] >= next[0])
                }
                let mean = (lines[19][3] - lines[0][3]) / 19
                #expect(mean > 9_000_000 && mean < 40_000_000, "\(mean) ns")
                #expect(try mount.number("signals/tick/count") >= 20)
            }
        }

        @Test func `each open file has its own position, and begins at the newest event`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                try mount.put("3", "signals/go/trigger")
                let early = try mount.open("signals/go/wait", O_RDONLY | O_NONBLOCK)
                defer { early.close() }
                #expect(throws: Errno(EAGAIN)) { try early.read(100) }
                try mount.put("2", "signals/go/trigger")
                let late = try mount.open("signals/go/wait", O_RDONLY | O_NONBLOCK)
                defer { late.close() }
                #expect(throws: Errno(EAGAIN)) { try late.read(100) }
                try mount.put("1", "signals/go/trigger")
                #expect(try Self.sequence(late) == 6)
                for number in 4...6 { #expect(try Self.sequence(early) == number) }
                #expect(throws: Errno(EAGAIN)) { try early.read(100) }
                #expect(throws: Errno(EAGAIN)) { try late.read(100) }
            }
        }

        @Test func `a short read gets a part of the line and the next one the rest`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                let file = try mount.open("signals/go/wait", O_RDONLY | O_NONBLOCK)
                defer { file.close() }
                try mount.put("2", "signals/go/trigger")
                var line: [UInt8] = []
                while line.last != 10 { line += try file.read(1) }
                #expect(String(decoding: line, as: UTF8.self).hasPrefix("1 2 0 "))
                var second = try file.read(3)
                second += try file.read(100)
                #expect(String(decoding: second, as: UTF8.self).hasPrefix("2 2 0 "))
                #expect(second.last == 10 && second.count(where: { $0 == 10 }) == 1)
                #expect(throws: Errno(EAGAIN)) { try file.read(1) }
            }
        }

        @Test func `a reader that is more than 1,024 behind is told how many it missed`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                let file = try mount.open("signals/go/wait", O_RDONLY | O_NONBLOCK)
                defer { file.close() }
                try mount.put("2000", "signals/go/trigger")
                let first = String(decoding: try file.read(100), as: UTF8.self)
                #expect(first.hasPrefix("977 2000 976 "), "\(first)")
                for number in 978...2000 { #expect(try Self.sequence(file) == number) }
                #expect(throws: Errno(EAGAIN)) { try file.read(100) }
                #expect(try mount.value("signals/go/count") == "2000")
                #expect(try mount.value("signals/go/missed") == "976")
            }
        }

        @Test func `removing the signal wakes its readers with ENODEV`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                let cat = try mount.start("cat", "signals/go/wait")
                let file = try mount.open("signals/go/wait", O_RDONLY)
                defer { file.close() }
                #expect(cat.waitsOn("signals/go/wait"))
                try mount.put("go remove\n", "control/signal")
                let output = try cat.wait(within: .seconds(5))
                #expect(output.status == 1 && output.error.contains("No such device"))
                #expect(throws: Errno(ENODEV)) { try file.read(100) }
                #expect(names(in: mount.path("signals")).isEmpty)
            }
        }

        @Test func `Ctrl-C, SIGTERM and a handler each end a blocked read`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                for number in [SIGINT, SIGTERM, SIGKILL] {
                    let cat = try mount.start("cat", "signals/go/wait")
                    #expect(cat.waitsOn("signals/go/wait"))
                    cat.signal(number)
                    #expect(try cat.wait(within: .seconds(5)).status == 128 + number)
                }
                try mount.python(
                    """
                    class Rang(Exception): pass
                    def ring(*_): raise Rang()
                    signal.signal(signal.SIGALRM, ring)
                    fd = os.open("signals/go/wait", os.O_RDONLY)
                    signal.setitimer(signal.ITIMER_REAL, 0.05)
                    try:
                        os.read(fd, 100)
                        raise AssertionError("it returned")
                    except Rang:
                        pass
                    put("signals/go/trigger", "1")
                    assert os.read(fd, 100).startswith(b"1 1 0 ")
                    """)
            }
        }

        static func sequence(_ file: OpenFile) throws -> Int? {
            let line = String(decoding: try file.read(100), as: UTF8.self)
            return line.split(separator: " ").first.flatMap { Int($0) }
        }
    }
}
