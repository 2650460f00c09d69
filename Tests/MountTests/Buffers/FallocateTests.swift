import Testing

extension MountTests {
    /// "grows as `ftruncate` does; inside the buffer nothing"
    @Suite struct Fallocate {
        @Test(arguments: Mode.here)
        func `fallocate grows, and inside the buffer changes nothing`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(100_000))
                try mount.bash("fallocate -l 4096 buffers/rx")
                #expect(try mount.contents("rx") == pattern(100_000))
                try mount.bash("fallocate -o 90000 -l 20000 buffers/rx")
                #expect(try mount.contents("rx") == pattern(100_000) + zeros(10_000))
            }
        }

        @Test(arguments: Mode.here, ["system", "contiguous"])
        func `punching a hole and zeroing a range write zeros inside the buffer`(
            mode: Mode, heap: String
        ) throws {
            try withMount(mode) { mount in
                var model = pattern(100_000)
                try mount.alloc("rx 100000 heap=\(heap)")
                try mount.fill("rx", model)
                let blocks = try status(of: mount.buffer("rx")).st_blocks
                try mount.bash("fallocate -p -o 5000 -l 20001 buffers/rx")
                model.replaceSubrange(5000..<25_001, with: zeros(20_001))
                #expect(try mount.contents("rx") == model)
                try mount.bash("fallocate -z -o 40000 -l 8192 buffers/rx")
                model.replaceSubrange(40_000..<48_192, with: zeros(8192))
                #expect(try mount.contents("rx") == model)
                try mount.bash("fallocate -p -o 90000 -l 1M buffers/rx")
                model.replaceSubrange(90_000..<100_000, with: zeros(10_000))
                #expect(try mount.contents("rx") == model)
                #expect(try status(of: mount.buffer("rx")).st_blocks == blocks)
            }
        }

        @Test(arguments: Mode.here)
        func `KEEP_SIZE beyond the size and all other modes are EOPNOTSUPP`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(16_384))
                try mount.python(
                    """
                    fd = os.open("buffers/rx", os.O_RDWR)
                    def fallocate(mode, offset, length):
                        lib.fallocate.argtypes = [ctypes.c_int, ctypes.c_int] + [ctypes.c_int64] * 2
                        checked(lib.fallocate(fd, mode, offset, length))
                    KEEP, PUNCH, COLLAPSE, ZERO, INSERT = 1, 2, 8, 16, 32
                    fallocate(KEEP, 0, 16384)
                    refused(errno.EOPNOTSUPP, fallocate, KEEP, 0, 16385)
                    refused(errno.EOPNOTSUPP, fallocate, PUNCH, 0, 4096)
                    refused(errno.EOPNOTSUPP, fallocate, COLLAPSE, 0, 4096)
                    refused(errno.EOPNOTSUPP, fallocate, INSERT, 0, 4096)
                    refused(errno.EINVAL, fallocate, 0, -1, 4096)
                    refused(errno.EINVAL, fallocate, 0, 0, 0)
                    fallocate(ZERO | KEEP, 0, 4096)
                    """)
                #expect(
                    try mount.contents("rx") == zeros(4096) + Array(pattern(16_384).dropFirst(4096))
                )
            }
        }

        @Test(arguments: Mode.here)
        func `fallocate beyond the heap is ENOSPC and changes nothing`(mode: Mode) throws {
            try withMount(mode, "size=4M") { mount in
                try mount.fill("rx", pattern(1000))
                let output = try mount.run("fallocate", "-l", "5M", "buffers/rx")
                #expect(output.status != 0 && output.error.contains("No space left"))
                #expect(try mount.contents("rx") == pattern(1000))
            }
        }
    }
}
