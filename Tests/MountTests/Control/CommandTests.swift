import Glibc
import Testing

extension MountTests {
    /// "A **command file** takes one command a line. ... All lines of a write are parsed before
    /// the first is carried out".
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

        /// "The last line of any other write, where it has no newline, waits for the rest of it".
        @Test func `a command that is cut off is the start of the next write`() throws {
            try withMount(.best) { mount in
                let file = try mount.open("control/alloc", O_WRONLY)
                defer { file.close() }
                #expect(try file.write("a 4k\nbu") == 7)
                #expect(names(in: mount.path("buffers")) == ["a"])
                #expect(try file.write("ffer 40") == 7)
                #expect(names(in: mount.path("buffers")) == ["a"])
                #expect(try file.write("96\nc 1") == 6)
                #expect(names(in: mount.path("buffers")) == ["a", "buffer"])
                #expect(try mount.size("buffer") == 4096)
                try file.end()
                #expect(try mount.size("c") == 1)
            }
        }

        @Test(arguments: ["a 4K", "a 4K\r\n", "a 4K\n\0", "a 4K\0", "# x\r\n\r\na 4K\r"])
        func `a missing newline, CRLF and a NUL at the end do no harm`(text: String) throws {
            try withMount(.best) { mount in
                let file = try mount.open("control/alloc", O_WRONLY | O_APPEND)
                defer { file.close() }
                #expect(try file.write(text) == text.utf8.count)
                if !text.contains("#") { #expect(try mount.size("a") == 4096) }
                if text.hasSuffix("K") || text.hasSuffix("\r") { try file.write("\n") }
                #expect(try mount.size("a") == 4096)
                let signal = try mount.open("control/signal", O_WRONLY)
                defer { signal.close() }
                try signal.write("go software\r\n")
                for value in ["1", "\n", "1\r\n", "1\0", "1\r", "\r\n", "1", "\0"] {
                    let trigger = try mount.open("signals/go/trigger", O_WRONLY)
                    defer { trigger.close() }
                    if !value.hasPrefix("1") { try trigger.write("1") }
                    #expect(try trigger.write(value) == value.utf8.count)
                }
                #expect(try mount.number("signals/go/count") == 8)
            }
        }

        @Test func `tools that cut their output anywhere make every command`() throws {
            try withMount(.best) { mount in
                // awk writes to what is no terminal in blocks, dd by 8 bytes.
                try mount.bash(
                    """
                    seq 1 2000 | awk '{ print "long-name-" $1 " 4096" }' > control/alloc
                    [ $(ls buffers | wc -l) = 2000 ]
                    [ -z "$(find buffers -type f ! -size 4096c)" ]
                    seq 1 2000 | sed 's/^/long-name-/' | dd obs=4096 > control/free 2> /dev/null
                    [ $(ls buffers | wc -l) = 0 ]
                    printf 'a 4K\\nb 8K' | dd bs=8 2> /dev/null | tee control/alloc > /dev/null
                    [ "$(stat -c %s buffers/a buffers/b | xargs)" = '4096 8192' ]
                    (echo -n 'c '; echo 4K) > control/alloc
                    { printf 'd 4'; } > control/alloc
                    exec 3> control/alloc; printf 'e ' >&3; printf '4K\\n' >&3; exec 3>&-
                    printf 'f 4k\\ng 4k' >> control/alloc
                    [ "$(echo $(ls buffers))" = 'a b c d e f g' ]
                    [ "$(stat -c %s buffers/c buffers/d buffers/e | xargs)" = '4096 4 4096' ]
                    """)
            }
        }

        @Test func `what is no command is refused at the close, and the log says why`() throws {
            try withMount(.best) { mount in
                let file = try mount.open("control/alloc", O_WRONLY)
                try file.write("a 4k\nb")
                #expect(throws: Errno(EINVAL)) { try file.end() }
                #expect(names(in: mount.path("buffers")) == ["a"])
                let refusal = try #require(try mount.lastRefusal)
                #expect(refusal.command == "b" && refusal.errno == "EINVAL")
                // What a whole command meets is reported, too.
                let again = try mount.open("control/alloc", O_WRONLY)
                try again.write("c 4k\na 4k")
                #expect(throws: Errno(EEXIST)) { try again.end() }
                let long = try mount.open("control/alloc", O_WRONLY)
                defer { long.close() }
                let line = "d " + String(repeating: "0", count: 4090)
                #expect(try long.write("# x\n" + line) == 4096)
                #expect(throws: Errno(EINVAL)) { try long.write("000004096\n" + line + line) }
                #expect(try mount.lastRefusal?.why.contains("4096 bytes") == true)
                #expect(names(in: mount.path("buffers")) == ["a", "c"])
            }
        }

        @Test func `a copy of the descriptor that a child closes does not end a line`() throws {
            try withMount(.best) { mount in
                try mount.python(
                    """
                    f = os.open("control/alloc", os.O_WRONLY)
                    assert os.write(f, b"# two\\na 4") == 9
                    if (child := os.fork()) == 0:
                        os._exit(0)
                    os.waitpid(child, 0)
                    assert os.listdir("buffers") == []
                    g = os.dup(f)
                    assert os.write(g, b"K\\nb") == 3
                    assert os.path.getsize("buffers/a") == 4096
                    refused(errno.EINVAL, os.close, g)
                    assert os.write(f, b" 4K") == 3
                    os.close(f)
                    assert os.path.getsize("buffers/b") == 4096
                    """)
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
