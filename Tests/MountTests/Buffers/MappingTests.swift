import Glibc
import Testing

extension MountTests {
    /// "`mmap(MAP_SHARED)` gives the memory itself, where `features` says `passthrough yes`; else
    /// `ENODEV`. A line in `control/log` then says what to install."
    @Suite struct Mappings {
        @Test(
            .enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"),
            arguments: ["system", "contiguous", "coherent"])
        func `stores are seen by pread and pwrites by loads, in both directions`(
            heap: String
        ) throws {
            try withMount(.passthrough) { mount in
                try mount.alloc("rx 1M heap=\(heap)")
                try mount.python(
                    """
                    fd = os.open("buffers/rx", os.O_RDWR)
                    other = os.open("buffers/rx", os.O_RDWR)
                    memory = mmap.mmap(fd, 1 << 20)
                    for i in range(200):
                        at = i * 5003
                        memory[at:at + 9] = b"store%04d" % i
                        assert os.pread(other, 9, at) == b"store%04d" % i
                        os.pwrite(other, b"write%04d" % i, at)
                        assert memory[at:at + 9] == b"write%04d" % i
                        os.preadv(fd, [bytearray(9)], at)
                    second = mmap.mmap(other, 4096, offset=8192)
                    second[0:4] = b"two!"
                    assert memory[8192:8196] == b"two!"
                    memory.flush()
                    with open("buffers/rx", "rb") as file:
                        assert file.read() == memory[:]
                    reader = os.open("buffers/rx", os.O_RDONLY)
                    shown = mmap.mmap(reader, 4096, prot=mmap.PROT_READ)
                    memory[0:3] = b"abc"
                    assert shown[0:3] == b"abc"
                    refused(errno.EACCES, mmap.mmap, reader, 4096)
                    private = mmap.mmap(fd, 4096, flags=mmap.MAP_PRIVATE)
                    private[0:3] = b"xyz"
                    assert memory[0:3] == b"abc"
                    """)
            }
        }

        @Test(.enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"))
        func `two processes share the memory`() throws {
            try withMount(.passthrough) { mount in
                try mount.alloc("rx 4k")
                let child = try mount.startPython(
                    """
                    memory = mmap.mmap(os.open("buffers/rx", os.O_RDWR), 4096)
                    memory[0] = 1
                    within(lambda: memory[1] == 2)
                    memory[2] = 3
                    """)
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                let mapping = try Mapping(file, count: 4096)
                #expect(holds { mapping.load(1, at: 0) == [1] })
                mapping.store([2], at: 1)
                #expect(holds { mapping.load(1, at: 2) == [3] })
                let output = try child.wait()
                #expect(output.status == 0, "\(output.error)")
                try mapping.sync()
            }
        }

        @Test(.enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"))
        func `a mapping made before the buffer grew sees what is written to it after`() throws {
            try withMount(.passthrough) { mount in
                try mount.fill("rx", pattern(4096))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                let mapping = try Mapping(file, count: 8192)
                #expect(mapping.load(4096, at: 0) == pattern(4096))
                try file.truncate(8192)
                try file.write([5], at: 8000)
                #expect(mapping.load(1, at: 8000) == [5])
            }
        }

        @Test
        func `without passthrough a shared mapping is ENODEV, and the log says what to install`()
            throws
        {
            try withMount(.served) { mount in
                try mount.fill("rx", pattern(4096))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                #expect(throws: Errno(ENODEV)) { try Mapping(file, count: 4096) }
                let lines = try mount.log.split(separator: "\n").compactMap { LogLine(String($0)) }
                #expect(lines.contains { $0.errno == "ENODEV" && $0.why.contains("passthrough") })
                #expect(try mount.bash("grep ^passthrough features").hasPrefix("passthrough no "))
                let copy = try Mapping(file, count: 4096, flags: MAP_PRIVATE)
                #expect(copy.load(4096, at: 0) == pattern(4096))
                copy.store([1, 2], at: 0)
                #expect(try mount.contents("rx") == pattern(4096))
            }
        }

        /// "More than the buffer has can be mapped on the memory backend: what lies beyond its last
        /// page is `SIGBUS`"
        @Test(
            .enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"),
            arguments: ["system", "coherent"])
        func `a mapping that is longer than the buffer is SIGBUS beyond it`(_ heap: String) throws {
            try withMount(.passthrough) { mount in
                try mount.alloc("rx 6000 heap=\(heap)")
                try mount.python(
                    """
                    lib.mmap.restype = ctypes.c_void_p
                    fd = os.open("buffers/rx", os.O_RDWR)
                    at = lib.mmap(None, ctypes.c_size_t(16384), 3, 1, fd, ctypes.c_long(0))
                    assert at != 2**64 - 1
                    def store(offset):
                        pid = os.fork()
                        if pid == 0:
                            ctypes.memset(at + offset, 1, 1)
                            os._exit(0)
                        return os.waitpid(pid, 0)[1]
                    assert store(5999) == store(8191) == 0
                    assert store(8192) & 127 == signal.SIGBUS
                    assert os.pread(fd, 10000, 5990) == bytes(9) + b"\\1"
                    """)
            }
        }
    }
}
