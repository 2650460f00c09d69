import Glibc
import Testing

extension MountTests {
    /// "`read` gives the bytes in order, each once, and blocks until `watermark` bytes are there
    /// (or the ring is full, or the stream ends)." "Each event of `source` says that the next
    /// period of the ring is filled."
    @Suite struct StreamData {
        @Test(arguments: Mode.here)
        func `periods that a device filled are read in order, each byte once`(mode: Mode) throws {
            try withMount(mode) { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let data = try mount.open("streams/t/data", O_RDONLY | O_NONBLOCK)
                defer { data.close() }
                // The second one starts it.
                for _ in 0..<2 { #expect(throws: Errno(EAGAIN)) { try data.read(4096) } }
                for number in 0..<20 {
                    try device.fillPeriod()
                    #expect(try mount.value("streams/t/available") == "4096")
                    #expect(try data.read(65536) == Device.period(number))
                    #expect(throws: Errno(EAGAIN)) { try data.read(4096) }
                }
                for _ in 0..<3 { try device.fillPeriod() }
                #expect(try mount.value("streams/t/available") == "12288")
                let three = (20..<23).flatMap { Device.period($0) }
                #expect(try data.read(1 << 20) == three)
                #expect(try mount.value("streams/t/overruns") == "0")
                #expect(try mount.value("streams/t/status") == "running")
            }
        }

        @Test func `a blocked reader is woken by a period`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let dd = try mount.start(
                    "dd", "if=streams/t/data", "bs=4096", "count=3", "iflag=fullblock",
                    "status=none")
                for number in 0..<3 {
                    #expect(dd.waitsOn("streams/t/data"))
                    try device.fillPeriod()
                    #expect(holds { dd.runs == (number < 2) || number < 2 })
                }
                let output = try dd.wait()
                #expect(output.bytes == (0..<3).flatMap { Device.period($0) })
            }
        }

