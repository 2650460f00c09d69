import Glibc
import Testing

extension MountTests {
    /// "`O_NONBLOCK`, `poll`, signals as for `wait`. Removed stream: `ENODEV`."
    @Suite struct StreamReaders {
        @Test func `poll sleeps until the watermark, and sees the removal`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                try mount.python(
                    """
                    fd = os.open("streams/t/data", os.O_RDONLY)
                    poll = select.poll()
                    poll.register(fd, select.POLLIN)
                    assert poll.poll(0) == []
                    threading.Timer(0.05, put, ("signals/s/trigger", "1")).start()
                    assert poll.poll(10000) == [(fd, select.POLLIN)]
                    assert len(os.read(fd, 65536)) == 4096
                    assert poll.poll(0) == []
                    threading.Timer(0.05, put, ("control/stream", "t remove")).start()
                    events = poll.poll(10000)
                    assert events and events[0][1] & select.POLLHUP, events
                    refused(errno.ENODEV, os.read, fd, 100)
                    """)
            }
        }

        @Test func `a timer is a source, and cat reads it without end`() throws {
            try withMount { mount in
                try mount.alloc("ring 16K")
                try mount.put("tick timer period=2ms\n", "control/signal")
                try mount.put("t buffer=ring period=1K source=tick\n", "control/stream")
                let cat = try mount.start("cat", "streams/t/data")
                #expect(holds { cat.textSoFar.utf8.count >= 20 * 1024 })
                cat.signal(SIGINT)
                #expect(try cat.wait().status == 128 + SIGINT)
            }
        }

        /// "Opening `data` starts nothing", so what opens everything neither hangs nor changes anything,
        /// as long as it does not read what has the size 0 and would block.
        @Test(arguments: ["source=s", "source=pattern"])
        func `tar, grep, file and open change nothing of a stream`(source: String) throws {
            try withMount(.best) { mount in
                try mount.bash(
                    """
                    echo 's software' > control/signal; echo 'ring 64K' > control/alloc
                    echo 't buffer=ring period=4K \(source)' > control/stream
                    before=$(cat signals/s/count streams/t/{status,available,overruns} | xargs)
                    [ "$before" = '0 armed 0 0' ]
                    : < streams/t/data
                    : < signals/s/wait
                    timeout 10 tar -cf ../t.tar streams
                    timeout 10 grep -r zzz streams signals 2> ../errors || [ $? != 124 ]
                    timeout 10 grep -r --exclude=wait --exclude=data zzz . 2> ../errors || [ $? != 124 ]
                    find streams signals -type f | timeout 10 xargs stat > ../stat
                    timeout 10 du -a streams signals > ../du
                    [ "$(cat signals/s/count streams/t/{status,available,overruns} | xargs)" = "$before" ]
                    [ -z "$(tr -d '\\0' < buffers/ring)" ]
                    """)
            }
        }

        /// "A reader that is stopped while it waits, and continued, finds that its read was interrupted"
        @Test(arguments: [
            ("dd if=streams/t/data bs=4096 count=1 status=none", true),
            ("head -c 4096 streams/t/data", true), ("cat streams/t/data", true),
            (
                "\(Machine.python) -c 'import os; os.write(1, open(\"streams/t/data\", \"rb\", 0).read(4096))'",
                true
            ),
            ("od -A n -N 4096 -t x1 streams/t/data", false),
        ])
        func `a reader that is stopped and continued loses nothing`(
            command: String, goesOn: Bool
        ) throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let reader = try mount.start("sh", "-c", "exec \(command)")
                #expect(reader.waitsOn("streams/t/data"))
                #expect(holds { (try? mount.value("streams/t/status")) == "running" })
                reader.signal(SIGSTOP)
                #expect(holds { reader.state == "T" })
                reader.signal(SIGCONT)
                if goesOn {
                    #expect(holds { reader.state != "T" })
                    #expect(reader.waitsOn("streams/t/data"))
                    try device.fillPeriod()
                    #expect(holds { reader.textSoFar.utf8.count > 0 || !reader.runs })
                    if command.hasPrefix("cat") { try mount.put("0", "streams/t/enable") }
                    #expect(try reader.wait().bytes == Device.period(0))
                } else {
                    let output = try reader.wait()
                    #expect(output.error.contains("Interrupted"), "\(output.error)")
                    #expect(holds { mount.opens("streams/t/data") })
                    try device.fillPeriod()
                    let next = try mount.run(
                        "dd", "if=streams/t/data", "bs=4096", "count=1", "status=none")
                    #expect(next.bytes == Device.period(0))
                }
            }
        }

        @Test func `a reader that is killed leaves the stream to the next`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                for number in 0..<3 {
                    let cat = try mount.start("cat", "streams/t/data")
                    #expect(cat.waitsOn("streams/t/data"))
                    // Its read has come.
                    #expect(holds { (try? mount.value("streams/t/status")) == "running" })
                    cat.signal(SIGKILL)
                    try cat.wait()
                    #expect(holds { mount.opens("streams/t/data") })
                    try device.fillPeriod()
                    let dd = try mount.run(
                        "dd", "if=streams/t/data", "bs=4096", "count=1", "status=none")
                    #expect(dd.bytes == Device.period(number))
                }
            }
        }

        @Test(arguments: ["policy=stop", "policy=overwrite"])
        func `a full ring can be read whatever the watermark is`(policy: String) throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4, words: "\(policy) watermark=12288")
                defer { device.close() }
                let data = try mount.open("streams/t/data", O_RDONLY | O_NONBLOCK)
                defer { data.close() }
                for _ in 0..<3 { try device.fillPeriod() }
                var got = try data.read(1000)
                #expect(got.count == 1000)
                while got.count < 12_288, let more = try? data.read(1000) { got += more }
                let all = (0..<3).flatMap { Device.period($0) }
                #expect(got == Array(all.prefix(got.count)))
            }
        }

        @Test func `two streams of two buffers share a source`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                try mount.alloc("second 8K")
                try mount.put("u buffer=second period=4K source=s\n", "control/stream")
                let one = try mount.open("streams/t/data", O_RDONLY | O_NONBLOCK)
                let two = try mount.open("streams/u/data", O_RDONLY | O_NONBLOCK)
                defer { [one, two].closeAll() }
                try mount.fill("second", pattern(8192, seed: 77))
                try device.fillPeriod()
                #expect(try one.read(8192) == Device.period(0))
                #expect(try two.read(8192) == Array(pattern(8192, seed: 77).prefix(4096)))
                try mount.put("t remove\n", "control/stream")
                try mount.put("1", "signals/s/trigger")
                #expect(try two.read(8192) == Array(pattern(8192, seed: 77).suffix(4096)))
            }
        }
    }
}
