import DevFSClient
import Glibc
import Synchronization
import Testing

extension MountTests {
    /// The library that programs use, on real mounts.
    @Suite struct Client {
        private typealias Device = DevFSClient.Device

        /// What goes on while a mount is there, and needs to wait without a thread.
        private func withDevice(
            _ options: String..., body: (Mount, Device) async throws -> Void
        ) async throws {
            let mount = try Mount(.best, options)
            defer { #expect(mount.tearDown()) }
            try await body(mount, try Device.open(mount.root))
        }

        private func kind(_ body: () throws -> Void) -> DevFSError.Kind? {
            do {
                try body()
            } catch {
                return (error as? DevFSError)?.kind
            }
            return nil
        }

        private func first<Sequence: AsyncSequence>(
            of sequence: Sequence
        ) async throws -> Sequence.Element? {
            var iterator = sequence.makeAsyncIterator()
            return try await iterator.next()
        }

        private func byte(_ bytes: RawSpan, at offset: Int) -> UInt8 {
            unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
        }

        @Test func `a device is found by its path and by its source`() async throws {
            try await withDevice { mount, device in
                #expect(device.mountPoint == mount.root)
                #expect(device.source == mount.device)
                let name = String(mount.device.dropFirst("memory:".count))
                let found = [
                    try Device.open(mount.path("control/alloc")), try Device.find(mount.device),
                    try Device.find(name),
                ]
                #expect(found.allSatisfy { $0.mountPoint == mount.root })
                let all = try Device.all()
                #expect(all.contains { $0.mountPoint == mount.root })
            }
            #expect(kind { _ = try Device.open("/") } == .notMounted)
            #expect(kind { _ = try Device.open("/none/at/all") } == .notMounted)
            #expect(kind { _ = try Device.find("memory:none-of-this-name") } == .notMounted)
        }

        @Test func `a buffer is made, written, read and removed`() async throws {
            try await withDevice { mount, device in
                let buffer = try device.allocate("rx", bytes: 8192, direction: .fromDevice)
                let size = try buffer.size
                #expect(size == 8192)
                try buffer.write([1, 2, 3], at: 4000)
                let five = try buffer.read(5, at: 3999)
                #expect(five == [0, 1, 2, 3, 0])
                #expect(try mount.contents("rx")[4000] == 1)
                let two = try buffer.read(10, at: 8190)
                #expect(two == [0, 0])
                let records = try device.buffers()
                #expect(records.map(\.name) == ["rx"] && records[0].direction == "from_device")
                try device.removeBuffer("rx")
                #expect(names(in: mount.path("buffers")).isEmpty)
                #expect(kind { _ = try device.buffer("rx") } == .notFound)
            }
        }

        @Test func `a mapping is the memory itself, and outlives the buffer's owner`() async throws
        {
            try await withDevice { mount, device in
                var mapping = try device.allocate("rx", bytes: 8192).map()
                try mount.fill("rx", [7], at: 5000)
                let count = mapping.bytes.byteCount
                #expect(count == 8192)
                let seen = byte(mapping.bytes, at: 5000)
                #expect(seen == 7)
                do {
                    var span = mapping.mutableBytes
                    span.storeBytes(of: 9, toByteOffset: 5001, as: UInt8.self)
                }
                #expect(try mount.contents("rx")[5001] == 9)
                #expect(throws: Errno(EBUSY)) {
                    if unsafe truncate(mount.buffer("rx"), 4096) != 0 { throw Errno.last }
                }
                let buffer = try device.buffer("rx")
                let part = try buffer.map(4096..<8192, isWritable: false)
                let same = byte(part.bytes, at: 904)
                #expect(same == 7)
                for range in [1..<2, 0..<0, 4096..<8193] {
                    #expect(kind { _ = try buffer.map(range).count } == .invalid)
                }
            }
        }

        @Test func `withCPU hands the range over and back, also where its body throws`()
            async throws
        {
            try await withDevice { mount, device in
                let buffer = try device.allocate("rx", bytes: 8192)
                let owner = try buffer.withCPU(0..<4096) { () throws in
                    try mount.value("attributes/rx/sync_owner")
                }
                #expect(owner == "0")
                #expect(try mount.value("attributes/rx/sync_owner") == "1")
                struct Stop: Error {}
                #expect(throws: Stop.self) { try buffer.withCPU { throw Stop() } }
                #expect(try mount.value("attributes/rx/sync_owner") == "1")
            }
        }

        @Test func `errors have the errno, and the reason of control slash log`() async throws {
            try await withDevice("size=1M") { mount, device in
                do throws(DevFSError) {
                    _ = try device.allocate("big", bytes: 2 << 20)
                    Issue.record("2M of 1M were allocated")
                } catch {
                    #expect(error.errno?.rawValue == ENOSPC && error.kind == .refused)
                    #expect(error.operation == "allocating big")
                    let reason = try #require(error.reason)
                    #expect(try mount.log.contains(reason))
                    #expect(error.description.contains(reason))
                }
                #expect(kind { _ = try device.allocate("../x", bytes: 4096) } == .invalid)
                #expect(kind { _ = try device.allocate("a b", bytes: 4096) } == .invalid)
                #expect(kind { _ = try device.region("bar0").size } == .notFound)
                let regions = try device.regions()
                #expect(regions.isEmpty)
                let buffer = try device.allocate("rx", bytes: 4096)
                #expect(kind { _ = try buffer.dmaAddress } == .refused)
                #expect(kind { _ = try buffer.read(1, at: -1) } == .invalid)
            }
        }

