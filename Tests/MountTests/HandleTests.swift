import Glibc
import Testing

extension MountTests {
    /// "File handles (`name_to_handle_at`, NFS) stay valid as long as the object lives, whatever the
    /// kernel has forgotten."
    @Suite(.enabled(if: Machine.isRoot, "open_by_handle_at needs CAP_DAC_READ_SEARCH"))
    struct Handles {
        /// `handle(PATH)`, `by_handle(HANDLE, FLAGS)`, and `forget()`, which makes the kernel drop what
        /// it knows of the mount and nobody has open: mount(2) does with MS_REMOUNT.
        private static let prelude = """
            mount = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
            def handle(path):
                data = ctypes.create_string_buffer(struct.pack("Ii", 120, 0), 128)
                number = ctypes.c_int()
                checked(lib.name_to_handle_at(-100, path.encode(), data, ctypes.byref(number), 0))
                return data
            def by_handle(data, flags=os.O_RDONLY):
                return checked(lib.open_by_handle_at(mount, data, flags))
            def forget():
                nosuid, nodev, remount = 2, 4, 32
                checked(lib.mount(b"none", os.getcwd().encode(), None, nosuid | nodev | remount, None))

            """

        @Test(arguments: Mode.here)
        func `open_by_handle_at finds everything that the kernel has forgotten`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.python(
                    Self.prelude + """
                        put("control/alloc", "rx 4K\\n")
                        put("control/signal", "go software\\n")
                        put("control/stream", "s buffer=rx period=2K source=go\\n")
                        with open("buffers/rx", "r+b") as file:
                            file.write(b"bytes")
                        found = {}
                        for directory, names, files in os.walk("."):
                            for name in names + files:
                                path = os.path.join(directory, name)
                                found[path] = handle(path), os.lstat(path)
                        def lookups():
                            line = 'devfs_requests_total{operation="lookup"} '
                            return next(int(text[len(line):]) for text in open("metrics")
                                        if text.startswith(line))
                        forget()
                        before = lookups()
                        for path, (data, status) in found.items():
                            fd = by_handle(data, os.O_PATH)
                            now = os.fstat(fd)
                            assert (now.st_ino, now.st_mode) == (status.st_ino, status.st_mode), path
                            os.close(fd)
                        assert lookups() - before > len(found) - 10, (before, lookups(), len(found))
                        forget()
                        fd = by_handle(found["./buffers/rx"][0], os.O_RDWR)
                        assert os.pread(fd, 5, 0) == b"bytes"
                        os.rename("buffers/rx", "buffers/tx")
                        os.close(fd)
                        forget()
                        fd = by_handle(found["./buffers/rx"][0])
                        assert os.pread(fd, 5, 0) == b"bytes"
                        fd = by_handle(found["./control/alloc"][0], os.O_WRONLY)
                        assert os.write(fd, b"more 4K\\n") == 8
                        fd = by_handle(found["./control/heaps/system"][0])
                        assert "used" in os.listdir(fd)
                        # Of a directory the kernel looks up the parents.
                        assert os.path.samefile(f"/proc/self/fd/{fd}/..", "control/heaps")
                        assert os.readlink(f"/proc/self/fd/{fd}").endswith("/control/heaps/system")
                        """)
            }
        }

        @Test(arguments: Mode.here)
        func `a handle of what is gone is ESTALE`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.python(
                    Self.prelude + """
                        put("control/alloc", "rx 4K\\ntx 4K\\n")
                        put("control/signal", "go software\\n")
                        put("control/stream", "s buffer=rx period=2K source=go\\n")
                        paths = ["buffers/tx", "attributes/tx", "attributes/tx/size", "signals/go",
                                 "signals/go/wait", "signals/go/trigger", "streams/s/data"]
                        old = [handle(path) for path in paths]
                        put("control/free", "tx\\n")
                        put("control/stream", "s remove\\n")
                        put("control/signal", "go remove\\n")
                        for again in range(2):
                            for data in old:
                                refused(errno.ESTALE, by_handle, data)
                            forget()
                        # Another of the same name is not the same.
                        put("control/alloc", "tx 4K\\n")
                        put("control/signal", "go software\\n")
                        for data in old:
                            refused(errno.ESTALE, by_handle, data)
                        for data in [b"\\0" * 128, b"\\xff" * 128]:
                            size = struct.pack("Ii", 12, 0x81)
                            junk = ctypes.create_string_buffer(size + data[:12], 128)
                            refused(errno.ESTALE, by_handle, junk)
                        """)
            }
        }
    }
}
