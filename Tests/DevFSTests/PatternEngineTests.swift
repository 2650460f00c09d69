import Dispatch
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

/// Takes the engine's writes in place of a buffer: keeps them, and lets them hang where told.
private final class FakeBuffers: Sendable {
    struct Write: Equatable {
        var buffer: CInt
        var offset: UInt64
        /// In words.
        var count: Int
        var first: UInt32
    }

    private struct State {
        var writes: [Write] = []
        var hanging: Set<CInt> = []
    }
    private let state = Monitor(State())
    /// How long a write takes, in microseconds.
    let time: UInt32

    init(time: UInt32 = 0) {
        self.time = time
    }

    func write(
        _ bytes: RawSpan, _ buffer: CInt, _ offset: UInt64
    ) throws(Errno) -> Int {
        if time > 0 { usleep(time) }
        let first = unsafe UInt32(littleEndian: bytes.unsafeLoadUnaligned(as: UInt32.self))
        state.withLock {
            $0.writes.append(
                Write(buffer: buffer, offset: offset, count: bytes.byteCount / 4, first: first))
        }
        state.wake()
        state.wait { $0.hanging.contains(buffer) ? .wait(until: nil) : .done(()) }
        return bytes.byteCount
    }

    var writes: [Write] { state.withLock { $0.writes } }

    func hang(_ stream: Stream, _ isHanging: Bool = true) {
        state.withLock {
            if isHanging {
                $0.hanging.insert(stream.descriptor)
            } else {
                $0.hanging.remove(stream.descriptor)
            }
        }
        state.wake()
    }

    /// Waits until the stream was written `count` times.
    func waits(for count: Int, of stream: Stream, seconds: UInt64 = 10) -> Bool {
        let deadline = Clock.monotonic + seconds * 1_000_000_000
        return state.wait { state in
            if state.writes.count(where: { $0.buffer == stream.descriptor }) >= count {
                return .done(true)
            }
            return Clock.monotonic < deadline ? .wait(until: deadline) : .done(false)
        }
    }
}

@Suite("The engine of all pattern generators", .timeLimit(.minutes(1)))
struct PatternEngineTests {
    private static let numbers = Atomic<UInt64>(1)

    /// An engine, and streams whose generators it fills; all ended afterwards.
    private final class Bench {
        let buffers: FakeBuffers
        private let loop: EventLoop
        private let engine: PatternEngine
        private var made: [(Stream, PatternGenerator)] = []

        init(time: UInt32 = 0) throws {
            let buffers = FakeBuffers(time: time)
            self.buffers = buffers
            loop = try EventLoop()
            engine = PatternEngine(loop) { (bytes, buffer, offset) throws(Errno) in
                try buffers.write(bytes, buffer, offset)
            }
        }

        func stream(
            period: UInt64, periods: UInt64 = 4, rate: UInt64, _ policy: OverrunPolicy = .overwrite
        ) throws -> Stream {
            let number = numbers.add(1, ordering: .relaxed).newValue
            let name = try #require(Name("s\(number)"))
            let definition = StreamDefinition(
                name: name, buffer: name, period: period, source: .pattern(rate: rate),
                policy: policy)
            let memory = BufferMemory(try Syscalls.open("/dev/null", flags: O_RDWR))
            let stream = Stream(
                StreamID(number: number), definition, memory: memory, size: period * periods)
            made.append((stream, try PatternGenerator(stream, rate: rate, by: engine)))
            return stream
        }

        func stop(_ stream: Stream) {
            for (each, generator) in made where each === stream {
                stream.end()
                generator.stop()
            }
            made.removeAll { $0.0 === stream }
        }

        deinit {
            for (stream, generator) in made {
                buffers.hang(stream, false)
                stream.end()
                generator.stop()
            }
            loop.shutDown()
        }
    }

    @Test func `a period longer than a slice is filled piece by piece, and counts at its end`()
        throws
    {
        let bench = try Bench()
        let stream = try bench.stream(period: 160 << 10, periods: 2, rate: 1 << 30, .stop)
        stream.start()
        #expect(holds { stream.available == 160 << 10 })
        let slices = bench.buffers.writes
        #expect(slices.map(\.count) == [16384, 16384, 8192])
        #expect(slices.map(\.offset) == [0, 64 << 10, 128 << 10])
        #expect(slices.map(\.first) == [0, 16384, 32768])
    }

    @Test func `a period is not there before its last slice`() throws {
        let bench = try Bench()
        let stream = try bench.stream(period: 160 << 10, rate: 1 << 30)
        bench.buffers.hang(stream)
        stream.start()
        #expect(bench.buffers.waits(for: 1, of: stream))
        #expect(stream.available == 0)
        bench.buffers.hang(stream, false)
        #expect(holds { stream.available > 0 })
    }

