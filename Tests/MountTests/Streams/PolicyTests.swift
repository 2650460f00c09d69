import Glibc
import Testing

extension MountTests {
    /// "`policy=overwrite` (the default): the newest data win; the reader that is too slow loses whole
    /// periods, oldest first, and each is counted in `overruns`. `policy=stop`: the oldest data win".
    @Suite struct StreamPolicy {
        @Test func `overwrite: a slow reader loses the oldest periods, and they are counted`()
            throws
        {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let data = try mount.open("streams/t/data", O_RDONLY | O_NONBLOCK)
                defer { data.close() }
                // Else it starts with the first read.
                try mount.put("1\n", "streams/t/enable")
                for _ in 0..<10 { try device.fillPeriod() }
                #expect(try mount.value("streams/t/overruns") == "7")
                #expect(try mount.value("streams/t/available") == "12288")
                // One read ends where the ring does.
                var got: [UInt8] = []
                while got.count < 12_288 { got += try data.read(1 << 20) }
                #expect(got == (7..<10).flatMap { Device.period($0) })
                #expect(throws: Errno(EAGAIN)) { try data.read(1) }
                try device.fillPeriod()
                #expect(try data.read(1 << 20) == Device.period(10))
                #expect(try mount.value("streams/t/overruns") == "7")
                #expect(try mount.value("streams/t/status") == "running")
            }
        }

        @Test func `stop: a full ring stops the stream, and the reader gets all, then EPIPE`()
            throws
        {
            try withMount { mount in
                let device = try Device(mount, periods: 4, words: "policy=stop")
                defer { device.close() }
                let data = try mount.open("streams/t/data", O_RDONLY)
                defer { data.close() }
                try mount.put("1\n", "streams/t/enable")
                for _ in 0..<3 { try device.fillPeriod() }
                #expect(try mount.value("streams/t/status") == "running")
                try device.fillPeriod()
                #expect(try mount.value("streams/t/status") == "overrun")
                #expect(try mount.value("streams/t/overruns") == "1")
                #expect(try mount.value("streams/t/available") == "12288")
                try mount.put("1", "signals/s/trigger")
                #expect(try data.read(4096) == Device.period(0))
                #expect(try data.read(1 << 20) == Device.period(1) + Device.period(2))
                #expect(throws: Errno(EPIPE)) { try data.read(1) }
                #expect(throws: Errno(EPIPE)) { try data.read(4096) }
                #expect(try mount.value("streams/t/overruns") == "1")

                try mount.put("1\n", "streams/t/enable")
                #expect(try mount.value("streams/t/status") == "running")
                #expect(try mount.value("streams/t/available") == "0")
                try mount.put("1", "signals/s/trigger")
                #expect(try mount.value("streams/t/available") == "4096")
                #expect(try data.read(1 << 20).count == 4096)
            }
        }

        @Test func `a stream that lost periods says so in metrics and control slash stream`() throws
        {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                try mount.put("1", "streams/t/enable")
                for _ in 0..<5 { try device.fillPeriod() }
                #expect(
                    try text(of: mount.path("metrics"))
                        .contains("devfs_stream_overruns_total{stream=\"t\"} 2\n"))
                #expect(try text(of: mount.path("control/stream")).contains("overruns=2"))
            }
        }
    }
}
