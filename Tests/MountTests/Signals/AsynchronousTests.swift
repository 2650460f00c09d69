import Glibc
import Testing

extension MountTests {
    /// What the kernel does by itself, without asking the server: the manual says what to use instead.
    @Suite struct Asynchronous {
        /// "libaio and io_uring reads of `wait` and `data` are at the end at once ... no errno can be had"
        @Test(
            .enabled(
                if: Machine.shell("uname -m")?.hasPrefix("x86_64") == true, "numbers of x86_64"))
        func `a libaio read of wait or data ends without the server, and poll tells of an event`()
            throws
        {
            try withMount(.best) { mount in
                try mount.put("go software\n", "control/signal")
                try mount.alloc("ring 16K")
                try mount.put("s buffer=ring period=4K source=go\n", "control/stream")
                let requests = try mount.requests {
                    try mount.python(
                        """
                        for path in ["signals/go/wait", "streams/s/data"]:
                            fd = os.open(path, os.O_RDONLY)
                            context, room = ctypes.c_ulong(), ctypes.create_string_buffer(4096)
                            checked(lib.syscall(206, 4, ctypes.byref(context)))
                            block = ctypes.create_string_buffer(struct.pack(
                                "QIIHhIQQqQII", 0, 0, 0, 0, 0, fd, ctypes.addressof(room), 4096, 0,
                                0, 0, 0), 64)
                            pointer = ctypes.c_void_p(ctypes.addressof(block))
                            assert lib.syscall(209, context, ctypes.c_long(1), ctypes.byref(pointer)) == 1
                            event = ctypes.create_string_buffer(32)
                            limit = ctypes.create_string_buffer(struct.pack("qq", 5, 0), 16)
                            assert lib.syscall(208, context, ctypes.c_long(1), ctypes.c_long(1),
                                               event, limit) == 1
                            assert struct.unpack("QQqq", event.raw)[2] == 0
                        """)
                }
                #expect(requests["read", default: 0] == 0, "\(requests)")
                try mount.python(
                    """
                    fd = os.open("signals/go/wait", os.O_RDONLY)
                    loop = select.epoll()
                    loop.register(fd, select.EPOLLIN)
                    assert loop.poll(0) == []
                    put("signals/go/trigger", "1")
                    assert loop.poll(5) == [(fd, select.EPOLLIN)]
                    assert os.read(fd, 200).startswith(b"1 1 0 ")
                    """)
            }
        }

        /// "inotify and fanotify see what programs do by the mount, and nothing of what the server
        /// does"
        @Test func `inotify sees a command, and not what it makes`() throws {
            try withMount(.best) { mount in
                try mount.put("go software\n", "control/signal")
                try mount.python(
                    """
                    watcher = checked(lib.inotify_init1(os.O_NONBLOCK))
                    modify, written, created, deleted = 2, 8, 0x100, 0x200
                    paths = {}
                    for path in ["buffers", "control", "signals/go", "signals/go/count"]:
                        mask = modify | written | created | deleted
                        paths[checked(lib.inotify_add_watch(watcher, path.encode(), mask))] = path
                    def seen():
                        found = set()
                        try:
                            data = os.read(watcher, 1 << 16)
                        except BlockingIOError:
                            return found
                        while data:
                            watch, mask, _, length = struct.unpack_from("iIII", data)
                            name = data[16:16 + length].rstrip(b"\\0").decode()
                            found.add((paths[watch], mask, name))
                            data = data[16 + length:]
                        return found
                    put("control/alloc", "a 4K\\n")
                    assert seen() == {("control", modify, "alloc"), ("control", written, "alloc")}, seen()
                    put("control/free", "a\\n")
                    assert seen() == {("control", modify, "free"), ("control", written, "free")}
                    put("signals/go/trigger", "1")
                    assert seen() == {("signals/go", modify, "trigger"),
                                      ("signals/go", written, "trigger")}
                    os.close(os.open("buffers/b", os.O_CREAT | os.O_RDONLY))
                    assert seen() == {("buffers", created, "b")}
                    os.unlink("buffers/b")
                    assert seen() == {("buffers", deleted, "b")}
                    """)
            }
        }
    }
}
