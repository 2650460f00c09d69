import Glibc
import Testing

extension MountTests {
    /// "`source=pattern` is the generator: it fills the periods itself with 32-bit little-endian
    /// counter words, from 0, `rate=` words a second". "With `policy=stop` the generator waits while
    /// the ring is full: nothing is lost."
    @Suite struct Pattern {
        @Test(arguments: Mode.here)
        func `dd reads consecutive words, from one dd to the next`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("ring 256K")
                try mount.put(
                    "g buffer=ring period=16K source=pattern policy=stop\n", "control/stream")
                try mount.bash(
                    """
                    for n in 1 2 3; do
                        dd if=streams/g/data bs=64K count=16 iflag=fullblock status=none >> ../words
                    done
                    """)
                let bytes = try bytes(of: mount.directory + "/words")
                try #require(bytes.count == 3 << 20)
                #expect(words(bytes) == (0..<(3 << 18)).map { UInt32($0) })
                #expect(try mount.value("streams/g/overruns") == "0")
            }
        }

        @Test func `python reads words that count on, by odd lengths too`() throws {
            try withMount { mount in
                try mount.alloc("ring 256K")
                try mount.put(
                    "g buffer=ring period=4K source=pattern rate=2M policy=stop watermark=4\n",
                    "control/stream")
                try mount.python(
                    """
                    fd, got = os.open("streams/g/data", os.O_RDONLY), b""
                    poll = select.poll()
                    poll.register(fd, select.POLLIN)
                    lengths = [4, 12, 4096, 100, 65536, 8, 40000]
                    while len(got) < 1 << 20:
                        assert poll.poll(5000)
                        got += os.read(fd, lengths[len(got) // 4 % 7])
                    words = struct.unpack(f"<{len(got) // 4}I", got[:len(got) // 4 * 4])
                    assert words == tuple(range(len(words)))
                    """)
            }
        }

        @Test func `a reader that is too slow loses whole periods, and overruns counts them`()
            throws
        {
            try withMount { mount in
                try mount.alloc("ring 64K")
                try mount.put("g buffer=ring period=4K source=pattern rate=4M\n", "control/stream")
                try mount.python(
                    """
                    fd = os.open("streams/g/data", os.O_RDONLY)
                    put("streams/g/enable", "1\\n")
                    at, lost = 0, 0
                    for round in range(5):
                        before = int(get("streams/g/overruns"))
                        within(lambda: int(get("streams/g/overruns")) > before + 3)
                        for n in range(10):
                            got = os.read(fd, 4096)
                            assert len(got) == 4096
                            words = struct.unpack("<1024I", got)
                            assert words == tuple(range(words[0], words[0] + 1024))
                            assert words[0] % 1024 == 0 and words[0] >= at
                            lost += (words[0] - at) // 1024
                            at = words[0] + 1024
                    assert lost > 10
                    put("streams/g/enable", "0")
                    while got := os.read(fd, 4096):
                        first, = struct.unpack_from("<I", got)
                        lost += (first - at) // 1024
                        at = first + len(got) // 4
                    assert int(get("streams/g/overruns")) == lost, (get("streams/g/overruns"), lost)
                    """)
            }
        }

        @Test func `rate is words a second`() throws {
            try withMount { mount in
                try mount.alloc("ring 64K")
                try mount.put(
                    "g buffer=ring period=1K source=pattern rate=100000\n", "control/stream")
                try mount.python(
                    """
                    fd = os.open("streams/g/data", os.O_RDONLY)
                    os.read(fd, 1024)
                    began = time.monotonic()
                    for n in range(100):
                        assert len(os.read(fd, 1024)) == 1024
                    took = time.monotonic() - began
                    assert 0.15 < took < 1.5, took
                    """)
            }
        }

        private func words(_ bytes: [UInt8]) -> [UInt32] {
            unsafe bytes.withUnsafeBytes { bytes in
                unsafe bytes.bindMemory(to: UInt32.self).map { UInt32(littleEndian: $0) }
            }
        }
    }
}
