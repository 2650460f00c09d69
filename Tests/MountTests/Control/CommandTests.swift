import Glibc
import Testing

extension MountTests {
    /// "A **command file** takes one command a line ... One `write` carries whole commands: all of
    /// them are parsed before the first is carried out".
    @Suite struct Commands {
        @Test func `several commands in one write, with comments and blank lines, are all done`()
            throws
        {
            try withMount { mount in
                try mount.put("# three\n\na 4k\nb 0x2000 heap=coherent\n  \nc 1K", "control/alloc")
                #expect(names(in: mount.path("buffers")) == ["a", "b", "c"])
                #expect(try mount.size("b") == 8192)
                try mount.put("a\nc\n", "control/free")
                #expect(names(in: mount.path("buffers")) == ["b"])
            }
        }

        @Test(arguments: ["x\n", "x 4k bogus\n", "x -1\n", "x 4k heap=none\n", ".x 4k\n", "x 0\n"])
        func `a malformed line anywhere in a write is EINVAL and changes nothing`(
            bad: String
        ) throws {
            try withMount { mount in
                for text in [bad + "a 4k\nb 4k\n", "a 4k\n" + bad + "b 4k\n", "a 4k\nb 4k\n" + bad]
                {
                    #expect(throws: Errno(EINVAL), "\(text)") {
                        try mount.put(text, "control/alloc")
                    }
                    #expect(names(in: mount.path("buffers")).isEmpty)
                }
                let line = try #require(try mount.lastRefusal)
                #expect(line.errno == "EINVAL" && line.file.hasSuffix("control/alloc"))
                #expect(line.command == String(bad.dropLast()))
            }
        }

        @Test func `a refused command ends the write, which returns the bytes before it`() throws {
            try withMount { mount in
                try mount.alloc("taken 4k")
                let file = try mount.open("control/alloc", O_WRONLY)
                defer { file.close() }
                #expect(try file.write("a 4k\nb 4k\ntaken 4k\nc 4k\n") == 10)
                #expect(names(in: mount.path("buffers")) == ["a", "b", "taken"])
                #expect(try mount.lastRefusal?.errno == "EEXIST")
                #expect(throws: Errno(EEXIST)) { try file.write("taken 4k\nd 4k\n") }
                #expect(names(in: mount.path("buffers")) == ["a", "b", "taken"])
                let free = try mount.open("control/free", O_WRONLY)
                defer { free.close() }
                #expect(try free.write("a\nnone\nb\n") == 2)
                #expect(try mount.lastRefusal?.errno == "ENOENT")
                #expect(names(in: mount.path("buffers")) == ["b", "taken"])
            }
        }

        @Test func `a command that is cut off is an error and not the start of the next`() throws {
            try withMount { mount in
                let file = try mount.open("control/alloc", O_WRONLY)
                defer { file.close() }
                #expect(throws: Errno(EINVAL)) { try file.write("a 4k\nbu") }
                #expect(names(in: mount.path("buffers")).isEmpty)
                #expect(throws: Errno(EINVAL)) { try file.write("ffer") }
                try file.write("ffer 8k\n")
                #expect(names(in: mount.path("buffers")) == ["ffer"])
            }
        }

        @Test(arguments: ["", "\n", "\n\n  \n", "# only a comment\n"])
        func `a write of nothing but blank lines is EINVAL`(text: String) throws {
            try withMount { mount in
                for file in ["alloc", "free", "sync", "signal", "stream"] where text != "" {
                    #expect(throws: Errno(EINVAL), "\(file)") {
                        try mount.put(text, "control/" + file)
                    }
                }
            }
        }

        @Test func `numbers are decimal or hexadecimal with a binary suffix`() throws {
            try withMount { mount in
                let sizes = [
                    "1": 1, "4096": 4096, "4k": 4096, "4K": 4096, "0x10": 16, "0xFfK": 255 << 10,
                    "1m": 1 << 20, "3M": 3 << 20, "0x1000": 4096, "007": 7,
                    "4KiB": 4096, "1MiB": 1 << 20, "0x4KiB": 4096,
                ]
                for (text, size) in sizes {
                    try mount.alloc("n \(text)")
                    #expect(try mount.size("n") == size, "\(text)")
                    try mount.put("n", "control/free")
                }
                let wrong = [
                    "0", "-4", "+4", "4.5", "4 k", "4KB", "4KIB", "4iB", "k", "0x", "0xz", "x10",
                    "1e3",
                    "9223372036854775808", "18446744073709551616", "0x8000000000000000",
                    "8589934592G", "99999999999999999999999", "4t", "４", "1_000", "1,000", "",
                ]
                for text in wrong {
                    #expect(throws: Errno(EINVAL), "\(text)") { try mount.alloc("n \(text)") }
                }
                for text in ["9223372036854775807", "8589934591G", "65M"] {
                    #expect(throws: Errno(ENOSPC), "\(text)") { try mount.alloc("n \(text)") }
                }
                #expect(names(in: mount.path("buffers")).isEmpty)
            }
        }

        @Test func `the offset of a write is ignored`() throws {
            try withMount { mount in
                let file = try mount.open("control/alloc", O_WRONLY)
                defer { file.close() }
                try file.write(Array("a 4k\n".utf8), at: 1_000_000)
                try file.write("b 4k\n")
                #expect(names(in: mount.path("buffers")) == ["a", "b"])
                try mount.bash(
                    "(echo c 4k; echo d 4k) >> control/alloc; printf 'e 1\\nf 2\\n' | tee control/alloc"
                )
                #expect(names(in: mount.path("buffers")) == ["a", "b", "c", "d", "e", "f"])
            }
        }
    }
}
