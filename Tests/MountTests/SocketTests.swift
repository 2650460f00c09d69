import Glibc
import Testing

extension MountTests {
    /// docs/reference/socket.md: "One request a line: ... `buffer NAME [ro|rw]` ...
    /// `region NAME [ro|rw]` ... `signal NAME` ... The answer is one line: `ok\n` with one
    /// descriptor attached (`SCM_RIGHTS`), or `error ERRNO why\n`."
    @Suite struct Socket {
        /// `ask(line)` gives the answer and the descriptors that came with it.
        private static let client = """
            def connect():
                s = socket.socket(socket.AF_UNIX)
                s.settimeout(10)
                s.connect(get("control/socket").strip())
                return s

            def ask(line, s=None):
                s = s or connect()
                s.sendall(line.encode())
                answer, fds, *_ = socket.recv_fds(s, 1000, 4)
                return answer.decode(), fds

            """

        @Test(arguments: Mode.here)
        func `a buffer's descriptor is the memory of the mount's file`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 64K")
                try mount.alloc("fixed 64K heap=contiguous")
                try mount.python(
                    Self.client + """
                        for name in "rx", "fixed":
                            answer, (fd,) = ask(f"buffer {name}\\n")
                            assert answer == "ok\\n"
                            memory = mmap.mmap(fd, 65536)
                            file = os.open(f"buffers/{name}", os.O_RDWR)
                            for at in range(0, 65536, 4099):
                                memory[at:at + 5] = b"store"
                                assert os.pread(file, 5, at) == b"store"
                                os.pwrite(file, b"write", at)
                                assert memory[at:at + 5] == b"write"
                                assert os.pread(fd, 5, at) == b"write"
                            os.pwrite(fd, b"through", 100)
                            assert os.pread(file, 7, 100) == b"through"
                            assert os.fstat(fd).st_size == 65536
                        """)
            }
        }

        @Test func `a read-only descriptor can't be written or mapped for writing`() throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                try mount.python(
                    Self.client + """
                        answer, (fd,) = ask("buffer rx ro\\n")
                        assert answer == "ok\\n"
                        refused(errno.EBADF, os.write, fd, b"x")
                        refused(errno.EACCES, mmap.mmap, fd, 4096)
                        shown = mmap.mmap(fd, 4096, prot=mmap.PROT_READ)
                        put("buffers/rx", "abc") if False else os.pwrite(
                            os.open("buffers/rx", os.O_WRONLY), b"abc", 0)
                        assert shown[:3] == b"abc"
                        answer, (fd,) = ask("buffer rx rw\\n")
                        assert os.write(fd, b"x") == 1
                        """)
            }
        }

        @Test
        func `a descriptor handed out can't change the size, and keeps the buffer from shrinking`()
            throws
        {
            try withMount(.best, "size=8M") { mount in
                try mount.alloc("rx 64K")
                try mount.python(
                    Self.client + """
                        answer, (fd,) = ask("buffer rx\\n")
                        refused(errno.EBUSY, os.truncate, "buffers/rx", 4096)
                        assert os.stat("buffers/rx").st_size == 65536
                        os.close(fd)
                        def shrinks():
                            try:
                                os.truncate("buffers/rx", 4096)
                                return True
                            except OSError as error:
                                assert error.errno == errno.EBUSY
                                return False
                        within(shrinks)
                        answer, (fd,) = ask("buffer rx\\n")
                        os.unlink("buffers/rx")
                        os.pwrite(fd, b"lives", 0)
                        assert os.pread(fd, 5, 0) == b"lives"
                        """)
            }
        }

        @Test func `a signal's eventfd counts the events from then on`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                try mount.put("3", "signals/go/trigger")
                try mount.python(
                    Self.client + """
                        s = connect()
                        answer, (fd,) = ask("signal go\\n", s)
                        assert answer == "ok\\n"
                        os.set_blocking(fd, False)
                        refused(errno.EAGAIN, os.read, fd, 8)
                        put("signals/go/trigger", "5")
                        assert select.select([fd], [], [], 5)[0] == [fd]
                        total = 0
                        def count():
                            global total
                            try: total += struct.unpack("Q", os.read(fd, 8))[0]
                            except BlockingIOError: pass
                            return total == 5
                        within(count)
                        put("signals/go/trigger", "1")
                        within(lambda: count() or total == 6)
                        before = total
                        s.close()
                        within(lambda: get("status") and not select.select([fd], [], [], 0)[0])
                        """)
                #expect(mount.server.runs)
            }
        }

        @Test(arguments: [
            "buffer\n", "buffer rx wo\n", "buffer rx ro rw\n", "bufer rx\n", "\n", "signal\n",
            "signal go now\n", "BUFFER rx\n", "buffer .x\n", "buffer a/b\n",
        ])
        func `a request that is unknown is error EINVAL`(request: String) throws {
            try withMount { mount in
                try mount.alloc("rx 4K")
                try mount.put("go software\n", "control/signal")
                try mount.python(
                    Self.client + """
                        answer, fds = ask(sys.argv[1])
                        assert answer.startswith("error EINVAL ") and answer.endswith("\\n"), answer
                        assert fds == []
                        assert ask("buffer rx\\n")[0] == "ok\\n"
                        """, request)
            }
        }

        @Test func `names that are not there are ENOENT, and long requests EINVAL`() throws {
            try withMount { mount in
                try mount.alloc("rx 4K")
                try mount.python(
                    Self.client + """
                        assert ask("buffer none\\n")[0].startswith("error ENOENT ")
                        assert ask("signal none\\n")[0].startswith("error ENOENT ")
                        assert ask("buffer " + "x" * 300 + "\\n")[0].startswith("error EINVAL ")
                        assert ask("y" * 5000)[0].startswith("error EINVAL ")
                        s = connect()
                        for part in "buf", "fer r", "x\\n":
                            s.sendall(part.encode())
                        answer, fds, *_ = socket.recv_fds(s, 1000, 4)
                        assert answer == b"ok\\n" and len(fds) == 1
                        for n in range(3):
                            assert ask("buffer rx\\n", s)[0] == "ok\\n"
                        """)
            }
        }

        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `another user gets what the buffer's mode gives him, else EACCES`() throws {
            try withMount(.best, "allow_other,umask=000") { mount in
                try mount.alloc("rx 4K")
                let script =
                    Self.client + """
                        os.setgroups([]), os.setgid(12345), os.setuid(12345)
                        for line, want in zip(sys.argv[1::2], sys.argv[2::2]):
                            answer, fds = ask(line + "\\n")
                            assert answer.split()[:2] == want.split()[:2], (line, answer)
                        """
                try mount.bash("chmod 600 buffers/rx")
                try mount.python(
                    script, "buffer rx", "error EACCES", "buffer rx ro", "error EACCES")
                try mount.bash("chmod 644 buffers/rx")
                try mount.python(script, "buffer rx", "error EACCES", "buffer rx ro", "ok")
                try mount.bash("chown 12345 buffers/rx; chmod 600 buffers/rx")
                try mount.python(script, "buffer rx", "ok", "buffer rx ro", "ok")
            }
        }

        /// Of a file system that its owner serves, close(2) waits for the owner.
        @Test(.enabled(if: Machine.isRoot, "mounts a file system of its own"))
        func `a file that nobody answers for does not stall the socket`() throws {
            try withMount { mount in
                try mount.bash(
                    "timeout 60 \(Machine.python) \(Machine.package)/Tests/stalled-file.py . "
                        + "'\(Machine.devfs)'")
            }
        }

        @Test func `clients that come and go leave no descriptor in the server`() throws {
            try withMount { mount in
                try mount.alloc("rx 4K")
                try mount.put("go software\n", "control/signal")
                let fds = { names(in: "/proc/\(mount.server.pid)/fd").count }
                let script =
                    Self.client + """
                        for n in range(20):
                            s = connect()
                            ask("buffer rx\\n", s), ask("signal go\\n", s), ask("nonsense\\n", s)
                        connect().sendall(b"buffer r")
                        """
                try mount.python(script)
                let before = fds()
                let held = try mount.startPython(
                    Self.client
                        + "s = connect(); ask('signal go\\n', s); print('ok', flush=True); signal.pause()"
                )
                #expect(holds { held.textSoFar.contains("ok") })
                #expect(fds() > before, "the counter does not see an open connection")
                held.signal(SIGKILL)
                try held.wait()
                for _ in 0..<3 { try mount.python(script) }
                #expect(holds { fds() <= before }, "\(fds()) descriptors, before \(before)")
            }
        }

        /// "Its size is not guarded there"
        @Test func `the size of a fixed buffer is not guarded from who has its descriptor`() throws
        {
            try withMount { mount in
                try mount.users(
                    """
                    put("control/alloc", "b 64K heap=coherent\\n")
                    fd = give("buffer b rw")
                    for size in 8192, 131072, 65536:
                        os.ftruncate(fd, size)
                        assert os.stat("buffers/b").st_size == size
                    assert os.pwrite(fd, b"x", 65536) == 1
                    assert os.stat("buffers/b").st_size == 65537
                    """)
            }
        }
    }
}