    /// "a turn is 64 KiB"
    @Test func `a period of gigabytes takes turns with the others`() throws {
        let bench = try Bench(time: 100)
        let huge = try bench.stream(period: 8 << 30, rate: 1 << 30)
        let small = try bench.stream(period: 64 << 10, rate: 1 << 30)
        let tiny = try bench.stream(period: 4, rate: 1 << 30)
        for stream in [huge, small, tiny] { stream.start() }
        #expect(bench.buffers.waits(for: 200, of: huge, seconds: 30))
        // From where all are there.
        let order = bench.buffers.writes.map(\.buffer).drop { $0 != tiny.descriptor }.prefix(500)
        var last = order.first
        var gap = 0
        for buffer in order.dropFirst() where buffer != tiny.descriptor {
            gap = buffer == huge.descriptor && last == buffer ? gap + 1 : 0
            #expect(gap == 0, "two turns of the huge one in a row, while others are due")
            last = buffer
        }
        #expect(order.contains(tiny.descriptor))
    }

    @Test func `a write that hangs stalls its own stream alone`() throws {
        let bench = try Bench()
        let rate: UInt64 = 1 << 20
        let hanging = try (0..<3).map { _ in try bench.stream(period: 4096, rate: rate, .overwrite)
        }
        let others = try (0..<3).map { _ in try bench.stream(period: 4096, rate: rate) }
        for stream in hanging { bench.buffers.hang(stream) }
        for stream in hanging + others { stream.start() }
        for stream in hanging { #expect(bench.buffers.waits(for: 1, of: stream)) }
        // A period takes a millisecond.
        for stream in others { #expect(bench.buffers.waits(for: 100, of: stream)) }
        for stream in hanging {
            #expect(bench.buffers.writes.count { $0.buffer == stream.descriptor } == 1)
            #expect(stream.available == 0)
        }
        // Whoever removes one does not wait for the write.
        let began = Clock.monotonic
        bench.stop(hanging[0])
        #expect(Clock.monotonic - began < 1_000_000_000)
        // The others go on where they were.
        bench.buffers.hang(hanging[1], false)
        #expect(bench.buffers.waits(for: 10, of: hanging[1]))
        let words = bench.buffers.writes.filter { $0.buffer == hanging[1].descriptor }.map(\.first)
        #expect(Array(words.prefix(10)) == (0..<10).map { $0 * 1024 })
    }

    @Test func `the last stream can go while its write hangs, and the next one is filled`() throws {
        let bench = try Bench()
        let first = try bench.stream(period: 4096, rate: 1 << 20)
        bench.buffers.hang(first)
        first.start()
        #expect(bench.buffers.waits(for: 1, of: first))
        bench.stop(first)
        let next = try bench.stream(period: 4096, rate: 1 << 20)
        next.start()
        #expect(bench.buffers.waits(for: 10, of: next))
        bench.buffers.hang(first, false)
        #expect(bench.buffers.waits(for: 20, of: next))
    }

    @Test(arguments: [4096, 160 << 10] as [UInt64])
    func `a stream that is stopped in a period goes on with its words`(period: UInt64) throws {
        let bench = try Bench()
        let stream = try bench.stream(period: period, rate: 1 << 28)
        bench.buffers.hang(stream)
        stream.start()
        #expect(bench.buffers.waits(for: 1, of: stream))
        stream.stop()
        bench.buffers.hang(stream, false)
        // Another stream's turn comes after this one's.
        let other = try bench.stream(period: 4096, rate: 1 << 20)
        other.start()
        #expect(bench.buffers.waits(for: 2, of: other))
        #expect(bench.buffers.writes.count { $0.buffer == stream.descriptor } == 1)
        #expect(stream.available == 0)
        stream.start()
        #expect(bench.buffers.waits(for: 6, of: stream))
        let words = bench.buffers.writes.filter { $0.buffer == stream.descriptor }.map(\.first)
        // A period that was whole when it was stopped was not counted: it is filled again. How
        // much of the next one goes into a turn depends on the time.
        #expect(
            Array(words.prefix(4))
                == (period == 4096 ? [0, 0, 1024, 2048] : [0, 16384, 32768, 40960]))
    }

    @Test func `a period is filled after its time`() throws {
        let bench = try Bench()
        // 256 words at 2,560 a second.
        let stream = try bench.stream(period: 1024, rate: 2560)
        let began = Clock.monotonic
        stream.start()
        #expect(bench.buffers.waits(for: 3, of: stream))
        let time = Clock.monotonic - began
        #expect(time >= 300_000_000)
    }

    /// "a period that takes a year or longer at that rate | `EINVAL`"
    @Test(
        arguments: [
            (1, 1, 1_000_000_000), (1, 3, 333_333_334), (0, 1, 0),
            (1 << 30, 1 << 30, 1_000_000_000),
            (31_535_999, 1, 31_535_999_000_000_000), (31_536_000, 1, nil), (1 << 61, 1 << 30, nil),
            (.max, 1, nil), (.max, 1 << 30, nil), (1, 0, nil), (1, .max, nil),
            (31_535_999 << 30, 1 << 30, 31_535_999_000_000_000),
        ] as [(UInt64, UInt64, UInt64?)])
    func `the time of a period is exact, and no rate and no period is too much for it`(
        words: UInt64, rate: UInt64, time: UInt64?
    ) {
        #expect(StreamRequest.time(of: words, at: rate) == time)
    }
}
