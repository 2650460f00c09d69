import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("The pattern generator", .timeLimit(.minutes(1)))
struct GeneratorTests {
    /// The next bytes, waiting for them.
    private func read(_ file: any OpenFile, _ size: Int) throws -> [UInt8] {
        let parked = FakeRead(size: size)
        switch try file.read(at: 0, size: size, parked: parked) {
        case .bytes(let bytes): return Array(bytes)
        case nil:
            guard parked.isFinished(within: 10) else {
                _ = file.cancel(parked)
                Issue.record("no bytes came in 10 s")
                throw Errno.timedOut
            }
            #expect(parked.finishes == 1)
            if let error = parked.error { throw error }
            return parked.bytes ?? []
        }
    }

    private func words(_ bytes: [UInt8]) -> [UInt32] {
        stride(from: 0, to: bytes.count - bytes.count % 4, by: 4).map { index in
            (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[index + $1]) << UInt32($1 * 8) }
        }
    }

    /// "it fills the periods itself with 32-bit little-endian counter words, from 0";
    /// "With `policy=stop` the generator waits while the ring is full: nothing is lost."
    @Test(arguments: [1000, 4096, 12345])
    func `with stop nothing is lost: the words are consecutive from 0`(size: Int) throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 64K")
            try client.write(
                "control/stream",
                "adc buffer=rx period=4K source=pattern rate=1000000000 policy=stop")
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            var bytes: [UInt8] = []
            while bytes.count < 1 << 20 { bytes += try read(file, size) }
            let words = words(bytes)
            #expect(words == Array(0..<UInt32(words.count)))
            #expect(try client.read("streams/adc/overruns") == "0\n")
            #expect(try client.read("streams/adc/status") == "running\n")
        }
    }

    @Test func `with overwrite whole periods are lost, and overruns counts each`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 16K")
            try client.write(
                "control/stream", "adc buffer=rx period=4K source=pattern rate=100M")
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            try client.write("streams/adc/enable", "1")
            #expect(
                try holds { try client.read("streams/adc/overruns") != "0\n" },
                "a stream that nobody reads never overran")
            var last: UInt32?
            var lost: UInt64 = 0
            for _ in 0..<50 {
                let words = words(try read(file, 4096))
                let first = try #require(words.first)
                #expect(words == Array(first..<first + UInt32(words.count)))
                let gap = first - (last.map { $0 + 1 } ?? 0)
                #expect(gap.isMultiple(of: 1024))
                lost += UInt64(gap / 1024)
                last = words.last
            }
            let counted = try client.read("streams/adc/overruns").filter { $0 != "\n" }
            #expect(try #require(UInt64(counted)) >= lost)
            #expect(lost > 0)
        }
    }

    @Test func `a read that does not divide the watermark does not stand still`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 16K")
            try client.write(
                "control/stream",
                "adc buffer=rx period=4K source=pattern rate=1000000000 policy=stop watermark=12K")
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            var bytes: [UInt8] = []
            while bytes.count < 40_000 { bytes += try read(file, 1000) }
            let words = words(bytes)
            #expect(words == Array(0..<UInt32(words.count)))
        }
    }

    @Test func `a stopped generator gives what is left, then end of file`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 16K")
            try client.write(
                "control/stream",
                "adc buffer=rx period=4K source=pattern rate=1000000000 policy=stop")
            let file = try client.open("streams/adc/data")
            defer { file.close() }
            try client.write("streams/adc/enable", "1")
            #expect(try holds { try client.read("streams/adc/available") == "12288\n" })
            try client.write("streams/adc/enable", "0")
            var bytes: [UInt8] = []
            while true {
                let part = try read(file, 5000)
                if part.isEmpty { break }
                bytes += part
            }
            #expect(words(bytes) == Array(0..<3072))
            try client.write("streams/adc/enable", "1")
            #expect(try !read(file, 4096).isEmpty)
        }
    }

    @Test func `removing a stream ends its generator and frees the buffer`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 16K")
            for _ in 0..<20 {
                try client.write(
                    "control/stream", "adc buffer=rx period=4K source=pattern rate=1000000000")
                try client.write("streams/adc/enable", "1")
                #expect(
                    try client.refusal("control/stream", "b buffer=rx period=4K source=pattern")
                        == .resourceBusy)
                try client.write("control/stream", "adc remove")
            }
            #expect(try client.read("attributes/rx/refs") == "0\n")
            try client.truncate("buffers/rx", to: 0)
        }
    }
}
