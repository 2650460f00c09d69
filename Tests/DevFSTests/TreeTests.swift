import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

@Suite("The tree", .timeLimit(.minutes(1)))
struct TreeTests {
    /// Some of everything.
    private static func fill(_ client: Client) throws {
        try client.write("control/alloc", "rx 8K\ntx 4K heap=coherent direction=to_device\n")
        try client.write("control/signal", "go software\ntick timer period=1s\n")
        try client.write("control/stream", "adc buffer=rx period=4K source=go")
    }

    /// Every path below a directory, directories with a slash at their end.
    private static func paths(_ client: Client, _ directory: String = "") throws -> [String] {
        let inode = try client.inode(directory)
        return try client.tree.entries(of: inode).flatMap { entry in
            let path = directory + entry.name
            let found = try client.tree.lookup(entry.name, in: inode)
            #expect(found.inode == entry.inode.number, "\(path)")
            #expect(found.isDirectory == entry.isDirectory, "\(path)")
            return entry.isDirectory ? [path + "/"] + (try paths(client, path + "/")) : [path]
        }
    }

    @Test func `the tree is that of the manual`() throws {
        try withTree { (client) throws in
            try Self.fill(client)
            #expect(
                try Set(client.list("")) == [
                    "buffers", "attributes", "control", "signals", "streams", "version",
                    "features", "status", "metrics",
                ])
            #expect(
                try Set(client.list("control")) == [
                    "alloc", "free", "sync", "signal", "stream", "log", "socket", "heaps",
                ])
            #expect(try client.list("control/heaps") == ["system", "contiguous", "coherent"])
            #expect(try client.list("control/heaps/system") == ["type", "size", "used", "max"])
            #expect(try client.list("buffers") == ["rx", "tx"])
            #expect(try client.list("attributes") == ["rx", "tx"])
            #expect(
                try Set(client.list("attributes/rx")) == [
                    "size", "heap", "direction", "dma_addr", "phys_addr", "nents", "sg_table",
                    "numa_node", "dma_coherent", "sync_for_cpu", "sync_for_device", "sync_offset",
                    "sync_size", "sync_direction", "sync_owner", "owner", "refs", "name", "lease",
                ])
            #expect(try client.list("signals") == ["go", "tick"])
            #expect(
                try Set(client.list("signals/go")) == [
                    "wait", "count", "missed", "enable", "trigger", "notify",
                ])
            #expect(
                try Set(client.list("streams/adc")) == [
                    "data", "status", "available", "overruns", "watermark", "enable", "ready",
                ])
        }
    }

    @Test func `every entry is found by its name, with its own number and its parent`() throws {
        try withTree { (client) throws in
            try Self.fill(client)
            let paths = try Self.paths(client)
            #expect(paths.count == 96)
            let numbers = try paths.map { try client.status($0).inode }
            #expect(Set(numbers).count == numbers.count)
            for path in paths where path.hasSuffix("/") {
                let (directory, _) = client.split(path)
                #expect(
                    try client.tree.parent(of: client.inode(path)) == client.inode(directory))
            }
        }
    }

    /// The modes of sections 4 to 8 of the manual, less the umask.
    @Test(arguments: [0o000, 0o022, 0o077, 0o007, 0o777] as [UInt32])
    func `modes are those of the manual, less the umask`(umask: UInt32) throws {
        try withTree { options in
            options.umask = umask
        } _: { (client) throws in
            try Self.fill(client)
            let modes: [(String, UInt32)] = [
                ("control/alloc", 0o666), ("control/free", 0o222), ("control/sync", 0o222),
                ("control/signal", 0o666), ("control/stream", 0o666), ("control/log", 0o444),
                ("control/socket", 0o444), ("control/heaps/system/type", 0o444),
                ("attributes/rx/size", 0o644), ("attributes/rx/heap", 0o444),
                ("attributes/rx/dma_addr", 0o400), ("attributes/rx/phys_addr", 0o400),
                ("attributes/rx/sg_table", 0o400), ("attributes/rx/nents", 0o444),
                ("attributes/rx/sync_for_cpu", 0o222), ("attributes/rx/sync_for_device", 0o222),
                ("attributes/rx/sync_offset", 0o644), ("attributes/rx/sync_size", 0o644),
                ("attributes/rx/sync_direction", 0o644), ("attributes/rx/sync_owner", 0o444),
                ("attributes/rx/owner", 0o444), ("attributes/rx/refs", 0o444),
                ("attributes/rx/name", 0o644), ("attributes/rx/lease", 0o644),
                ("signals/go/wait", 0o444), ("signals/go/count", 0o444),
                ("signals/go/missed", 0o444), ("signals/go/enable", 0o644),
                ("signals/go/trigger", 0o222), ("signals/go/notify", 0o666),
                ("streams/adc/data", 0o444), ("streams/adc/status", 0o444),
                ("streams/adc/available", 0o444), ("streams/adc/overruns", 0o444),
                ("streams/adc/watermark", 0o644), ("streams/adc/enable", 0o644),
                ("version", 0o444), ("features", 0o444), ("status", 0o444), ("metrics", 0o444),
                ("buffers/rx", 0o666), ("buffers/tx", 0o666),
            ]
            for (path, mode) in modes {
                let status = try client.status(path)
                #expect(status.isRegular)
                #expect(status.mode & 0o7777 == mode & ~umask, "\(path)")
            }
            // Who reads the buffer releases its bytes.
            let readers = 0o444 & ~umask
            #expect(try client.status("streams/adc/ready").mode & 0o7777 == readers | readers >> 1)
            for path in [
                "", "buffers", "attributes", "attributes/rx", "control", "control/heaps",
                "signals", "signals/go", "streams", "streams/adc", "control/heaps/system",
            ] {
                let status = try client.status(path)
                #expect(status.isDirectory && status.mode & 0o7777 == 0o777 & ~umask, "\(path)")
            }
        }
    }

    /// "`st_size` of a text file is its length ... `stat` of a file that lists objects, and of
    /// `sg_table`, gives no less than the length; `fstat` of a file that was read gives the truth."
    @Test func `a text file's size is never less than its text, and an open one's is the truth`()
        throws
    {
        try withTree { (client) throws in
            try Self.fill(client)
            for number in 0..<200 { try client.write("control/alloc", "b\(number) 0x1000") }
            for path in [
                "control/alloc", "control/signal", "control/log", "metrics", "status",
                "features", "version", "attributes/rx/size", "signals/go/notify",
            ] {
                let text = try client.read(path)
                #expect(try client.status(path).size >= text.utf8.count, "\(path)")
                let file = try client.open(path)
                // What it takes to have it open may be in it.
                let shown = try file.text().utf8.count
                let length = try client.tree.status(of: client.inode(path), file: file).size
                #expect(Int(length) == shown, "\(path)")
                file.close()
            }
            let length = try client.read("attributes/rx/size").utf8.count
            #expect(try client.status("attributes/rx/size").size == length)
            #expect(try client.status("signals/go/wait").size == 0)
            #expect(try client.status("streams/adc/data").size == 0)
        }
    }

    @Test func `every file that can be read is read, and opens only as its mode allows`() throws {
        try withTree { options in
            options.umask = 0
        } _: { (client) throws in
            try Self.fill(client)
            for path in try Self.paths(client) where !path.hasSuffix("/") {
                let mode = try client.status(path).mode
                for (flags, bits) in [(O_RDONLY, 0o444), (O_WRONLY, 0o222), (O_RDWR, 0o666)]
                    as [(Int32, UInt32)]
                {
                    let isAllowed =
                        (bits & 0o444 == 0 || mode & 0o444 != 0)
                        && (bits & 0o222 == 0 || mode & 0o222 != 0)
                    if isAllowed {
                        let file = try client.open(path, flags)
                        file.close()
                        // "`open(O_TRUNC)` of a text file: allowed where writing is, and ignored"
                        guard flags == O_WRONLY, !path.hasPrefix("buffers/") else { continue }
                        try client.open(path, flags | O_TRUNC).close()
                    } else {
                        #expect(throws: Errno.permissionDenied, "\(path)") {
                            try client.open(path, flags)
                        }
                    }
                }
                guard mode & 0o444 != 0 else { continue }
                do {
                    let text = try client.read(path)
                    #expect(path.hasPrefix("buffers/") || text.isEmpty || text.hasSuffix("\n"))
                } catch let error as Errno {
                    #expect([.noData, .wouldBlock].contains(error), "\(path): \(error)")
                }
            }
        }
    }

    /// "a look-up of such a name is `ENOENT`, as for any file that does not exist"
    @Test(arguments: [
        "x", "buffers/x", "attributes/x", "signals/x", "streams/x", "control/x", "control/heaps/x",
        "attributes/rx/x", "signals/go/x", "streams/adc/x", "buffers/.x", "buffers/a b",
        "control/heaps/system/x", "buffers/ä", "regions",
    ])
    func `a look-up of what is not there is ENOENT`(path: String) throws {
        try withTree { (client) throws in
            try Self.fill(client)
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.status(path) }
        }
    }

    @Test func `a look-up in a file and a listing of one are ENOTDIR, opening a directory EISDIR`()
        throws
    {
        try withTree { (client) throws in
            try Self.fill(client)
            for path in ["buffers/rx", "version", "control/alloc", "attributes/rx/size"] {
                #expect(throws: Errno.notDirectory) { try client.status("\(path)/x") }
                #expect(throws: Errno.notDirectory) { try client.list(path) }
                #expect(throws: Errno.notDirectory) {
                    try client.tree.parent(of: try client.inode(path))
                }
            }
            for path in ["", "buffers", "attributes/rx", "control/heaps/system", "signals/go"] {
                #expect(throws: Errno.isDirectory) { try client.open(path) }
            }
        }
    }

    @Test func `a number that nothing has, or what is gone had, is ESTALE`() throws {
        try withTree { (client) throws in
            try Self.fill(client)
            for node: Node in [.file(.root, 77), .file(.control, 77), .childFile(.heaps, 0, 77)] {
                #expect(throws: Errno.staleNFSFileHandle) { try client.tree.status(of: node.inode) }
                #expect(throws: Errno.staleNFSFileHandle) {
                    try client.tree.open(node.inode, OpenFlags(O_RDONLY), by: .me)
                }
            }
            #expect(throws: Errno.staleNFSFileHandle) { try client.tree.status(of: Inode(0)) }
            let inodes = try [
                "buffers/tx", "attributes/tx", "attributes/tx/size", "signals/tick",
                "signals/tick/wait", "streams/adc", "streams/adc/data",
            ].map { try client.inode($0) }
            try client.write("control/free", "tx")
            try client.write("control/signal", "tick remove")
            try client.write("control/stream", "adc remove")
            for inode in inodes {
                #expect(throws: Errno.staleNFSFileHandle) { try client.tree.status(of: inode) }
            }
        }
    }

    @Test func `the kernel is told when the times of attributes it was lent have changed`() throws {
        try withTree { (client) throws in
            let told = Mutex<[Inode]>([])
            client.tree.stale.set { inode in told.withLock { $0.append(inode) } }
            func isTold(of change: () throws -> Void) throws -> Bool {
                #expect(try client.status("attributes").lifetime > 0)
                told.withLock { $0 = [] }
                try change()
                return told.withLock { $0.contains(Node.folder(.attributes).inode) }
            }
            #expect(try isTold { try client.write("control/alloc", "a 4K\nb 4K") })
            #expect(try isTold { try client.create("c").close() })
            #expect(try isTold { try client.rename("buffers/a", "buffers/d") })
            #expect(try isTold { try client.write("attributes/b/name", "e") })
            #expect(try isTold { try client.unlink("buffers/c") })
            #expect(try isTold { try client.write("control/free", "d") })
            #expect(try !isTold { _ = try client.list("buffers") })
        }
    }

    /// "`chmod`, `chown`, `utimens` outside of `buffers/` | `EPERM`", and truncate of a text file
    @Test(arguments: [
        "version", "control/alloc", "attributes/rx/size", "signals/go/trigger", "buffers",
    ])
    func `nothing outside of buffers can be changed`(path: String) throws {
        try withTree { (client) throws in
            try Self.fill(client)
            let before = try client.status(path)
            #expect(throws: Errno.notPermitted) { try client.change(path) { $0.mode = 0o600 } }
            #expect(throws: Errno.notPermitted) { try client.change(path) { $0.uid = 7 } }
            #expect(throws: Errno.notPermitted) {
                try client.change(path) { $0.modified = Timestamp(seconds: 1, nanoseconds: 0) }
            }
            #expect(throws: Errno.notPermitted) { try client.truncate(path, to: 0) }
            #expect(try client.status(path) == before)
        }
    }

    /// "`open(O_CREAT)`, `unlink`, `rename` outside `buffers/` | `EPERM`"
    @Test(arguments: ["", "control", "attributes", "attributes/rx", "signals", "streams/adc"])
    func `nothing outside of buffers can be made, renamed or removed`(path: String) throws {
        try withTree { (client) throws in
            try Self.fill(client)
            let names = try client.list(path)
            let name = try #require(names.first)
            #expect(throws: Errno.notPermitted) { try client.create("x", in: path) }
            #expect(throws: Errno.notPermitted) { try client.unlink("\(path)/\(name)") }
            #expect(throws: Errno.notPermitted) {
                try client.rename("\(path)/\(name)", "\(path)/x")
            }
            #expect(throws: Errno.notPermitted) { try client.rename("buffers/rx", "\(path)/x") }
            #expect(throws: Errno.notPermitted) {
                try client.rename("\(path)/\(name)", "buffers/x")
            }
            #expect(try client.list(path) == names)
        }
    }
}
