import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

@Suite("a device that others have open, too", .timeLimit(.minutes(1)))
struct SharedDeviceTests {
    /// Past the look-ups of a client.
    private func make(_ name: String, in tree: FileSystem) throws {
        _ = try tree.buffers.allocate(
            try #require(Name(name)), size: 0, traits: BufferTraits(heap: .system),
            owner: Ownership(uid: geteuid(), gid: getegid(), mode: 0o600), payer: geteuid(),
            quotas: tree.quotas)
    }

    /// "What others do to the buffers of a device is there at the next call"
    @Test func `buffers of others come, change their names and go`() throws {
        try withSharedDevice { (client, device) throws in
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.status("buffers/a") }
            let id = try device.makeForeign("a", size: 8192)
            #expect(try client.status("buffers/a").size == 8192)
            #expect(try client.read("attributes/a/size") == "8192\n")
            #expect(try client.list("buffers") == ["a"] && client.list("attributes") == ["a"])
            #expect(try client.read("control/alloc").hasPrefix("a 8192 "))
            let inode = try client.inode("buffers/a")
            try device.renameForeign(id, to: "b")
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.status("buffers/a") }
            #expect(try client.inode("buffers/b") == inode)
            try device.freeForeign(id)
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.status("buffers/b") }
            #expect(try client.list("buffers").isEmpty)
        }
    }

    @Test func `the directory's time and the counts follow`() throws {
        try withSharedDevice { (client, device) throws in
            let before = try client.status("buffers").modified
            let id = try device.makeForeign("a")
            #expect(try client.status("buffers").modified != before)
            #expect(try client.read("metrics").contains("devfs_buffers 1\n"))
            #expect(try client.tree.space().files == 1)
            try device.freeForeign(id)
            #expect(try client.read("metrics").contains("devfs_buffers 0\n"))
        }
    }

    @Test func `names that were exchanged, or follow one another, are told apart`() throws {
        try withSharedDevice { (client, device) throws in
            let ids = try ["a", "b", "c"].map { try device.makeForeign($0) }
            let inodes = try ["a", "b", "c"].map { try client.inode("buffers/\($0)") }
            try device.renameForeign(ids[0], to: "b", .exchange)
            #expect(try client.inode("buffers/a") == inodes[1])
            #expect(try client.inode("buffers/b") == inodes[0])
            // a -> d, b -> a, c freed, and another c, between two looks.
            try device.renameForeign(ids[1], to: "d")
            try device.renameForeign(ids[0], to: "a")
            try device.freeForeign(ids[2])
            try device.makeForeign("c")
            #expect(try client.inode("buffers/d") == inodes[1])
            #expect(try client.inode("buffers/a") == inodes[0])
            #expect(try client.inode("buffers/c") != inodes[2])
            #expect(try client.list("buffers").sorted() == ["a", "c", "d"])
        }
    }

    @Test func `a buffer that is open is read to its end after another one freed it`() throws {
        try withSharedDevice { (client, device) throws in
            let id = try device.makeForeign("a")
            let file = try client.open("buffers/a", O_RDWR)
            try device.freeForeign(id)
            #expect(try client.list("buffers").isEmpty)
            #expect(try file.write([1, 2, 3]) == 3 && file.bytes(count: 3) == [1, 2, 3])
            try device.makeForeign("a")
            #expect(try client.bytes("buffers/a") == [UInt8](repeating: 0, count: 4096))
            file.close()
            #expect(try client.list("buffers") == ["a"])
        }
    }

    @Test func `creating a name that another one has just taken opens his`() throws {
        try withSharedDevice { (client, device) throws in
            try device.makeForeign("a", size: 8192)
            let file = try client.create("a")
            defer { file.close() }
            #expect(try file.bytes().count == 8192)
            #expect(throws: Errno.fileExists) { try client.create("a", O_EXCL) }
            #expect(try client.refusal("control/alloc", "a 4K") == .fileExists)
        }
    }

    @Test func `buffers of others are renamed, replaced and freed by the tree`() throws {
        try withSharedDevice { (client, device) throws in
            try device.makeForeign("a")
            try device.makeForeign("b", size: 8192)
            try client.rename("buffers/b", "buffers/a")
            #expect(try client.status("buffers/a").size == 8192)
            #expect(try client.list("buffers") == ["a"])
            try client.unlink("buffers/a")
            #expect(try client.list("buffers").isEmpty && device.buffers().isEmpty)
        }
    }

    /// "`EBUSY` where ... an address of it was read"
    @Test func `a buffer whose address was read is not replaced, and stat reads none`() throws {
        try withSharedDevice { (client, device) throws in
            try client.write("control/alloc", "a 4K\nb 4K\nc 4K")
            // There is none yet: nobody was told.
            #expect(throws: Errno.noData) { try client.read("attributes/b/dma_addr") }
            device.address.withLock { $0 = 0x1000 }
            _ = try client.status("attributes/b/dma_addr")
            try client.rename("buffers/a", "buffers/b")
            #expect(try client.read("attributes/b/dma_addr") == "0x0000000000001000\n")
            #expect(throws: Errno.resourceBusy) { try client.rename("buffers/c", "buffers/b") }
            #expect(try client.log().last?.contains("told b's address: write into b") == true)
            try client.rename("buffers/c", "buffers/b", .exchange)
            try client.rename("buffers/c", "buffers/d")
            #expect(throws: Errno.resourceBusy) { try client.rename("buffers/b", "buffers/d") }
            try client.unlink("buffers/d")
            try client.rename("buffers/b", "buffers/d")
            #expect(try client.list("buffers") == ["d"])
        }
    }

    /// A list that was made before an allocation of the tree's ended does not have it.
    @Test func `a buffer that is made while the device is listed is kept`() throws {
        try withSharedDevice { (client, device) throws in
            try device.makeForeign("a")
            device.whenListed.set {
                device.whenListed.set {}
                do { try make("mine", in: client.tree) } catch { Issue.record(error) }
            }
            #expect(try client.list("buffers").sorted() == ["a", "mine"])
            try device.makeForeign("b")
            #expect(try client.list("buffers").sorted() == ["a", "b", "mine"])
        }
    }

    /// The name was another one's when the list was made, and is the tree's now.
    @Test func `a name that changes hands while the device is listed is found again`() throws {
        try withSharedDevice { (client, device) throws in
            let id = try device.makeForeign("a")
            device.whenListed.set {
                device.whenListed.set {}
                do {
                    try device.renameForeign(id, to: "b")
                    try make("a", in: client.tree)
                } catch {
                    Issue.record(error)
                }
            }
            #expect(try client.list("buffers").contains("a"))
            #expect(try client.status("buffers/a").size == 0)
            #expect(try client.status("buffers/b").size == 4096)
            #expect(try client.list("buffers").sorted() == ["a", "b"])
        }
    }

    /// Else the memory would stay when its owner gives it up.
    @Test func `nothing of a buffer of others is kept when the last open file of it is closed`()
        throws
    {
        try withSharedDevice { (client, device) throws in
            let dropped = Mutex<[Inode]>([])
            client.tree.buffers.useOfOthers.idle.set { inode in
                dropped.withLock { $0.append(inode) }
            }
            try device.makeForeign("a")
            let inode = try client.inode("buffers/a")
            let (one, two) = (try client.open("buffers/a"), try client.open("buffers/a"))
            one.close()
            #expect(dropped.withLock { $0 } == [])
            two.close()
            two.close()
            #expect(dropped.withLock { $0 } == [inode])
            try client.create("own").close()
            #expect(dropped.withLock { $0 } == [inode])
        }
    }

    @Test func `the device is listed only where others changed it`() throws {
        try withSharedDevice { (client, device) throws in
            let lists = device.lists
            for name in ["a", "b", "c"] { try client.create(name).close() }
            try client.rename("buffers/a", "buffers/d")
            try client.rename("buffers/b", "buffers/c", .exchange)
            try client.unlink("buffers/d")
            _ = try client.list("buffers")
            #expect(device.lists == lists)
            try device.makeForeign("e")
            for _ in 0..<3 { _ = try client.status("buffers/e") }
            #expect(device.lists == lists + 1)
        }
    }
}