        @Test func `events come in order, and end when the signal is removed`() async throws {
            try await withDevice { _, device in
                let signal = try device.makeSignal("go")
                let events = try signal.events()
                try signal.trigger(3)
                var iterator = events.makeAsyncIterator()
                for number in 1...3 as ClosedRange<UInt64> {
                    let event = try #require(try await iterator.next())
                    #expect(event.seq == number && event.missed == 0 && event.ns > 0)
                }
                // Nothing is there yet: the trigger comes while it waits.
                let next = Task { try await first(of: events) }
                try signal.trigger()
                let fourth = try await next.value
                #expect(fourth?.seq == 4)
                let last = Task { try await first(of: events) }
                try device.removeSignal("go")
                do {
                    _ = try await last.value
                    Issue.record("an event of a signal that is gone")
                } catch {
                    #expect((error as? DevFSError)?.kind == .removed)
                }
            }
        }

        @Test func `a timer's events wake many tasks at a time`() async throws {
            try await withDevice { _, device in
                let signal = try device.makeSignal("tick", every: .milliseconds(5))
                let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 1...20 {
                        let events = try signal.events()
                        group.addTask {
                            var seen = 0
                            for try await _ in events.prefix(5) { seen += 1 }
                            return seen
                        }
                    }
                    return try await group.reduce(0, +)
                }
                #expect(sum == 100)
            }
        }

        @Test func `a task that waits for an event can be cancelled`() async throws {
            try await withDevice { _, device in
                let events = try device.makeSignal("go").events()
                for _ in 1...20 {
                    let task = Task { try await first(of: events) }
                    await Task.yield()
                    task.cancel()
                    await #expect(throws: CancellationError.self) { try await task.value }
                }
                // And the descriptor can be waited for again.
                let task = Task { try await first(of: events) }
                try device.signal("go").trigger()
                let event = try await task.value
                #expect(event?.seq == 1)
            }
        }

        @Test func `a stream's chunks are its bytes in order, each once`() async throws {
            try await withDevice { _, device in
                _ = try device.allocate("ring", bytes: 64 << 10)
                let stream = try device.makeStream(
                    "adc", buffer: "ring", period: 4096, source: "pattern",
                    options: ["rate=1M", "policy=stop"])
                var word: UInt32 = 0
                var position: UInt64 = 0
                for try await chunk in try stream.chunks(of: 10_000).prefix(100) {
                    #expect(chunk.position == position && chunk.overruns == 0)
                    position += UInt64(chunk.bytes.count)
                    guard chunk.bytes.count % 4 == 0 else { continue }
                    let isRight = unsafe chunk.bytes.withUnsafeBytes { bytes in
                        stride(from: 0, to: bytes.count, by: 4).allSatisfy { offset in
                            defer { word += 1 }
                            return unsafe bytes.loadUnaligned(
                                fromByteOffset: offset, as: UInt32.self) == word
                        }
                    }
                    #expect(isRight)
                }
                #expect(word > 1000)
                let record = try device.stream("adc").record
                #expect(record.period == 4096)
            }
        }

        @Test func `one task reads a stream, and a removed stream ends it`() async throws {
            try await withDevice { _, device in
                _ = try device.allocate("ring", bytes: 64 << 10)
                _ = try device.makeSignal("go")
                let stream = try device.makeStream(
                    "adc", buffer: "ring", period: 4096, source: "go")
                let chunks = try stream.chunks()
                #expect(kind { _ = try stream.chunks() } == .refused)
                let task = Task { try await first(of: chunks) }
                try device.removeStream("adc")
                do {
                    _ = try await task.value
                    Issue.record("bytes of a stream that is gone")
                } catch {
                    #expect((error as? DevFSError)?.kind == .removed)
                }
                #expect(kind { _ = try device.stream("adc") } == .notFound)
            }
        }

        @Test func `a server that died is told as such`() async throws {
            let mount = try Mount(.best, [])
            defer { mount.tearDown() }
            let device = try Device.open(mount.root)
            try mount.stop(SIGKILL)
            #expect(kind { _ = try device.buffers() } == .serverDied)
        }

        @Test func `no descriptor is left open`() async throws {
            try await withDevice { _, device in
                let round = { () async throws in
                    _ = try device.allocate("rx", bytes: 4096).map()
                    let signal = try device.makeSignal("go")
                    let events = try signal.events()
                    let task = Task { try await first(of: events) }
                    try signal.trigger()
                    _ = try await task.value
                    try device.removeSignal("go")
                    try device.removeBuffer("rx")
                }
                try await round()
                let before = names(in: "/proc/self/fd").count
                let extra = try OpenFile("/dev/null", O_RDONLY)
                #expect(names(in: "/proc/self/fd").count == before + 1, "a leak can be seen")
                extra.close()
                for _ in 1...5 { try await round() }
                #expect(names(in: "/proc/self/fd").count == before)
            }
        }
    }
}
