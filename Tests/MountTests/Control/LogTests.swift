import Glibc
import Testing

extension MountTests {
    /// "`log`: the last 256 refused commands, oldest first: `TIME pid=P uid=U file=F command="..."
    /// errno=E why="..."`. Bytes that do not print are `\xNN`; a command is cut after 200 bytes."
    @Suite struct Log {
        @Test func `a refused command is one line with who, what and why`() throws {
            try withMount { mount in
                #expect(try mount.log == "" || mount.log.contains("passthrough"))
                let child = try mount.start("bash", "-c", "echo 'rx nonsense' > control/alloc")
                #expect(try child.wait().status != 0)
                let line = try #require(try mount.lastRefusal)
                #expect(line.pid == Int(child.pid) && line.uid == Int(getuid()))
                #expect(line.file.hasSuffix("control/alloc") && line.command == "rx nonsense")
                #expect(line.errno == "EINVAL" && !line.why.isEmpty)
                let time = #/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.*/#
                #expect(line.time.wholeMatch(of: time) != nil, "\(line.time)")
            }
        }

        @Test func `a command that succeeds is not in the log`() throws {
            try withMount(.best) { mount in
                let before = try mount.log
                try mount.bash("echo 'rx 4k' > control/alloc; echo rx > control/free")
                #expect(try mount.log == before)
            }
        }

        @Test func `bytes that do not print are hexadecimal, and a line stays a line`() throws {
            try withMount { mount in
                let noise: [UInt8] =
                    Array("a\u{1}\u{1b}\"\\".utf8) + [0xff, 0x80, 0] + Array("z".utf8)
                let file = try mount.open("control/alloc", O_WRONLY)
                defer { file.close() }
                #expect(throws: Errno(EINVAL)) { try file.write(noise) }
                let log = try bytes(of: mount.path("control/log"))
                #expect(log.allSatisfy { $0 == 10 || (32..<127).contains($0) })
                let line = try #require(try mount.lastRefusal)
                #expect(line.command.hasPrefix("a\\x01\\x1b"))
                #expect(line.command.hasSuffix("\\xff\\x80\\x00z"))
            }
        }

        @Test func `a long command is cut after 200 bytes`() throws {
            try withMount { mount in
                let long = String(repeating: "y", count: 5000)
                #expect(throws: Errno(EINVAL)) { try mount.put(long, "control/alloc") }
                let command = try #require(try mount.lastRefusal).command
                #expect(command.hasPrefix(String(repeating: "y", count: 200)))
                #expect(command.utf8.count < 220)
            }
        }

        @Test func `the log keeps the last 256, oldest first`() throws {
            try withMount { mount in
                for number in 1...300 {
                    #expect(throws: Errno(EINVAL)) {
                        try mount.put("bad\(number)", "control/alloc")
                    }
                }
                let lines = try mount.log.split(separator: "\n").compactMap { LogLine(String($0)) }
                #expect(lines.map(\.command) == (45...300).map { "bad\($0)" })
            }
        }

        @Test func `a reader that has begun sees one whole`() throws {
            try withMount { mount in
                for number in 1...50 {
                    #expect(throws: Errno(EINVAL)) {
                        try mount.put("bad\(number)", "control/alloc")
                    }
                }
                let whole = try mount.log
                let file = try mount.open("control/log", O_RDONLY)
                defer { file.close() }
                var got = try file.read(100)
                #expect(throws: Errno(EINVAL)) { try mount.put("another", "control/alloc") }
                while case let more = try file.read(77), !more.isEmpty { got += more }
                #expect(String(decoding: got, as: UTF8.self) == whole)
                let again = String(decoding: try file.read(1 << 20, at: 0), as: UTF8.self)
                #expect(again.contains("another"))
            }
        }
    }
}
