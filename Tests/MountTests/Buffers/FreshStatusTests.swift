import Glibc
import Testing

extension MountTests {
    /// The kernel may take a status for true for a moment, unless somebody changes it unseen.
    @Suite struct FreshStatus {
        private static let prelude = """
            def peer():
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connection.connect(get("control/socket").strip())
                return connection
            def size(fd):
                return os.fstat(fd).st_size

            """

        /// "st_size in bytes, ... times true"
        @Test(arguments: Mode.here)
        func `whoever changes a buffer, an open file tells its size at once`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.python(
                    Self.prelude + """
                        connection = peer()
                        for number in range(100):
                            name = f"b{number}"
                            put("control/alloc", f"{name} 4K\\n")
                            fd = os.open(f"buffers/{name}", os.O_RDWR)
                            # By a command.
                            os.stat(f"buffers/{name}")
                            assert size(fd) == 4096
                            put(f"attributes/{name}/size", "8K")
                            assert size(fd) == 8192, (name, size(fd))
                            # By this kernel.
                            os.stat(f"buffers/{name}")
                            os.ftruncate(fd, 12288)
                            assert size(fd) == 12288, (name, size(fd))
                            os.stat(f"buffers/{name}")
                            os.pwrite(fd, b"x", 12288)
                            assert size(fd) == 12289, (name, size(fd))
                            # By a descriptor that the server does not see.
                            os.stat(f"buffers/{name}")
                            connection.send(f"buffer {name}\\n".encode())
                            answer, given, _, _ = socket.recv_fds(connection, 1000, 1)
                            assert answer == b"ok\\n" and len(given) == 1, answer
                            os.pwrite(given[0], b"x", 20480)
                            assert size(fd) == 20481, (name, size(fd))
                            os.stat(f"buffers/{name}")
                            os.pwrite(given[0], b"x", 24576)
                            assert size(fd) == 24577, (name, size(fd))
                            os.close(given[0])
                            # By its end.
                            put("control/free", f"{name}\\n")
                            assert os.fstat(fd).st_nlink == 0
                            os.close(fd)
                        """)
            }
        }

        @Test(arguments: Mode.here)
        func `a directory tells at once that a command has changed it`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.python(
                    """
                    fd = os.open("buffers", os.O_RDONLY | os.O_DIRECTORY)
                    for number in range(100):
                        before = os.stat("buffers").st_mtime_ns
                        put("control/alloc", "rx 4K\\n")
                        made = os.fstat(fd).st_mtime_ns
                        assert made > before, number
                        put("attributes/rx/name", "tx")
                        named = os.fstat(fd).st_mtime_ns
                        assert named > made, number
                        put("control/free", "tx\\n")
                        assert os.fstat(fd).st_mtime_ns > named, number
                    """)
            }
        }

        @Test(arguments: Mode.here)
        func `an open command file tells the length of its text`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.python(
                    """
                    for number in range(50):
                        put("control/alloc", f"b{number} 4K\\n")
                        os.stat("control/alloc")
                        fd = os.open("control/alloc", os.O_RDONLY)
                        length = os.lseek(fd, 0, os.SEEK_END)
                        text = os.pread(fd, 1 << 20, 0)
                        assert length >= len(text) == text.count(b"lease=none") * len(text) // (number + 1)
                        os.close(fd)
                    """)
            }
        }

        /// "`st_blksize` is that of the memory"
        /// "or the largest power of two that divides the size"
        @Test(.enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"))
        func `st_blksize is that of the memory`() throws {
            try withMount(.passthrough) { mount in
                try mount.alloc("rx 4M")
                let name = mount.device.split(separator: ":")[1]
                try mount.python(
                    """
                    data = sys.argv[1]
                    number = os.readlink(f"{data}/buffers/rx").split()[0]
                    below = os.stat(f"{data}/files/{number}/data")
                    assert os.stat("buffers/rx").st_blksize == below.st_blksize, below
                    assert below.st_blksize > 4096, "no huge pages: this tells nothing"
                    # Who writes whole blocks must not write beyond the end.
                    os.truncate("buffers/rx", 3 * 64 << 10)
                    assert os.stat("buffers/rx").st_blksize == 64 << 10, os.stat("buffers/rx")
                    os.truncate("buffers/rx", 100)
                    assert os.stat("buffers/rx").st_blksize == 4096, os.stat("buffers/rx")
                    """, "/run/devfs/\(name)/data")
            }
        }
    }
}
