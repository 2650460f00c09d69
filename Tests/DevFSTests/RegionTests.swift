import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

@Suite("regions/", .timeLimit(.minutes(1)))
struct RegionTests {
    private func withRegions(_ body: (Client) throws -> Void) throws {
        let device = try FakeHardware(regions: [("bar0", 4096, true), ("rom", 256, false)])
        try withHardware(device) { (client, _) throws in try body(client) }
    }

    /// "`regions/` is there only where the device has some"
    @Test func `it is there only where the device has some`() throws {
        try withTree { (client) throws in
            #expect(try !client.list("").contains("regions"))
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.inode("regions") }
        }
        try withRegions { (client) throws in
            #expect(try client.list("").contains("regions"))
            #expect(try client.list("regions") == ["bar0", "rom"])
        }
    }

    @Test func `a region has its size, its mode and its own inode`() throws {
        try withRegions { (client) throws in
            let bar = try client.status("regions/bar0")
            #expect(bar.size == 4096 && bar.mode == S_IFREG | 0o600 && bar.uid == geteuid())
            let rom = try client.status("regions/rom")
            #expect(rom.size == 256 && rom.mode == S_IFREG | 0o400 && rom.inode != bar.inode)
            #expect(Node(Inode(bar.inode)) == .region(0))
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.inode("regions/bar1") }
        }
    }

    @Test func `reads and writes go to the region at their place`() throws {
        try withRegions { (client) throws in
            let file = try client.open("regions/bar0", O_RDWR | O_TRUNC)
            defer { file.close() }
            #expect(try file.write([1, 2, 3, 4], at: 8) == 4)
            #expect(try file.bytes(at: 8, count: 4) == [1, 2, 3, 4])
            #expect(try file.bytes(at: 4096, count: 4) == [])
            #expect(try client.status("regions/bar0").size == 4096)
        }
    }

    @Test func `it is not cut, renamed, removed or made`() throws {
        try withRegions { (client) throws in
            #expect(throws: Errno.notPermitted) { try client.truncate("regions/bar0", to: 0) }
            #expect(throws: Errno.notPermitted) { try client.unlink("regions/bar0") }
            #expect(throws: Errno.notPermitted) { try client.rename("regions/bar0", "buffers/x") }
            #expect(throws: Errno.notPermitted) { try client.create("x", in: "regions") }
            #expect(throws: Errno.permissionDenied) { try client.open("regions/rom", O_RDWR) }
            #expect(try client.bytes("regions/rom").count == 256)
        }
    }

    /// "while one of them is open or mapped, the other is `EBUSY`"
    @Test func `the last close of a region gives its registration back, the first does not`() throws
    {
        try withRegions { (client) throws in
            let dropped = Mutex<[DevFS.Inode]>([])
            client.tree.regionUse.idle.set { inode in dropped.withLock { $0.append(inode) } }
            let first = try client.open("regions/bar0", O_RDWR)
            let second = try client.open("regions/bar0")
            first.close()
            first.close()
            #expect(dropped.withLock { $0 } == [])
            second.close()
            #expect(dropped.withLock { $0 } == [Node.region(0).inode])
        }
    }

    @Test func `a region whose other file is open is EBUSY, and opens once that is closed`() throws
    {
        let device = try FakeHardware(regions: [("bar0", 4096, true)])
        try withHardware(device) { (client, _) throws in
            device.setBusy(0, true)
            #expect(throws: Errno.resourceBusy) { try client.open("regions/bar0") }
            device.setBusy(0, false)
            try client.open("regions/bar0").close()
        }
    }

    @Test func `a removed device has no regions to open`() throws {
        let device = try FakeHardware(regions: [("bar0", 4096, true)])
        try withHardware(device) { (client, _) throws in
            device.unplug()
            #expect(throws: Errno.noDevice) { try client.open("regions/bar0") }
        }
    }

    // MARK: By the socket

    private func ask(_ client: Client, _ line: String) throws -> (String, SharedDescriptor?) {
        let peer = try Peer(String(client.read("control/socket").dropLast()))
        try peer.send(Array("\(line)\n".utf8))
        return try #require(peer.receive(), "the connection ended")
    }

    private func canWrite(_ descriptor: CInt) -> Bool {
        let bytes: [UInt8] = [1, 2, 3, 4]
        return unsafe pwrite(descriptor, bytes, 4, 8) == 4
    }

    /// "A region's descriptor is the region's own file"
    @Test func `the socket hands out a region's own file, as it is asked for`() throws {
        try withRegions { (client) throws in
            try client.tree.openSocket()
            let (answer, given) = try ask(client, "region bar0")
            #expect(answer == "ok")
            let region = try #require(given).raw
            #expect(canWrite(region))
            #expect(try client.bytes("regions/bar0")[8..<12] == [1, 2, 3, 4])
            let (second, readOnly) = try ask(client, "region bar0 ro")
            #expect(second == "ok")
            let reader = try #require(readOnly).raw
            #expect(!canWrite(reader) && lastError == .badFileDescriptor)
            #expect(try ask(client, "region rom ro").0 == "ok")
        }
    }

    @Test(arguments: [
        ("region", "EINVAL"), ("region bar0 wo", "EINVAL"), ("region bar0 ro x", "EINVAL"),
        ("region bar1", "ENOENT"), ("region rom", "EACCES"), ("region rom rw", "EACCES"),
    ])
    func `a region that the socket can't give is refused`(line: String, errno: String) throws {
        try withRegions { (client) throws in
            try client.tree.openSocket()
            let (answer, given) = try ask(client, line)
            #expect(answer.hasPrefix("error \(errno) ") && given == nil)
        }
    }

    @Test func `the socket does not wait for the other file of a BAR`() throws {
        let device = try FakeHardware(regions: [("bar0", 4096, true)])
        try withHardware(device) { (client, _) throws in
            try client.tree.openSocket()
            device.setBusy(0, true)
            #expect(try ask(client, "region bar0").0.hasPrefix("error EBUSY "))
            device.setBusy(0, false)
            #expect(try ask(client, "region bar0").0 == "ok")
        }
    }

    /// "the buffer's owner and mode, or the region's: `EACCES`"
    @Test func `a region is given to those who could open it`() throws {
        try withRegions { (client) throws in
            let name = try #require(Name("bar0"))
            func gives(_ uid: UInt32, _ gid: UInt32, writes: Bool) throws -> Bool {
                do throws(Refusal) {
                    _ = try client.tree.descriptor(
                        ofRegion: name, writes: writes,
                        for: Credentials(uid: uid, gid: gid, groups: []))
                    return true
                } catch {
                    try #require(error.errno == .permissionDenied)
                    return false
                }
            }
            for writes in [false, true] {
                #expect(try gives(geteuid(), getegid(), writes: writes))
                #expect(try gives(0, 54321, writes: writes))
                #expect(try !gives(54321, 54321, writes: writes))
                // Its mode has nothing for the group.
                #expect(try !gives(54321, getegid(), writes: writes))
            }
        }
    }

    @Test func `a mount that is read-only gives regions to read`() throws {
        try withDevice { device in
            var options = TreeOptions(uid: geteuid(), gid: getegid())
            options.isReadOnly = true
            let tree = try FileSystem(
                try device.backend(), options,
                hardware: try FakeHardware(regions: [("bar0", 4096, true)]))
            defer { tree.shutDown() }
            try tree.openSocket()
            let client = Client(tree: tree)
            #expect(try ask(client, "region bar0").0.hasPrefix("error EROFS "))
            #expect(try ask(client, "region bar0 ro").0 == "ok")
        }
    }
}
