import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("control/socket", .timeLimit(.minutes(1)))
struct SocketTests {
    private func withSocket(_ body: (Client, Peer) throws -> Void) throws {
        try withTree { (client) throws in
            try client.tree.openSocket()
            try client.write("control/alloc", "rx 8K")
            try client.write("control/signal", "go software")
            let path = try client.read("control/socket").dropLast()
            try body(client, try Peer(String(path)))
        }
    }

    private func ask(_ peer: Peer, _ line: String) throws -> (String, SharedDescriptor?) {
        try peer.send(Array("\(line)\n".utf8))
        return try #require(peer.receive(), "the connection ended")
    }

    /// "A buffer's descriptor is the memory itself"
    @Test func `a buffer's descriptor is the memory itself`() throws {
        try withSocket { (client, peer) throws in
            let (answer, given) = try ask(peer, "buffer rx")
            #expect(answer == "ok")
            let memory = try #require(given).raw
            try client.write("buffers/rx", bytes: [1, 2, 3])
            #expect(try Array(contents(of: memory)[..<3]) == [1, 2, 3])
            let (second, readOnly) = try ask(peer, "buffer rx ro")
            #expect(second == "ok")
            let raw = try #require(readOnly).raw
            let byte: [UInt8] = [9]
            let written = unsafe pwrite(raw, byte, 1, 0)
            #expect(written == -1 && lastError == .badFileDescriptor)
        }
    }

    /// "`EBUSY` while ... an fd of it was handed out by the socket and is still open"
    @Test func `a descriptor that was handed out keeps its buffer from shrinking`() throws {
        try withSocket { (client, peer) throws in
            do {
                let (answer, given) = try ask(peer, "buffer rx")
                #expect(answer == "ok" && given != nil)
                #expect(throws: Errno.resourceBusy) { try client.truncate("buffers/rx", to: 1) }
                withExtendedLifetime(given) {}
            }
            try client.truncate("buffers/rx", to: 1)
        }
    }

    /// "A stream's descriptor is the reader's end of a pipe"
    @Test func `a stream's descriptor is a pipe that ends with the stream, or its reader`() throws {
        try withSocket { (client, peer) throws in
            try client.write("control/alloc", "ring 64")
            try client.write("control/stream", "adc buffer=ring period=16 source=go")
            #expect(try ask(peer, "stream none").0.hasPrefix("error ENOENT"))
            let (answer, given) = try ask(peer, "stream adc")
            #expect(answer == "ok")
            let reader = try #require(given)
            #expect(try ask(peer, "stream adc").0.hasPrefix("error EBUSY"))
            #expect(throws: Errno.resourceBusy) { try client.open("streams/adc/data") }
            try client.write("buffers/ring", bytes: [UInt8](repeating: 7, count: 64))
            var room = [UInt8](repeating: 0, count: 100)
            for _ in 0..<10 {
                try client.write("signals/go/trigger", "1")
                let count = unsafe read(reader.raw, &room, 100)
                #expect(count == 16 && room[..<16].allSatisfy { $0 == 7 })
            }
            try client.write("streams/adc/enable", "0")
            let end = unsafe read(reader.raw, &room, 100)
            #expect(end == 0)
            // The one that has ended is no reader any more.
            var again: (String, SharedDescriptor?) = ("", nil)
            try client.write("streams/adc/enable", "1")
            let isGiven = holds {
                again = (try? ask(peer, "stream adc")) ?? again
                return again.0 == "ok"
            }
            #expect(isGiven)
            again.1 = nil
            try client.write("signals/go/trigger", "1")
            #expect(holds { (try? client.open("streams/adc/data"))?.close() != nil })
        }
    }

    /// "A signal's descriptor is an eventfd that counts the events from then on; it is dropped
    /// when the peer closes the connection."
    @Test func `a signal's descriptor counts the events from then on`() throws {
        try withSocket { (client, peer) throws in
            try client.write("signals/go/trigger", "5")
            let (answer, given) = try ask(peer, "signal go")
            #expect(answer == "ok")
            let counter = try #require(given).raw
            try client.write("signals/go/trigger", "3")
            var count: UInt64 = 0
            let result = unsafe Glibc.read(counter, &count, 8)
            #expect(result == 8 && count == 3)
        }
    }

    @Test(arguments: [
        ("", "EINVAL"), (" ", "EINVAL"), ("buffer", "EINVAL"), ("buffer .x", "EINVAL"),
        ("buffer rx rx", "EINVAL"), ("buffer rx ro x", "EINVAL"), ("buffer no", "ENOENT"),
        ("signal no", "ENOENT"), ("signal go ro", "EINVAL"), ("streams rx", "EINVAL"),
        ("stream rx", "ENOENT"), ("ring rx", "ENOENT"), ("stream", "EINVAL"),
        ("ring rx ro", "EINVAL"),
        ("BUFFER rx", "EINVAL"), ("buffer rx\r", "EINVAL"), ("buffer rx\0", "EINVAL"),
        ("buffer \(String(repeating: "x", count: 249))", "ENAMETOOLONG"),
        ("buffer \(String(repeating: "x", count: 250))", "EINVAL"),
    ])
    func `a refused request is one line, and the next is answered`(
        request: String, errno: String
    ) throws {
        try withSocket { (_, peer) throws in
            let (answer, given) = try ask(peer, request)
            #expect(answer.hasPrefix("error \(errno) ") && answer.utf8.count > 14)
            #expect(given == nil)
            // "Requests of more than 256 bytes": the connection may end with them.
            guard request.utf8.count <= 256 else { return }
            #expect(try ask(peer, "buffer rx ro").0 == "ok")
        }
    }

    @Test func `requests may come in pieces and several at once`() throws {
        try withSocket { (_, peer) throws in
            for byte in Array("buffer rx\n".utf8) { try peer.send([byte]) }
            #expect(peer.receive()?.0 == "ok")
            try peer.send(Array("buffer rx\nbuffer no\nsignal go\n".utf8))
            #expect(peer.receive()?.0 == "ok")
            #expect(peer.receive()?.0.hasPrefix("error ENOENT ") == true)
            #expect(peer.receive()?.0 == "ok")
        }
    }

    @Test func `a request without an end is EINVAL, and the connection ends`() throws {
        try withSocket { (_, peer) throws in
            try peer.send([UInt8](repeating: 0x61, count: 100_000))
            let answer = peer.receive()
            #expect(answer?.0.hasPrefix("error EINVAL ") != false)
            #expect(peer.receive() == nil)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `noise is refused line by line, and the server lives`(seed: UInt64) throws {
        try withSocket { (client, peer) throws in
            var random = SeededRandom(seed)
            for step in 0..<300 {
                var bytes = random.bytes(random.below(250))
                bytes.removeAll { $0 == UInt8(ascii: "\n") }
                try peer.send(bytes + [UInt8(ascii: "\n")])
                let (answer, given) = try #require(peer.receive(), "seed \(seed), step \(step)")
                #expect(answer.hasPrefix("error EINVAL ") && given == nil)
            }
            #expect(try ask(peer, "buffer rx").0 == "ok")
            let next = try Peer(client.tree.socketPath)
            #expect(try ask(next, "buffer rx").0 == "ok")
        }
    }
}