        @Test func `events before the stream started are not its`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                #expect(try mount.value("streams/t/status") == "armed")
                try mount.put("2", "signals/s/trigger")
                #expect(try mount.value("streams/t/available") == "0")
                let data = try mount.open("streams/t/data", O_RDONLY | O_NONBLOCK)
                defer { data.close() }
                #expect(throws: Errno(EAGAIN)) { try data.read(4096) }
                try device.fillPeriod()
                #expect(try data.read(8192) == Device.period(0))
            }
        }

        @Test func `a second open is EBUSY, and the position survives a reopen`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 8)
                defer { device.close() }
                let first = try mount.open("streams/t/data", O_RDONLY)
                #expect(throws: Errno(EBUSY)) { try mount.open("streams/t/data", O_RDONLY) }
                for _ in 0..<6 { try device.fillPeriod() }
                #expect(try first.read(4096) == Device.period(0))
                first.close()
                for number in 1..<6 {
                    // The first descriptor's release may be on its way yet.
                    #expect(
                        holds { mount.opens("streams/t/data") })
                    let output = try mount.run(
                        "dd", "if=streams/t/data", "bs=4096", "count=1", "status=none")
                    #expect(output.bytes == Device.period(number), "\(number)")
                }
                #expect(try mount.value("streams/t/available") == "0")
            }
        }

        @Test func `the watermark holds reads and poll back`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 8, words: "watermark=8192")
                defer { device.close() }
                #expect(try mount.value("streams/t/watermark") == "8192")
                let data = try mount.open("streams/t/data", O_RDONLY | O_NONBLOCK)
                defer { data.close() }
                try device.fillPeriod()
                #expect(throws: Errno(EAGAIN)) { try data.read(4096) }
                #expect(!readable(data))
                try device.fillPeriod()
                #expect(readable(data))
                #expect(try data.read(8192) == Device.period(0) + Device.period(1))
                #expect(!readable(data))
                try mount.put("4096\n", "streams/t/watermark")
                try device.fillPeriod()
                #expect(readable(data))
                #expect(try data.read(8192) == Device.period(2))
                for text in ["0", "28673", "-1", "x", "1G"] {
                    #expect(throws: Errno(EINVAL), "\(text)") {
                        try mount.put(text, "streams/t/watermark")
                    }
                }
                try mount.put("28672", "streams/t/watermark")
                #expect(try mount.value("streams/t/watermark") == "28672")
            }
        }

        @Test func `enable=0 gives what is left and then the end of file`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let data = try mount.open("streams/t/data", O_RDONLY)
                defer { data.close() }
                try device.fillPeriod()
                try device.fillPeriod()
                try mount.put("0\n", "streams/t/enable")
                #expect(try mount.value("streams/t/status") == "stopped")
                #expect(try mount.value("streams/t/enable") == "0")
                #expect(try data.read(65536) == Device.period(0) + Device.period(1))
                #expect(try data.read(65536).isEmpty)
                let before = try mount.value("streams/t/available")
                try device.fillPeriod()
                #expect(try mount.value("streams/t/available") == before)
                let cat = try mount.start("cat", "signals/s/wait")
                #expect(cat.waitsOn("signals/s/wait"))
                cat.signal(SIGKILL)
                try cat.wait()
            }
        }

        @Test func `enable=0 ends a blocked cat`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let cat = try mount.start("cat", "streams/t/data")
                #expect(cat.waitsOn("streams/t/data"))
                try device.fillPeriod()
                #expect(holds { cat.textSoFar.utf8.count > 0 })
                #expect(cat.waitsOn("streams/t/data"))
                try mount.put("0", "streams/t/enable")
                let output = try cat.wait()
                #expect(output.status == 0 && output.bytes == Device.period(0))
            }
        }

        @Test func `removing the stream while it is read is ENODEV, and the buffer is free again`()
            throws
        {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let cat = try mount.start("cat", "streams/t/data")
                #expect(cat.waitsOn("streams/t/data"))
                try mount.put("t remove\n", "control/stream")
                let output = try cat.wait()
                #expect(output.status == 1 && output.error.contains("No such device"))
                #expect(names(in: mount.path("streams")).isEmpty)
                device.close()
                try mount.bash("truncate -s 4096 buffers/ring")
            }
        }

        @Test func `a buffer that streams can't shrink, can be unlinked, and streams on`() throws {
            try withMount { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let data = try mount.open("streams/t/data", O_RDONLY | O_NONBLOCK)
                defer { data.close() }
                #expect(throws: Errno(EBUSY)) {
                    try checked { unsafe truncate(mount.buffer("ring"), 4096) }
                }
                #expect(throws: Errno(EBUSY)) { try mount.put("4096", "attributes/ring/size") }
                try mount.bash("rm buffers/ring")
                try device.fillPeriod()
                #expect(try data.read(8192) == Device.period(0))
            }
        }

        private func readable(_ file: OpenFile) -> Bool {
            var poll = pollfd(fd: file.descriptor, events: Int16(POLLIN), revents: 0)
            return unsafe Glibc.poll(&poll, 1, 0) == 1 && poll.revents & Int16(POLLIN) != 0
        }
    }
}

extension Mount {
    /// True where the file opens; it is closed again.
    func opens(_ relative: String) -> Bool {
        (try? open(relative, O_RDONLY))?.close() != nil
    }
}

/// Plays the device: fills the periods of a ring in turn, and triggers the signal for each.
final class Device {
    static let size = 4096
    private let mount: Mount
    private let ring: OpenFile
    private let periods: Int
    private var filled = 0

    /// Makes the buffer `ring`, the signal `s` and the stream `t`.
    init(_ mount: Mount, periods: Int, words: String = "") throws {
        self.mount = mount
        self.periods = periods
        try mount.alloc("ring \(periods * Self.size)")
        try mount.put("s software\n", "control/signal")
        try mount.put("t buffer=ring period=4K source=s \(words)\n", "control/stream")
        ring = try mount.open("buffers/ring")
    }

    func close() {
        ring.close()
    }

    func fillPeriod() throws {
        try ring.write(Self.period(filled), at: filled % periods * Self.size)
        filled += 1
        try mount.put("1", "signals/s/trigger")
    }

    /// The bytes of the period of that number.
    static func period(_ number: Int) -> [UInt8] {
        pattern(size, seed: UInt64(number))
    }
}
