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
}
