import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// A stream of 16-byte periods whose device is the test: it fills a period, then says so.
private struct Device {
    let client: Client
    private(set) var filled = 0
    let periods: Int

    init(_ client: Client, periods: Int = 4, _ options: String = "") throws {
        self.client = client
        self.periods = periods
        try client.write("control/alloc", "rx \(periods * 16)")
        try client.write("control/signal", "go software")
        try client.write("control/stream", "adc buffer=rx period=16 source=go \(options)")
    }

    /// The bytes of the period of that number.
    static func period(_ number: Int) -> [UInt8] {
        [UInt8](repeating: UInt8(number & 0xff), count: 16)
    }

    mutating func fill(_ count: Int = 1) throws {
        for _ in 0..<count {
            let offset = UInt64(filled % periods * 16)
            try client.write("buffers/rx", bytes: Self.period(filled), at: offset)
            try client.write("signals/go/trigger", "1")
            filled += 1
        }
    }

    func value(_ name: String) throws -> String {
        try client.read("streams/adc/\(name)").filter { $0 != "\n" }
    }
}

@Suite("A stream of a signal", .timeLimit(.minutes(1)))
struct StreamTests {
    /// "`read` gives the bytes in order, each once"
    @Test func `the periods are read in order, each byte once, around the ring`() throws {
        try withTree { (client) throws in
            var device = try Device(client)
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            try client.write("streams/adc/enable", "1")
            for round in 0..<10 {
                try device.fill()
                #expect(try device.value("available") == "16")
                #expect(try file.bytes(count: 5) == Array(Device.period(round)[..<5]))
                try device.fill(0)
                #expect(throws: Errno.wouldBlock) { try file.bytes(count: 5) }
                let watermark = try device.value("watermark")
                #expect(watermark == "16")
                try client.write("streams/adc/watermark", "1")
                #expect(try file.bytes(count: 100) == Array(Device.period(round)[5...]))
                try client.write("streams/adc/watermark", "16")
            }
            #expect(try device.value("overruns") == "0")
        }
    }

    /// "A stream is `armed` when it is made. It starts with the first `read` or `poll` of `data`,
    /// or when `1` is written to `enable`. ... Earlier events are not counted"
    @Test func `events before the start are not its`() throws {
        try withTree { (client) throws in
            var device = try Device(client)
            #expect(try device.value("status") == "armed")
            #expect(try device.value("enable") == "0")
            try client.write("signals/go/trigger", "2")
            #expect(try device.value("available") == "0")
            try client.write("streams/adc/enable", "1")
            #expect(try device.value("status") == "running")
            try device.fill()
            #expect(try device.value("available") == "16")
            let file = try client.open("streams/adc/data")
            #expect(try file.bytes() == Device.period(0))
            file.close()
        }
    }

    /// "Opening `data` starts nothing. ... events since the open count."
    @Test func `an open starts nothing, and the first read has what came since`() throws {
        try withTree { (client) throws in
            var device = try Device(client)
            try device.fill()
            try client.open("streams/adc/data").close()
            try device.fill()
            let file = try client.open("streams/adc/data")
            #expect(try device.value("status") == "armed")
            try device.fill(2)
            #expect(try device.value("status") == "armed")
            #expect(try device.value("available") == "0")
            #expect(try file.bytes(count: 32).count == 32)
            #expect(throws: Errno.wouldBlock) { try file.bytes() }
            #expect(try device.value("status") == "running")
            file.close()
            // One read that does not wait is a crawler's, the second is a reader's.
            try client.write("control/stream", "adc remove")
            try client.write("control/stream", "adc buffer=rx period=16 source=go")
            let asked = try client.open("streams/adc/data")
            #expect(throws: Errno.wouldBlock) { try asked.bytes() }
            #expect(try device.value("status") == "armed")
            #expect(throws: Errno.wouldBlock) { try asked.bytes() }
            #expect(try device.value("status") == "running")
            asked.close()
            // A poll starts it as well, and so does `enable`, which counts from there.
            try client.write("control/stream", "adc remove")
            try client.write("control/stream", "adc buffer=rx period=16 source=go")
            let again = try client.open("streams/adc/data")
            try device.fill()
            #expect(again.poll(nil) == .readable)
            again.close()
            try client.write("control/stream", "adc remove")
            try client.write("control/stream", "adc buffer=rx period=16 source=go")
            let last = try client.open("streams/adc/data")
            defer { last.close() }
            try device.fill()
            try client.write("streams/adc/enable", "1")
            #expect(throws: Errno.wouldBlock) { try last.bytes() }
        }
    }

