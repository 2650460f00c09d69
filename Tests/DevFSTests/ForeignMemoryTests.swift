import CFuse
import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("Memory of others by the socket", .timeLimit(.minutes(1)))
struct ForeignMemoryTests {
    private func withSocket(
        _ body: (Client, Peer) throws -> Void
    ) throws {
        try withHardware { (client, _) throws in
            try client.tree.openSocket()
            try body(client, try Peer(String(client.read("control/socket").dropLast())))
        }
    }

    /// Shared memory with counting bytes in it.
    private func memory(_ size: Int) throws -> Descriptor {
        let file = try Syscalls.open("/dev/shm", flags: O_RDWR | cfuse_o_tmpfile, mode: 0o600)
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
        let count = unsafe bytes.withUnsafeBytes {
            unsafe pwrite(file.raw, $0.baseAddress, size, 0)
        }
        try #require(count == size)
        return file
    }

    private func ask(_ peer: Peer, _ line: String, _ descriptor: CInt) throws -> String {
        try peer.send(line, with: descriptor)
        return try #require(peer.receive(), "the connection ended").0
    }

    @Test func `a part of shared memory becomes a buffer of its process`() throws {
        try withSocket { (client, peer) throws in
            let memory = try memory(10_000)
            #expect(try ask(peer, "pin mine 4097 1K direction=to_device", memory.raw) == "ok")
            #expect(
                try client.bytes("buffers/mine")
                    == (4097..<4097 + 1024).map { UInt8(truncatingIfNeeded: $0) })
            #expect(try client.read("attributes/mine/heap") == "user\n")
            #expect(try client.read("attributes/mine/direction") == "to_device\n")
            #expect(try client.read("attributes/mine/owner") == "\(getpid())\n")
            #expect(try client.status("buffers/mine").uid == geteuid())
            #expect(
                try ask(peer, "pin mine 0 1K", memory.raw) == "error EEXIST mine is there already")
        }
    }

    @Test(arguments: [
        "pin a 0 0", "pin a 0 10001", "pin a 10000 1", "pin a 0x7fffffffffffffff 1", "pin a 1",
        "pin a 0 1 direction=up", "pin a 0 1 heap=user", "import a 0 1", "import a",
    ])
    func `a request that is wrong makes nothing`(line: String) throws {
        try withSocket { (client, peer) throws in
            let memory = try memory(10_000)
            #expect(try ask(peer, line, memory.raw).hasPrefix("error EINVAL "))
            #expect(try client.list("buffers") == [])
        }
    }

    @Test(arguments: ["/dev/zero", "/proc/self/status", "/dev/shm"])
    func `what is no shared memory is refused`(path: String) throws {
        try withSocket { (client, peer) throws in
            let file = try Syscalls.open(path, flags: O_RDONLY)
            #expect(try ask(peer, "pin a 0 1", file.raw).hasPrefix("error EINVAL "))
            #expect(try client.list("buffers") == [])
        }
    }

    @Test func `a request without a descriptor is EBADF, and a spare one is closed`() throws {
        try withSocket { (client, peer) throws in
            try peer.send(Array("pin a 0 1\n".utf8))
            #expect(try #require(peer.receive()).0.hasPrefix("error EBADF "))
            var ends: [CInt] = [0, 0]
            try check { unsafe pipe(&ends) }
            let reader = Descriptor(owning: ends[0])
            #expect(try ask(peer, "signal none", ends[1]).hasPrefix("error ENOENT "))
            try check { Glibc.close(ends[1]) }
            try peer.send(Array("pin a 0 1\n".utf8))
            #expect(try #require(peer.receive()).0.hasPrefix("error EBADF "))
            var byte: UInt8 = 0
            let count = unsafe read(reader.raw, &byte, 1)
            #expect(count == 0, "the server has the pipe still")
        }
    }

    @Test(arguments: ["pin a 0 1", "import a"])
    func `the memory device has no bus for it`(line: String) throws {
        try withTree { (client) throws in
            try client.tree.openSocket()
            let peer = try Peer(String(client.read("control/socket").dropLast()))
            let memory = try memory(1)
            #expect(try ask(peer, line, memory.raw).hasPrefix("error EOPNOTSUPP "))
        }
    }
}
