import Glibc
import Testing

extension MountTests {
    /// docs/reference/socket.md: "A stream's descriptor is the reader's end of a pipe"
    @Suite struct StreamPipes {
        /// `pipe(name)` gives the pipe of a stream; the connection is closed.
        private static let client = """
            import asyncio, stat
            def ask(line):
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(10)
                    s.connect(get("control/socket").strip())
                    s.sendall(line.encode())
                    answer, fds, *_ = socket.recv_fds(s, 1000, 4)
                    return answer.decode(), fds
            def pipe(name):
                answer, (fd,) = ask(f"stream {name}\\n")
                assert answer == "ok\\n", answer
                return fd
            def counter(words="policy=stop rate=1G"):
                put("control/alloc", "ring 1M")
                put("control/stream", f"t buffer=ring period=64K source=pattern {words}")
            def check(data, first=0):
                words = memoryview(bytes(data)).cast("I")
                assert list(words) == list(range(first, first + len(words)))

            """

        @Test(arguments: Mode.here)
        func `a pipe has the stream's bytes in order, and ends with it`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.python(
                    Self.client + """
                        counter()
                        fd = pipe("t")
                        assert stat.S_ISFIFO(os.fstat(fd).st_mode)
                        refused(errno.EBUSY, os.open, "streams/t/data", os.O_RDONLY)
                        assert ask("stream t\\n")[0].startswith("error EBUSY")
                        with open(fd, "rb") as file:
                            check(file.read(1 << 22))
                            put("control/stream", "t remove")
                            rest = file.read()
                            assert len(rest) % 4 == 0
                            check(rest, 1 << 20)
                        """)
            }
        }

        @Test func `asyncio's read pipe takes it, and arrays are filled from it`() throws {
            try withMount { mount in
                try mount.python(
                    Self.client + """
                        counter()
                        async def main():
                            reader = asyncio.StreamReader()
                            await asyncio.get_running_loop().connect_read_pipe(
                                lambda: asyncio.StreamReaderProtocol(reader),
                                open(pipe("t"), "rb", buffering=0))
                            check(await reader.readexactly(1 << 20))
                        asyncio.run(main())
                        put("control/stream", "t remove")
                        put("control/free", "ring")
                        try: import numpy
                        except ImportError: sys.exit()
                        counter()
                        with open(pipe("t"), "rb", buffering=0) as file:
                            # Not by fromfile, which asks every file for its position.
                            words = numpy.empty(1 << 18, "<u4")
                            view, done = memoryview(words).cast("B"), 0
                            while done < 1 << 20: done += file.readinto(view[done:])
                        assert (words == numpy.arange(1 << 18)).all()
                        """)
            }
        }

        @Test(.enabled(if: Tools.hasNode, "node is not installed"))
        func `node's streams take it`() throws {
            try withMount { mount in
                try mount.python(
                    Self.client + #"""
                        import subprocess
                        counter()
                        fd = pipe("t")
                        script = """
                            let seen = 0
                            process.stdin.on("data", bytes => {
                                for (let at = 0; at + 4 <= bytes.length; at += 4)
                                    if (bytes.readUInt32LE(at) !== seen++) process.exit(1)
                                if (seen >= 1 << 18) process.exit(0)
                            })
                        """
                        done = subprocess.run(["node", "-e", script], stdin=fd, timeout=60)
                        assert done.returncode == 0
                        """#)
            }
        }

        /// A reader that does not read keeps nobody waiting, and what it loses is counted.
        @Test func `a pipe that nobody reads keeps neither the socket nor the mount waiting`()
            throws
        {
            try withMount { mount in
                try mount.python(
                    Self.client + """
                        counter("rate=100M")
                        fd = pipe("t")
                        within(lambda: int(get("streams/t/overruns")) > 10)
                        put("control/signal", "go software")
                        for _ in range(5): assert ask("signal go\\n")[0] == "ok\\n"
                        put("control/stream", "t remove")
                        os.close(fd)
                        put("control/free", "ring")
                        counter()
                        fd = pipe("t")
                        os.close(fd)
                        def is_free():
                            try: os.close(os.open("streams/t/data", os.O_RDONLY))
                            except OSError: return False
                            return True
                        within(is_free)
                        """)
            }
        }

        @Test(.enabled(if: Machine.isRoot, "becomes other users"))
        func `who may not read the buffer gets no pipe`() throws {
            try withMount(.best, "allow_other") { mount in
                try mount.python(
                    Self.client + """
                        counter()
                        os.chmod("buffers/ring", 0o600)
                        if os.fork() == 0:
                            os.setresuid(12345, 12345, 12345)
                            answer, fds = ask("stream t\\n")
                            os._exit(0 if answer.startswith("error EACCES") and not fds else 1)
                        assert os.wait()[1] == 0
                        """)
            }
        }
    }
}