    /// "`policy=overwrite` (the default): the newest data win; the reader that is too slow loses
    /// whole periods, oldest first, and each is counted in `overruns`."
    @Test func `with overwrite a slow reader loses the oldest periods, and they are counted`()
        throws
    {
        try withTree { (client) throws in
            var device = try Device(client)
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            try client.write("streams/adc/enable", "1")
            try device.fill(8)
            #expect(try device.value("overruns") == "5")
            #expect(try device.value("available") == "48")
            #expect(try device.value("status") == "running")
            var bytes: [UInt8] = []
            while bytes.count < 48 { bytes += try file.bytes() }
            #expect(bytes == (5..<8).flatMap(Device.period))
        }
    }

    /// "`policy=stop`: the oldest data win; an event that finds the ring full counts one overrun
    /// and stops the stream (`overrun`); the reader gets all that is in the ring, then `EPIPE`,
    /// until `1` is written to `enable`, which starts with an empty ring."
    @Test func `with stop an overrun ends in EPIPE until the stream is started again`() throws {
        try withTree { (client) throws in
            var device = try Device(client, "policy=stop")
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            let poller = FakePoller()
            #expect(file.poll(poller) == [])
            try device.fill(4)
            #expect(poller.wakes == 1)
            #expect(try device.value("status") == "overrun")
            #expect(try device.value("overruns") == "1")
            var bytes: [UInt8] = []
            while bytes.count < 48 { bytes += try file.bytes(count: 7) }
            #expect(bytes == (0..<3).flatMap(Device.period))
            for _ in 0..<2 { #expect(throws: Errno.brokenPipe) { try file.bytes() } }
            #expect(file.poll(nil).contains(.error))
            try client.write("streams/adc/enable", "1")
            #expect(try device.value("status") == "running")
            #expect(throws: Errno.wouldBlock) { try file.bytes() }
            // The ring starts at its beginning again.
            try client.write("buffers/rx", bytes: Device.period(99), at: 0)
            try client.write("signals/go/trigger", "1")
            #expect(try file.bytes() == Device.period(99))
            #expect(try device.value("overruns") == "1")
        }
    }

    /// "One reader at a time of `data` or `ready`: a second `open` is `EBUSY`. The position stays with
    /// the stream"
    @Test func `a second reader is EBUSY, and the next one goes on where the first ended`() throws {
        try withTree { (client) throws in
            var device = try Device(client, "watermark=1")
            let first = try client.open("streams/adc/data")
            #expect(throws: Errno.resourceBusy) { try client.open("streams/adc/data") }
            try device.fill(2)
            #expect(try first.bytes(count: 10) == [UInt8](repeating: 0, count: 10))
            first.close()
            let second = try client.open("streams/adc/data")
            defer { second.close() }
            #expect(try second.bytes() == Array(Device.period(0)[10...]) + Device.period(1))
        }
    }

    /// "blocks until `watermark` bytes are there"
    @Test func `a read waits for the watermark`() throws {
        try withTree { (client) throws in
            var device = try Device(client, "watermark=40")
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            let (read, poller) = (FakeRead(size: 4), FakePoller())
            #expect(try file.read(at: 0, size: 4, parked: read) == nil)
            try device.fill(2)
            #expect(read.finishes == 0)
            #expect(file.poll(poller) == [])
            try device.fill()
            #expect(read.bytes == [0, 0, 0, 0] && read.finishes == 1)
            #expect(poller.wakes == 1 && file.poll(nil) == .readable)
        }
    }

    /// "bytes, 1 to the ring less one period; at first one period"
    @Test func `a watermark is 1 to the ring less one period`() throws {
        try withTree { (client) throws in
            let device = try Device(client)
            #expect(try device.value("watermark") == "16")
            for good in ["1", "48", "0x20"] {
                #expect(try client.refusal("streams/adc/watermark", good) == nil)
            }
            for bad in ["0", "49", "-1", "x", "", "64"] {
                #expect(try client.refusal("streams/adc/watermark", bad) == .invalidArgument)
            }
            #expect(try device.value("watermark") == "32")
        }
    }

    @Test func `a lower watermark wakes a read that waits`() throws {
        try withTree { (client) throws in
            var device = try Device(client, "watermark=48")
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            let read = FakeRead()
            #expect(try file.read(at: 0, size: 100, parked: read) == nil)
            try device.fill()
            #expect(read.finishes == 0)
            try client.write("streams/adc/watermark", "16")
            #expect(read.bytes == Device.period(0))
        }
    }

    @Test func `a ring that can't take more is readable, whatever the watermark`() throws {
        try withTree { (client) throws in
            var device = try Device(client, "watermark=48")
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            try device.fill(3)
            #expect(try file.bytes(count: 10).count == 10)
            // 38 bytes and no room for a period: waiting for 48 would lose one.
            #expect((try? file.bytes(count: 10))?.count == 10)
            #expect(try device.value("overruns") == "0")
        }
    }

    /// "`1` starts, `0` stops: the reader gets what is left, then end of file"
    @Test func `a stopped stream gives what is left, then end of file, and goes on when started`()
        throws
    {
        try withTree { (client) throws in
            var device = try Device(client, "watermark=48")
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            try device.fill()
            let read = FakeRead(size: 10)
            #expect(try file.read(at: 0, size: 10, parked: read) == nil)
            try client.write("streams/adc/enable", "0")
            #expect(read.bytes?.count == 10)
            #expect(try device.value("status") == "stopped")
            #expect(try file.bytes().count == 6)
            #expect(try file.bytes() == [])
            #expect(try file.bytes() == [])
            #expect(file.poll(nil).contains(.hangUp))
            try client.write("signals/go/trigger", "1")
            #expect(try file.bytes() == [])
            try client.write("streams/adc/enable", "1")
            try device.fill(3)
            #expect(try file.bytes().count == 48)
        }
    }

    /// "Removed stream: `ENODEV`."
    @Test func `a removed stream wakes its reader with ENODEV`() throws {
        try withTree { (client) throws in
            var device = try Device(client)
            let file = try client.open("streams/adc/data")
            try device.fill()
            _ = try file.bytes()
            let (read, poller) = (FakeRead(), FakePoller())
            #expect(try file.read(at: 0, size: 10, parked: read) == nil)
            #expect(file.poll(poller) == [])
            try client.write("control/stream", "adc remove")
            #expect(read.error == .noDevice && read.finishes == 1 && poller.wakes == 1)
            #expect(throws: Errno.noDevice) { try file.bytes() }
            #expect(file.poll(nil).contains(.hangUp))
            file.close()
            #expect(read.finishes == 1)
            #expect(try client.list("streams").isEmpty)
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.open("streams/adc/data") }
        }
    }

    @Test func `a parked read that is cancelled loses no byte`() throws {
        try withTree { (client) throws in
            var device = try Device(client)
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            let (first, second) = (FakeRead(), FakeRead())
            _ = try file.read(at: 0, size: 16, parked: first)
            _ = try file.read(at: 0, size: 16, parked: second)
            #expect(file.cancel(first) && !file.cancel(first))
            try device.fill()
            #expect(first.finishes == 0 && second.bytes == Device.period(0))
            #expect(!file.cancel(second))
        }
    }

    @Test func `a stream keeps the memory of a buffer that was removed`() throws {
        try withTree { (client) throws in
            let free = try client.tree.space().free
            _ = try Device(client)
            #expect(try client.read("attributes/rx/refs") == "1\n")
            do {
                let memory = try client.open("buffers/rx", O_RDWR)
                let file = try client.open("streams/adc/data")
                try client.unlink("buffers/rx")
                try memory.write(Device.period(6))
                memory.close()
                try client.write("signals/go/trigger", "1")
                #expect(try file.bytes() == Device.period(6))
                file.close()
            }
            #expect(try client.tree.space().free == free - 4096)
            try client.write("control/stream", "adc remove")
            #expect(try client.tree.space().free == free)
        }
    }
}
