import Glibc
import Testing

extension MountTests {
    /// "The last 256 refused commands, oldest first: ... `TIME pid=P uid=U file=F command="..."
    /// errno=E why="..."` ... Bytes that do not print are `\xNN`; a command is cut after 200
    /// bytes."
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
                let long = "a 4K " + String(repeating: "y", count: 5000)
                #expect(throws: Errno(EINVAL)) { try mount.put(long, "control/alloc") }
                let command = try #require(try mount.lastRefusal).command
                #expect(command.hasPrefix("a 4K " + String(repeating: "y", count: 195)))
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

        @Test func `a reader that has begun sees the rest, and what has come since`() throws {
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
                let seen = String(decoding: got, as: UTF8.self)
                #expect(seen.hasPrefix(whole))
                #expect(seen.dropFirst(whole.count).contains("\"another\""))
                #expect(seen.split(separator: "\n").count == 51)
                let again = String(decoding: try file.read(1 << 20, at: 0), as: UTF8.self)
                #expect(again == seen)
            }
        }

        /// Refuses `count` commands, numbered from `first`.
        private func refuse(_ count: Int, from first: Int = 0, on mount: Mount) {
            for number in first..<first + count {
                #expect(throws: Errno(EINVAL)) { try mount.put("bad\(number)", "control/alloc") }
            }
        }

        /// The numbers of the refused commands in an output.
        private func numbers(in text: String) -> [Int] {
            text.split(separator: "\n").compactMap {
                LogLine(String($0)).flatMap { Int($0.command.dropFirst(3)) }
            }
        }

        @Test(arguments: [
            "tail -n +1 -f -s 0.1", "tail -n +1 -F -s 0.1", "tail -n 5 -f -s 0.1",
            "tail -n 5 --follow=name -s 0.1",
        ])
        func `tail follows the log, and shows each line once`(command: String) throws {
            try follow(by: command)
        }

        @Test(
            .enabled(if: Machine.hasBusybox, "busybox is not installed"),
            arguments: ["busybox tail -n 400 -f -s 1", "busybox tail -n 400 -F -s 1"])
        func `busybox tail follows the log, and shows each line once`(command: String) throws {
            try follow(by: command)
        }

        private func follow(by command: String) throws {
            try withMount(.best) { mount in
                let shown = command.contains("-n 5 ") ? 5 : 20
                refuse(20, on: mount)
                let tail = try mount.start("bash", "-c", "exec \(command) control/log")
                defer { tail.signal(SIGKILL) }
                let first = Array((20 - shown)..<20)
                #expect(holds { numbers(in: tail.textSoFar) == first }, "\(tail.textSoFar)")
                // More than the log keeps, in parts: the oldest lines go while it looks.
                for start in stride(from: 20, to: 420, by: 100) {
                    refuse(100, from: start, on: mount)
                    let all = Array((20 - shown)..<start + 100)
                    #expect(holds { numbers(in: tail.textSoFar) == all })
                }
                #expect(tail.errorSoFar.isEmpty, "\(tail.errorSoFar)")
                #expect(tail.runs)
            }
        }

        @Test func `the size is true by path and by descriptor, and each open file has its own`()
            throws
        {
            try withMount(.best) { mount in
                refuse(300, on: mount)
                let whole = try mount.log
                #expect(
                    try status(of: mount.path("control/log")).st_size == whole.utf8.count)
                let file = try mount.open("control/log", O_RDONLY)
                defer { file.close() }
                #expect(try file.status().st_size == whole.utf8.count)
                refuse(300, from: 300, on: mount)
                #expect(try file.status().st_size > 2 * whole.utf8.count - 10)
                #expect(try file.seek(0, SEEK_END) == file.status().st_size)
                let today = try mount.log
                #expect(
                    try status(of: mount.path("control/log")).st_size == today.utf8.count)
                #expect(try file.status().st_ino == status(of: mount.path("control/log")).st_ino)
            }
        }

        @Test func `who follows too slowly is told how many lines he has lost`() throws {
            try withMount(.best) { mount in
                refuse(10, on: mount)
                let file = try mount.open("control/log", O_RDONLY)
                defer { file.close() }
                while try !file.read(1 << 16).isEmpty {}
                refuse(300, from: 10, on: mount)
                let more = String(decoding: try file.read(1 << 20), as: UTF8.self)
                #expect(more.hasPrefix("# 44 lines lost\n"), "\(more.prefix(100))")
                #expect(numbers(in: more) == Array(54..<310))
            }
        }
    }
}
