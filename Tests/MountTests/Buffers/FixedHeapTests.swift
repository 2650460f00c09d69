import Glibc
import Testing

extension MountTests {
    /// "Fixed heaps: past the end is `ENOSPC`, the part that fits is written first; a buffer that was
    /// never sized takes nothing." "a fixed heap takes its first size, afterwards `ENOSPC`."
    @Suite struct FixedHeaps {
        private static let both = ["contiguous", "coherent"]

        @Test(arguments: Mode.here, both)
        func `a write past the end writes the part that fits, and then is ENOSPC`(
            mode: Mode, heap: String
        ) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 64K heap=\(heap)")
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                let data = pattern(10_000)
                #expect(try file.write(data, at: 65536 - 4000) == 4000)
                #expect(throws: Errno(ENOSPC)) { try file.write([1], at: 65536) }
                #expect(throws: Errno(ENOSPC)) { try file.write([1], at: 1 << 30) }
                #expect(try mount.lastRefusal?.errno == "ENOSPC")
                #expect(try mount.contents("rx") == zeros(65536 - 4000) + data.prefix(4000))
                let dd = try mount.run("dd", "if=/dev/zero", "of=buffers/rx", "bs=10000")
                #expect(dd.status == 1 && dd.error.contains("No space left on device"))
                #expect(dd.error.contains("65536 bytes"))
                #expect(try mount.contents("rx") == zeros(65536))
                #expect(try mount.size("rx") == 65536)
            }
        }

        /// "a fixed buffer takes it again at its next `open`"
        @Test(
            .enabled(if: Mode.hasPassthrough, "only passthrough maps the memory itself"),
            arguments: both)
        func `memory that a mapping gives away is taken back by the next open`(
            heap: String
        ) throws {
            try withMount(.best, "size=16M") { mount in
                let give = """
                    import ctypes, mmap, os
                    fd = os.open("buffers/rx", os.O_RDWR)
                    memory = mmap.mmap(fd, 4 << 20)
                    os.close(fd)
                    memory.write(b"x" * (4 << 20))
                    libc = ctypes.CDLL(None, use_errno=True)
                    here = ctypes.addressof(ctypes.c_char.from_buffer(memory))
                    # MADV_REMOVE
                    assert libc.madvise(ctypes.c_void_p(here), ctypes.c_size_t(4 << 20), 9) == 0
                    assert os.stat("buffers/rx").st_blocks == 0
                    """
                try mount.alloc("rx 4M heap=\(heap)")
                try mount.python(
                    give + """

                        import time
                        os.close(os.open("buffers/rx", os.O_RDONLY))
                        until = time.monotonic() + 10
                        while os.stat("buffers/rx").st_blocks < 8192 and time.monotonic() < until:
                            time.sleep(0.01)
                        assert os.stat("buffers/rx").st_blocks == 8192
                        assert memory[:] == bytes(4 << 20)
                        memory[0] = 7
                        assert open("buffers/rx", "rb").read(1) == bytes([7])
                        """)
                // Where another one has it by then, the log says so.
                try mount.python(
                    give + """

                        open("control/alloc", "w").write("other 15M\\n")
                        os.close(os.open("buffers/rx", os.O_RDONLY))
                        """)
                let isTold = holds {
                    (try? mount.lastRefusal)?.command.contains("lost memory") ?? false
                }
                #expect(isTold)
            }
        }

        @Test(arguments: Mode.here, both)
        func `it is sized once, by truncate or fallocate too, and keeps its size`(
            mode: Mode, heap: String
        ) throws {
            try withMount(mode, "heap=\(heap)") { mount in
                try mount.bash("touch buffers/a buffers/b; truncate -s 8k buffers/a")
                try mount.bash("fallocate -l 8k buffers/b; truncate -s 8k buffers/a")
                for name in ["a", "b"] {
                    #expect(try mount.size(name) == 8192)
                    #expect(throws: Errno(ENOSPC)) {
                        try checked { unsafe truncate(mount.buffer(name), 8193) }
                    }
                    #expect(try mount.lastRefusal?.errno == "ENOSPC")
                    #expect(try mount.size(name) == 8192)
                }
            }
        }

        @Test(arguments: Mode.here, both)
        func `one that was never sized takes nothing`(mode: Mode, heap: String) throws {
            try withMount(mode, "heap=\(heap)") { mount in
                let file = try mount.open("buffers/rx", O_RDWR | O_CREAT)
                defer { file.close() }
                #expect(throws: Errno(ENOSPC)) { try file.write([1]) }
                #expect(try file.read(1).isEmpty)
                #expect(try mount.size("rx") == 0)
            }
        }

        @Test(arguments: Mode.here, both)
        func `cp fills one that has its size`(mode: Mode, heap: String) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    """
                    head -c 1M /dev/urandom > ../image
                    echo "rx 1M heap=\(heap)" > control/alloc
                    cp ../image buffers/rx
                    cmp ../image buffers/rx
                    """)
            }
        }
    }
}
