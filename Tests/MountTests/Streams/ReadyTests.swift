import Glibc
import Testing

extension MountTests {
    /// "A reader that has the ring mapped needs no copy."
    @Suite struct StreamReady {
        private static let reader = """
            def line(fd): return [int(word) for word in os.read(fd, 100).split()]

            """

        @Test(arguments: Mode.here)
        func `the bytes of a mapped ring are those that ready tells of`(mode: Mode) throws {
            try withMount(mode) { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let ready = try mount.open("streams/t/ready", O_RDWR)
                defer { ready.close() }
                let ring = try mount.open("buffers/ring", O_RDONLY)
                defer { ring.close() }
                try mount.put("1", "streams/t/enable")
                for number in 0..<20 {
                    try device.fillPeriod()
                    let line = String(decoding: try ready.read(100), as: UTF8.self)
                    let offset = number % 4 * Device.size
                    #expect(line == "\(number * Device.size) \(offset) \(Device.size) 0\n")
                    #expect(try ring.read(Device.size, at: offset) == Device.period(number))
                    try ready.write("+\(Device.size)\n")
                    #expect(try mount.value("streams/t/available") == "0")
                }
            }
        }

        /// With `source=pattern` and `policy=stop` nothing is lost, however fast it is.
        @Test func `a generator waits for the release, and the counter has no gap`() throws {
            try withMount { mount in
                try mount.python(
                    Self.reader + """
                        put("control/alloc", "ring 1M")
                        put("control/stream", "t buffer=ring period=64K source=pattern rate=1G policy=stop")
                        memory = mmap.mmap(os.open("buffers/ring", os.O_RDWR), 1 << 20)
                        fd = os.open("streams/t/ready", os.O_RDWR)
                        expected = 0
                        while expected < 1 << 24:
                            position, offset, length, overruns = line(fd)
                            assert position == expected and overruns == 0
                            assert length <= (1 << 20) - offset
                            first, = struct.unpack_from("<I", memory, offset)
                            last, = struct.unpack_from("<I", memory, offset + length - 4)
                            assert first == position // 4, (first, position)
                            assert last == (position + length) // 4 - 1
                            expected = position + length
                            os.write(fd, b"%d" % expected)
                        """)
            }
        }

        @Test func `a timer is a source, poll waits, and torn bytes are EPIPE and logged`() throws {
            try withMount { mount in
                try mount.python(
                    Self.reader + """
                        put("control/alloc", "ring 4K")
                        put("control/signal", "tick timer period=2ms")
                        put("control/stream", "t buffer=ring period=1K source=tick")
                        fd = os.open("streams/t/ready", os.O_RDWR | os.O_NONBLOCK)
                        poll = select.poll()
                        poll.register(fd, select.POLLIN)
                        for _ in range(10):
                            assert poll.poll(10000) == [(fd, select.POLLIN)]
                            position, offset, length, overruns = line(fd)
                            assert offset == position % 4096 and length % 1024 == 0 and length
                            try: os.write(fd, b"+%d" % length)
                            except BrokenPipeError: pass
                        poll.poll(10000)
                        position, offset, length, before = line(fd)
                        within(lambda: int(get("streams/t/overruns")) > before)
                        refused(errno.EPIPE, os.write, fd, b"%d" % (position + length))
                        assert "the device overwrote" in get("control/log").splitlines()[-1]
                        """)
            }
        }

        @Test func `a shell reads lines and releases them by one descriptor`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                try mount.bash(
                    """
                    exec 3<> streams/t/ready
                    echo 1 > streams/t/enable
                    echo 2 > signals/s/trigger
                    read -r position offset length overruns <&3
                    [ "$position $offset $length $overruns" = '0 0 8192 0' ]
                    echo +$length >&3
                    [ "$(cat streams/t/available)" = 0 ]
                    no dd if=streams/t/data count=1
                    """)
            }
        }

        /// "and `ready` has them for writing, too"
        @Test func `the mode is that of the buffer's readers, who may release`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                for (buffer, ready) in [("640", "660"), ("444", "666"), ("600", "600"), ("0", "0")]
                {
                    try mount.bash(
                        """
                        chmod \(buffer) buffers/ring
                        [ "$(stat -c %a streams/t/ready)" = \(ready) ]
                        """)
                }
            }
        }

        @Test func `a reader that is interrupted has lost nothing`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let cat = try mount.start("cat", "streams/t/ready")
                #expect(cat.waitsOn("streams/t/ready"))
                #expect(holds { (try? mount.value("streams/t/status")) == "running" })
                cat.signal(SIGINT)
                #expect(try cat.wait().status == 128 + SIGINT)
                #expect(holds { mount.opens("streams/t/ready") })
                try device.fillPeriod()
                let line = try mount.run("head", "-n", "1", "streams/t/ready")
                #expect(line.text == "0 0 4096 0\n")
            }
        }
    }
}
