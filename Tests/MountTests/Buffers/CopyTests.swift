import Testing

extension MountTests {
    /// "copy_file_range, sendfile, splice ... They work; the copy is the kernel's."
    @Suite struct Copies {
        @Test(arguments: Mode.here, ["system", "contiguous"])
        func `O_DIRECT reads and writes whole pages`(mode: Mode, heap: String) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 2M heap=\(heap)")
                try mount.bash(
                    """
                    head -c 2M /dev/urandom > ../image
                    dd if=../image of=buffers/rx bs=64k oflag=direct conv=notrunc status=none
                    cmp ../image buffers/rx
                    dd if=buffers/rx bs=4k iflag=direct status=none | cmp - ../image
                    """)
            }
        }

        @Test(arguments: Mode.here, ["system", "contiguous"])
        func `sendfile, splice and copy_file_range move the bytes, in and out`(
            mode: Mode, heap: String
        ) throws {
            try withMount(mode) { mount in
                try mount.alloc("a 300000 heap=\(heap)")
                try mount.alloc("b 300000 heap=\(heap)")
                try mount.fill("a", pattern(300_000))
                try mount.python(
                    """
                    a, b = os.open("buffers/a", os.O_RDWR), os.open("buffers/b", os.O_RDWR)
                    plain = os.open("../plain", os.O_RDWR | os.O_CREAT)
                    want = os.pread(a, 300000, 0)
                    assert len(want) == 300000 and want != bytes(300000)

                    def whole(step):
                        done = 0
                        while done < 300000:
                            n = step(done, 300000 - done)
                            assert n > 0, f"it stopped at {done}"
                            done += n

                    def zero(fd):
                        os.pwrite(fd, bytes(300000), 0)

                    copy = os.copy_file_range
                    whole(lambda at, n: copy(a, b, n, at, at))
                    assert os.pread(b, 300000, 0) == want
                    zero(b), zero(plain)
                    os.lseek(plain, 0, 0)
                    whole(lambda at, n: os.sendfile(plain, a, at, n))
                    assert os.pread(plain, 300000, 0) == want
                    os.lseek(b, 0, 0)
                    whole(lambda at, n: os.sendfile(b, plain, at, n))
                    assert os.pread(b, 300000, 0) == want

                    zero(b), zero(plain)
                    r, w = os.pipe()
                    def through(source, to):
                        def step(at, n):
                            n = os.splice(source, w, min(n, 30000), offset_src=at)
                            put = 0
                            while put < n:
                                put += os.splice(r, to, n - put, offset_dst=at + put)
                            return n
                        return step
                    whole(through(a, b))
                    assert os.pread(b, 300000, 0) == want
                    whole(through(b, plain))
                    assert os.pread(plain, 300000, 0) == want
                    """)
            }
        }

        @Test(arguments: Mode.here)
        func `SEEK_DATA and SEEK_HOLE treat the buffer as data to its end`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.bash("truncate -s 1M buffers/rx; touch buffers/empty")
                try mount.python(
                    """
                    fd, size = os.open("buffers/rx", os.O_RDWR), 1 << 20
                    assert os.lseek(fd, 0, os.SEEK_DATA) == 0
                    assert os.lseek(fd, 12345, os.SEEK_DATA) == 12345
                    assert os.lseek(fd, 0, os.SEEK_HOLE) == size
                    assert os.lseek(fd, size - 1, os.SEEK_HOLE) == size
                    refused(errno.ENXIO, os.lseek, fd, size, os.SEEK_DATA)
                    refused(errno.ENXIO, os.lseek, fd, size, os.SEEK_HOLE)
                    assert os.lseek(fd, -10, os.SEEK_END) == size - 10
                    assert os.lseek(fd, 5, os.SEEK_CUR) == size - 5
                    assert os.lseek(fd, size * 2, os.SEEK_SET) == size * 2
                    refused(errno.EINVAL, os.lseek, fd, -1, os.SEEK_SET)
                    empty = os.open("buffers/empty", os.O_RDONLY)
                    refused(errno.ENXIO, os.lseek, empty, 0, os.SEEK_DATA)
                    """)
                try mount.bash("cp --sparse=always buffers/rx ../copy; cmp buffers/rx ../copy")
            }
        }
    }
}
