import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

@Suite("buffers/NAME", .timeLimit(.minutes(1)))
struct BufferTests {
    /// "makes an empty buffer in the mount's default heap (`heap=`), owned by the caller"
    @Test(arguments: MemoryForm.available) func `creating makes an empty buffer of the caller's`(
        form: MemoryForm
    ) throws {
        try withTree(form) {
            $0.heap = .coherent
        } _: { (client) throws in
            let file = try client.create("tx", mode: 0o4666)
            defer { file.close() }
            let status = try client.status("buffers/tx")
            #expect(status.size == 0 && status.mode & 0o7777 == 0o644)
            #expect(status.uid == geteuid() && status.gid == getegid() && status.links == 1)
            #expect(try client.read("attributes/tx/heap") == "coherent\n")
            #expect(try client.read("attributes/tx/owner") == "\(getpid())\n")
            #expect(try client.read("attributes/tx/refs") == "1\n")
        }
    }

    @Test func `a buffer that is freed while it is created is not opened`() throws {
        try withTree { (client) throws in
            let name = try #require(Name("x"))
            let buffer = try client.tree.buffers.allocate(
                name, size: 0, traits: BufferTraits(heap: .system),
                owner: Ownership(uid: geteuid(), gid: getegid(), mode: 0o600), payer: geteuid(),
                quotas: client.tree.quotas, opens: true)
            try client.tree.buffers.remove(buffer)
            #expect(throws: Errno.noSuchFileOrDirectory) {
                _ = try client.tree.buffers.acquire(buffer, as: .handle)
            }
        }
    }

    @Test func `memory is given back when the last of very many buffers goes`() throws {
        try withTree { (client) throws in
            let count = Atomic(0)
            client.tree.buffers.emptied.set { _ in count.add(1, ordering: .relaxed) }
            for many in [4096, 4095] {
                for number in 0..<many { try client.create("b\(number)").close() }
                for number in 0..<many { try client.unlink("buffers/b\(number)") }
            }
            #expect(count.load(ordering: .relaxed) == 1)
        }
    }

    @Test(.enabled(if: Machine.isRoot, "only root can give a file away"))
    func `uid and gid of the caller are kept, those of the mount win`() throws {
        try withTree { (client) throws in
            var other = client
            other.caller = Caller(pid: Caller.me.pid, uid: 1234, gid: 5678)
            try other.create("a").close()
            try other.write("control/alloc", "b 1")
            for name in ["a", "b"] {
                let status = try client.status("buffers/\(name)")
                #expect(status.uid == 1234 && status.gid == 5678)
                // "each of these files has the uid and gid of the buffer (the `0400` ones belong
                // to the mount's owner)"
                #expect(try client.status("attributes/\(name)/size").uid == 1234)
                #expect(try client.status("attributes/\(name)/dma_addr").uid == 0)
            }
        }
        try withTree { options in
            (options.uid, options.gid) = (77, 88)
            (options.forcesUID, options.forcesGID) = (true, true)
        } _: { (client) throws in
            try client.create("a").close()
            try client.write("control/alloc", "b 1")
            for path in ["buffers/a", "buffers/b", "control/alloc", "buffers", "version"] {
                let status = try client.status(path)
                #expect(status.uid == 77 && status.gid == 88, "\(path)")
            }
        }
    }

    @Test(arguments: ["", ".x", "a b", "ä", "a\n", String(repeating: "x", count: 64)])
    func `a bad name is EINVAL, and a long one ENAMETOOLONG`(name: String) throws {
        let errno = name.utf8.count > 63 ? Errno.fileNameTooLong : .invalidArgument
        try withTree { (client) throws in
            #expect(throws: errno) { try client.create(name) }
            try client.write("control/alloc", "rx 1")
            #expect(throws: errno) {
                try client.tree.rename(
                    "rx", in: try client.inode("buffers"), to: name,
                    in: try client.inode("buffers"), flags: [], by: client.caller)
            }
            #expect(try client.list("buffers") == ["rx"])
            let log = try client.log()
            #expect(log.count == 2 && log.allSatisfy { $0.contains("rsync --inplace") })
        }
    }

    @Test func `creating what is there opens it, and is EEXIST with O_EXCL`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 4K")
            let file = try client.create("rx")
            #expect(try file.bytes().count == 4096)
            file.close()
            #expect(throws: Errno.fileExists) { try client.create("rx", O_EXCL) }
        }
    }

    @Test(arguments: MemoryForm.available)
    func `a read gives what was written, and nothing at or past the end`(form: MemoryForm) throws {
        try withTree(form) { (client) throws in
            let file = try client.create("rx")
            defer { file.close() }
            #expect(try file.bytes() == [])
            #expect(try file.write([1, 2, 3]) == 3)
            #expect(try file.bytes() == [1, 2, 3])
            #expect(try file.bytes(at: 2) == [3])
            #expect(try file.bytes(at: 3) == [] && file.bytes(at: 1 << 62) == [])
            #expect(try file.bytes(count: 0) == [])
            // "past the end the buffer grows, and what is skipped reads as zero"
            #expect(try file.write([9], at: 10_000) == 1)
            #expect(
                try file.bytes() == [1, 2, 3] + [UInt8](repeating: 0, count: 9997) + [9])
            #expect(throws: Errno.fileTooLarge) { try file.write([1], at: UInt64(Int64.max)) }
        }
    }

    /// "Mode 0 does nothing inside the buffer, as its memory is always there."
    @Test(arguments: MemoryForm.available) func `what a write skipped has its memory too`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            let file = try client.create("rx")
            defer { file.close() }
            #expect(try file.write([1], at: 1 << 20) == 1)
            let status = try client.status("buffers/rx")
            #expect(status.blocks * 512 >= status.size)
        }
    }

    /// "Fixed heaps: past the end is `ENOSPC`, the part that fits is written first; a buffer that
    /// was never sized takes nothing (`ENOSPC`)."
    @Test(arguments: MemoryForm.available, ["contiguous", "coherent"])
    func `a fixed buffer takes what fits, then ENOSPC`(form: MemoryForm, heap: String) throws {
        try withTree(form) { (client) throws in
            try client.write("control/alloc", "rx 10 heap=\(heap)")
            let file = try client.open("buffers/rx", O_RDWR)
            defer { file.close() }
            #expect(try file.write([UInt8](repeating: 1, count: 20)) == 10)
            #expect(try file.write([2, 2, 2], at: 9) == 1)
            #expect(throws: Errno.noSpace) { try file.write([1], at: 10) }
            #expect(throws: Errno.noSpace) { try file.write([1], at: 1 << 40) }
            #expect(try client.status("buffers/rx").size == 10)
        }
        try withTree(form) {
            $0.heap = heap == "coherent" ? .coherent : .contiguous
        } _: { (client) throws in
            let file = try client.create("tx")
            defer { file.close() }
            #expect(throws: Errno.noSpace) { try file.write([1]) }
            // "a fixed heap takes its first size, afterwards `ENOSPC`"
            try client.truncate("buffers/tx", to: 100, file)
            #expect(throws: Errno.noSpace) { try client.truncate("buffers/tx", to: 101, file) }
            #expect(try client.log().last?.contains("sized once") == true)
            try client.truncate("buffers/tx", to: 100, file)
            #expect(try client.status("buffers/tx").size == 100)
        }
    }

    /// "On `system` memory `O_TRUNC` empties the buffer: `EBUSY` where it is in use ... On a fixed
    /// heap it fills the buffer with zeros and the size stays"
    @Test func `O_TRUNC empties system memory that nobody uses, and zeroes a fixed buffer`() throws
    {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 4K\nfix 4K heap=contiguous")
            do {
                let first = try client.open("buffers/rx")
                #expect(throws: Errno.resourceBusy) {
                    try client.open("buffers/rx", O_WRONLY | O_TRUNC)
                }
                #expect(try client.status("buffers/rx").size == 4096)
                first.close()
            }
            try client.open("buffers/rx", O_WRONLY | O_TRUNC).close()
            #expect(try client.status("buffers/rx").size == 0)
            let fixed = try client.open("buffers/fix", O_RDWR)
            try fixed.write([UInt8](repeating: 7, count: 4096))
            try client.open("buffers/fix", O_WRONLY | O_TRUNC).close()
            #expect(try client.bytes("buffers/fix") == [UInt8](repeating: 0, count: 4096))
            fixed.close()
            #expect(try client.read("attributes/rx/refs") == "0\n")
        }
    }

    /// "A fixed heap keeps its size, is never `EBUSY`, and what would be cut becomes zero"
    @Test(arguments: MemoryForm.available) func `a fixed buffer that is cut keeps its size`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            try client.write("control/alloc", "rx 8K heap=coherent")
            let (own, other) = (
                try client.open("buffers/rx", O_RDWR), try client.open("buffers/rx")
            )
            defer {
                own.close()
                other.close()
            }
            try own.write([UInt8](repeating: 7, count: 8192))
            try client.truncate("buffers/rx", to: 8000, own)
            #expect(
                try client.bytes("buffers/rx").suffix(193) == [7]
                    + [UInt8](repeating: 0, count: 192))
            try client.write("attributes/rx/size", "100")
            try client.write("control/stream", "s buffer=rx period=4K source=pattern rate=4")
            try client.truncate("buffers/rx", to: 10)
            let rest = try client.bytes("buffers/rx")
            #expect(rest.count == 8192 && rest[10...].allSatisfy { $0 == 0 })
            #expect(try client.tree.space().used == 8192)
            #expect(try client.log().isEmpty)
        }
    }

    /// "It is `EBUSY` while another descriptor is open on it, it is streaming"
    @Test(arguments: MemoryForm.available) func `shrinking what is in use is EBUSY`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            try client.write("control/alloc", "rx 8K")
            do {
                let own = try client.open("buffers/rx", O_RDWR)
                try client.truncate("buffers/rx", to: 8000, own)
                #expect(throws: Errno.resourceBusy) { try client.truncate("buffers/rx", to: 1) }
                #expect(try client.refusal("attributes/rx/size", "1") == .resourceBusy)
                let other = try client.open("buffers/rx")
                #expect(throws: Errno.resourceBusy) {
                    try client.truncate("buffers/rx", to: 1, own)
                }
                try client.truncate("buffers/rx", to: 8000, own)
                try client.truncate("buffers/rx", to: 8192, own)
                other.close()
                own.close()
            }
            try client.write("control/stream", "s buffer=rx period=4K source=pattern")
            #expect(throws: Errno.resourceBusy) { try client.truncate("buffers/rx", to: 1) }
            try client.write("control/stream", "s remove")
            let name = try #require(Name("rx"))
            let buffer = try #require(client.tree.buffers[name])
            do {
                let given = try client.tree.buffers.export(buffer, readOnly: true)
                #expect(throws: Errno.resourceBusy) { try client.truncate("buffers/rx", to: 1) }
                _ = given.raw
            }
            #expect(try client.status("buffers/rx").size == 8192)
            try client.truncate("buffers/rx", to: 1)
            #expect(try client.status("buffers/rx").size == 1)
            let lines = try client.log()
            #expect(lines.count == 5 && lines.allSatisfy { $0.contains("errno=EBUSY") })
        }
    }

    /// "more than the heap's limit `ENOSPC`"
    @Test(arguments: MemoryForm.available) func `growing beyond the limit is ENOSPC and is logged`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            try client.create("rx").close()
            for size: UInt64 in [TestDevice.size + 1, 1 << 62, UInt64(Int64.max)] {
                #expect(throws: Errno.noSpace) { try client.truncate("buffers/rx", to: size) }
            }
            #expect(try client.log().last?.contains("size=4M") == true)
            #expect(try client.status("buffers/rx").size == 0)
            try client.truncate("buffers/rx", to: TestDevice.size)
            #expect(try client.tree.space().free == 0)
            #expect(try client.refusal("control/alloc", "b 1") == .noSpace)
        }
    }

    @Test func `chmod, chown and utimens are kept over a restart, without set-id bits`() throws {
        try withDevice { device in
            var before: FileStatus?
            try withTree(on: device) { (client) throws in
                try client.write("control/alloc", "rx 4K heap=contiguous direction=from_device")
                try client.change("buffers/rx") { $0.mode = 0o7640 }
                try client.change("buffers/rx") {
                    $0.accessed = Timestamp(seconds: 11, nanoseconds: 22)
                    $0.modified = Timestamp(seconds: 33, nanoseconds: 44)
                }
                if Machine.isRoot { try client.change("buffers/rx") { $0.uid = 1234 } }
                let status = try client.status("buffers/rx")
                #expect(status.mode & 0o7777 == 0o640)
                #expect(status.uid == (Machine.isRoot ? 1234 : geteuid()))
                #expect(status.accessed == Timestamp(seconds: 11, nanoseconds: 22))
                #expect(status.modified == Timestamp(seconds: 33, nanoseconds: 44))
                before = status
            }
            try withTree(on: device) { (client) throws in
                var after = try client.status("buffers/rx")
                // Nobody knows who has it from before.
                #expect(after.lifetime == 0 && before?.lifetime ?? 0 > 0)
                after.lifetime = before?.lifetime ?? 0
                #expect(after == before)
                #expect(try client.read("attributes/rx/heap") == "contiguous\n")
                #expect(try client.read("attributes/rx/direction") == "from_device\n")
            }
        }
    }

    /// "always works; the memory lives until its last user ... is gone. The name is free at once."
    @Test(arguments: MemoryForm.available)
    func `unlink works while it is open, and its name is free`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            let free = try client.tree.space().free
            do {
                let file = try client.create("rx")
                try file.write([1, 2, 3])
                let inode = try client.inode("buffers/rx")
                try client.unlink("buffers/rx")
                #expect(throws: Errno.noSuchFileOrDirectory) { try client.unlink("buffers/rx") }
                #expect(try file.bytes() == [1, 2, 3])
                let status = try client.tree.status(of: inode, file: file)
                #expect(status.links == 0 && status.size == 3 && status.inode == inode.number)
                try client.write("control/alloc", "rx 4K")
                #expect(try client.inode("buffers/rx") != inode)
                try file.write([4], at: 3)
                #expect(try client.tree.space().free == free - 8192)
                file.close()
            }
            #expect(try client.tree.space().free == free - 4096)
            try client.write("control/free", "rx")
            #expect(try client.tree.space().free == free)
        }
    }

    @Test(arguments: MemoryForm.available) func `rename keeps the number, replaces and exchanges`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            let free = try client.tree.space().free
            try client.write("control/alloc", "a 1\nb 2\nc 3\n")
            let (a, b) = (try client.inode("buffers/a"), try client.inode("buffers/b"))
            try client.rename("buffers/a", "buffers/b", .exchange)
            #expect(try client.inode("buffers/b") == a && client.inode("buffers/a") == b)
            #expect(try client.read("attributes/b/size") == "1\n")
            #expect(throws: Errno.fileExists) {
                try client.rename("buffers/a", "buffers/b", .noReplace)
            }
            #expect(throws: Errno.noSuchFileOrDirectory) {
                try client.rename("buffers/a", "buffers/x", .exchange)
            }
            #expect(throws: Errno.noSuchFileOrDirectory) {
                try client.rename("buffers/x", "buffers/a")
            }
            #expect(throws: Errno.invalidArgument) {
                try client.rename("buffers/a", "buffers/b", RenameFlags(rawValue: 4))
            }
            #expect(throws: Errno.invalidArgument) {
                try client.rename("buffers/a", "buffers/b", [.noReplace, .exchange])
            }
            try client.rename("buffers/b", "buffers/c")
            #expect(try client.list("buffers").sorted() == ["a", "c"])
            #expect(try client.inode("buffers/c") == a)
            try client.rename("buffers/c", "buffers/c")
            try client.rename("buffers/c", "buffers/d", .noReplace)
            #expect(try client.inode("buffers/d") == a)
            #expect(try client.tree.space().free == free - 8192)
        }
    }

    @Test func `fallocate grows, zeroes inside the buffer, and refuses the rest`() throws {
        try withTree { (client) throws in
            let opened = try client.create("rx")
            let file = try #require(opened as? BufferFile)
            defer { file.close() }
            try file.allocate(.grow, 0..<100, by: .me)
            #expect(try client.status("buffers/rx").size == 100)
            try file.write([UInt8](repeating: 7, count: 100))
            try file.allocate(.grow, 10..<50, by: .me)
            try file.allocate(.keepSize, 0..<100, by: .me)
            #expect(throws: Errno.notSupported) { try file.allocate(.keepSize, 0..<101, by: .me) }
            try file.allocate(.zero, 90..<1000, by: .me)
            try file.allocate(.zero, 0..<1, by: .me)
            #expect(
                try file.bytes() == [0] + [UInt8](repeating: 7, count: 89)
                    + [UInt8](repeating: 0, count: 10))
            #expect(throws: Errno.noSpace) { try file.allocate(.grow, 0..<1 << 40, by: .me) }
            #expect(try client.status("buffers/rx").size == 100)
        }
    }

    /// "Undefined flags, or none of READ and WRITE: `EINVAL`."
    @Test func `DMA_BUF_IOCTL_SYNC takes the kernel's flags and no others`() throws {
        try withTree { (client) throws in
            let opened = try client.create("rx")
            let file = try #require(opened as? BufferFile)
            defer { file.close() }
            for flags: UInt64 in [0, 4, 8, 9, 16, 1 << 63 | 1, UInt64.max] {
                #expect(throws: Errno.invalidArgument) { try file.dmaBufSync(flags) }
            }
            for (flags, owner) in [
                (1, "0\n"), (5, "1\n"), (2, "0\n"), (6, "1\n"), (3, "0\n"), (7, "1\n"),
            ]
                as [(UInt64, String)]
            {
                try file.dmaBufSync(flags)
                #expect(try client.read("attributes/rx/sync_owner") == owner)
            }
            try file.sync()
        }
    }
}
