import Testing

extension MountTests {
    /// "A number from a client is checked before it is converted or added"
    @Suite(.enabled(if: Machine.hasPython, "needs python3")) struct Numbers {
        private static let prelude = """
            lib.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
            lib.pread.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64]
            lib.pwrite.argtypes = lib.pread.argtypes
            lib.lseek.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int]
            lib.lseek.restype = ctypes.c_int64
            lib.ftruncate.argtypes = [ctypes.c_int, ctypes.c_int64]
            limits = [0, 1, 4095, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 4096, 2**63 - 1,
                      -1, -4096, -2**31, -2**63]
            room = ctypes.create_string_buffer(8192)

            def tried(call, *arguments):
                result = call(*arguments)
                return errno.errorcode[ctypes.get_errno()] if result < 0 else result

            """

        @Test(arguments: Mode.here)
        func `every offset and length is done or refused, and the server goes on`(mode: Mode) throws
        {
            try withMount(mode) { mount in
                try mount.alloc("rx 64K")
                try mount.alloc("fixed 64K heap=coherent")
                try mount.alloc("ring 64K")
                try mount.put("go software\n", "control/signal")
                try mount.put("adc buffer=ring period=4K source=pattern\n", "control/stream")
                try mount.python(
                    Self.prelude + """
                        for name in "rx", "fixed":
                            fd = os.open("buffers/" + name, os.O_RDWR)
                            for offset in limits:
                                for size in 0, 1, 4096:
                                    got = tried(lib.pread, fd, room, size, offset)
                                    inside = max(0, min(size, 65536 - offset))
                                    known = [inside if offset >= 0 else "EINVAL"]
                                    if offset + size >= 2**63:
                                        known += "EINVAL", "EOVERFLOW"
                                    assert got in known, (offset, size, got)
                                if offset > 65536 or offset < 0:
                                    got = tried(lib.pwrite, fd, room, 4096, offset)
                                    if got == 4096:
                                        # With passthrough the kernel writes behind a hole.
                                        assert name == "rx" and "\(mode)" == "passthrough", (offset, got)
                                        os.ftruncate(fd, 65536)
                                    else:
                                        assert got in ("EINVAL", "EFBIG", "ENOSPC"), (offset, got)
                                    got = tried(lib.ftruncate, fd, offset)
                                    assert got in ("EINVAL", "EFBIG", "ENOSPC"), (name, offset, got)
                                for mode in 0, 1, 3, 16, 17, 2, 8, 32, 64:
                                    for length in limits:
                                        if offset < 65536 and 0 < length <= 65536:
                                            continue
                                        got = tried(lib.fallocate, fd, mode, offset, length)
                                        if offset < 0 or length <= 0:
                                            assert got in ("EINVAL", "EOPNOTSUPP"), got
                                        elif mode == 0:
                                            assert got in ("EFBIG", "ENOSPC"), (offset, length, got)
                                got = tried(lib.lseek, fd, offset, os.SEEK_SET)
                                assert got == (offset if offset >= 0 else "EINVAL"), (offset, got)
                                for whence in os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE:
                                    tried(lib.lseek, fd, offset, whence)
                            assert os.fstat(fd).st_size == 65536
                            os.close(fd)
                        """)
                try mount.python(
                    Self.prelude + """
                        for name in ("control/log", "control/alloc", "status", "metrics",
                                     "signals/go/wait", "streams/adc/status"):
                            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
                            for offset in limits:
                                if offset:
                                    tried(lib.pread, fd, room, 4096, offset)
                                tried(lib.lseek, fd, offset, os.SEEK_SET)
                                tried(lib.fallocate, fd, 0, offset, 4096)
                            os.close(fd)
                        for name in "control/alloc", "control/stream", "signals/go/trigger":
                            fd = os.open(name, os.O_WRONLY)
                            for offset in limits:
                                tried(lib.pwrite, fd, b"# no command", 12, offset)
                                tried(lib.ftruncate, fd, offset)
                            os.close(fd)
                        for name in "buffers", "signals", ".":
                            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
                            for offset in limits:
                                tried(lib.lseek, fd, offset, os.SEEK_SET)
                                lib.syscall(217, fd, room, 8192)
                            os.close(fd)
                        for time in 0, -1, 2**31, 2**32, 2**33, -2**31, 2**62:
                            try:
                                os.utime("buffers/rx", (time, time))
                                os.stat("buffers/rx")
                            except (OSError, OverflowError):
                                pass
                        assert "rx" in os.listdir("buffers")
                        """)
                #expect(try mount.value("streams/adc/status") == "armed")
            }
        }

        /// "a period that takes a year or longer at that rate | `EINVAL`"
        @Test func `periods, rates and counts at their limits leave the server as it was`() throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                try mount.put("go software\n", "control/signal")
                try mount.python(
                    """
                    for n in (0, 1, 4, 2**31 - 4, 2**31, 2**32, 70_000_000_000, 2**40, 2**62,
                              2**63 - 4, 2**63 - 1, 2**63, 2**64 - 4, 2**64 - 1, 2**64, 10**30, -1, -4):
                        for rate in 1, 2**30, 0, 2**31, 2**63, 2**64 - 1:
                            line = f"s buffer=rx source=pattern period={n} rate={rate}"
                            try:
                                put("control/stream", line)
                            except OSError as error:
                                assert error.errno == errno.EINVAL, (line, error)
                                continue
                            assert n == 4 and 1 <= rate <= 2**30, line
                            put("control/stream", "s remove")
                        for path, line in (
                            ("control/alloc", f"x {n}G"), ("control/sync", f"rx for_cpu {n} {n}"),
                            ("signals/go/trigger", f"{n}"), ("attributes/rx/sync_for_cpu", f"{n}"),
                            ("control/signal", f"t timer period={n}s")):
                            try:
                                put(path, line)
                                if path == "control/alloc":
                                    put("control/free", "x")
                                if path == "control/signal":
                                    put(path, "t remove")
                            except OSError as error:
                                assert error.errno in (errno.EINVAL, errno.ENOSPC), (line, error)
                    refused(errno.EINVAL, put, "control/stream",
                            "s buffer=rx source=pattern rate=1 period=70000000000")
                    assert "longer than a year" in get("control/log")
                    """)
            }
        }
    }
}
