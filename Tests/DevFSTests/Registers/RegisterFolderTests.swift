import Dispatch
import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("registers/", .timeLimit(.minutes(1)))
struct RegisterFolderTests {
    private static let map = """
        registers:
        - {name: id, offset: 0, access: ro, fields: [{name: minor, bits: 7:0}]}
        - name: control
          offset: 4
          description: What it does
          fields:
          - {name: start, bits: 0}
          - {name: mode, bits: 3:1, values: {slow: 0, fast: 1}}
          - {name: irq, bits: 8, write: 1c}
          - {name: wide, bits: 31:16}
        - {name: fifo, offset: 8, read_effect: true}
        - {name: key, offset: 12, access: wo}
        - {name: fuse, offset: 16, access: rw1}
        - {name: byte, offset: 21, width: 8}
        - {name: half, offset: 22, width: 16}
        - {name: long, offset: 24, width: 64}
        """

    private func accesses(_ client: Client) -> UInt64 {
        guard let registers = client.tree.registers else { return 0 }
        return registers.reads + registers.writes
    }

    /// "`registers/` is there where the mount has a map"
    @Test func `it is there where the mount has a map, as a folder of folders`() throws {
        try withTree { (client) throws in
            #expect(try !client.list("").contains("registers"))
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.inode("registers") }
        }
        try withRegisters(Self.map) { (client, _) throws in
            #expect(try client.list("").contains("registers"))
            #expect(
                try client.list("registers")
                    == ["byte", "control", "fifo", "fuse", "half", "id", "key", "long"])
            #expect(
                try client.list("registers/control")
                    == ["value", "info", "irq", "mode", "start", "wide"])
            let control = try client.inode("registers/control")
            #expect(try client.tree.parent(of: control) == client.inode("registers"))
            #expect(throws: Errno.notDirectory) { try client.inode("registers/control/mode/x") }
            #expect(throws: Errno.noSuchFileOrDirectory) { try client.inode("registers/control/x") }
            #expect(throws: Errno.isDirectory) { try client.open("registers/control") }
        }
    }

    /// "the owner alone"
    @Test func `modes are the owner's alone, as the map allows`() throws {
        try withRegisters(Self.map) { (client, _) throws in
            func mode(_ path: String) throws -> UInt32 {
                try client.status("registers/\(path)").mode
            }
            #expect(try mode("control") == S_IFDIR | 0o755)
            #expect(try mode("control/info") == S_IFREG | 0o444)
            #expect(try mode("control/value") == S_IFREG | 0o600)
            #expect(try mode("id/minor") == S_IFREG | 0o400)
            #expect(try mode("key/value") == S_IFREG | 0o200)
            #expect(try mode("fifo/value") == S_IFREG | 0o200)
            #expect(throws: Errno.permissionDenied) {
                try client.open("registers/id/minor", O_RDWR)
            }
            #expect(throws: Errno.permissionDenied) { try client.open("registers/key/value") }
        }
    }

    @Test func `a field is a part of the register, and a write leaves the others as they are`()
        throws
    {
        try withRegisters(Self.map) { (client, _) throws in
            try client.write("regions/bar0", bytes: [0xf1, 0xff, 0x34, 0x12], at: 4)
            #expect(try client.read("registers/control/value") == "0x1234fff1\n")
            #expect(try client.read("registers/control/wide") == "0x1234\n")
            #expect(try client.read("registers/control/mode") == "0 slow\n")
            #expect(try client.read("registers/control/start") == "1\n")
            try client.write("registers/control/mode", "fast\n")
            // The bit that a one would clear got a zero.
            #expect(try client.read("registers/control/value") == "0x1234fef3\n")
            try client.write("registers/control/mode", "0 slow\n")
            try client.write("registers/control/wide", "0xabcd")
            #expect(try client.read("registers/control/value") == "0xabcdfef1\n")
        }
    }

    @Test func `each access is one of the register's own width`() throws {
        try withRegisters(Self.map) { (client, _) throws in
            try client.write("registers/byte/value", "0x12\n")
            try client.write("registers/half/value", "0x3456\n")
            try client.write("registers/long/value", "0x1122334455667788\n")
            #expect(
                try client.bytes("regions/bar0")[20..<32]
                    == [0, 0x12, 0x56, 0x34, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11])
            #expect(try client.read("registers/long/value") == "0x1122334455667788\n")
            #expect(accesses(client) == 4)
        }
    }

    @Test func `the byte order is the map's`() throws {
        try withRegisters("byte_order: big\n" + Self.map) { (client, _) throws in
            try client.write("registers/half/value", "0x3456\n")
            #expect(try client.bytes("regions/bar0")[22..<24] == [0x34, 0x56])
            #expect(try client.read("registers/half/value") == "0x3456\n")
        }
    }

    /// "Out of range is `EINVAL`, with the range in `control/log`"
    @Test func `a value out of range is EINVAL, and the log has the range`() throws {
        try withRegisters(Self.map) { (client, _) throws in
            let bad = ["8", "-1", "0x8", "quick", "1 slow", "1 2 3", "", "99999999999999999999"]
            for text in bad {
                #expect(
                    try client.refusal("registers/control/mode", text + "\n") == .invalidArgument)
            }
            #expect(try client.log()[0].contains("why=\"8 is out of range: 0 to 7, or slow (0)"))
            let quick = "quick is no number, and no name that can be written: 0 to 7, or slow"
            #expect(try client.log().contains { $0.contains(quick) })
            #expect(
                try client.refusal("registers/byte/value", "much\n") == .invalidArgument)
            #expect(try client.log().last?.contains("much is no number: 0 to 0xff") == true)
            #expect(
                try client.refusal("registers/byte/value", "0x100\n") == .invalidArgument)
            #expect(try client.log().last?.contains("0x100 is out of range: 0 to 0xff") == true)
            #expect(accesses(client) == 0)
        }
    }

    /// "A number is always the value: a name that is one can be given as `N NAME` alone"
    @Test func `a number is the value also where another value has it for a name`() throws {
        let map = """
            registers:
            - name: r
              offset: 0
              fields: [{name: k, bits: 3:0, values: {"0": 0, "1": 1, "10": 2, "11": 3, "0x5": 4}}]
            """
        try withRegisters(map) { (client, _) throws in
            for value in 0..<16 {
                try client.write("registers/r/k", "\(value)\n")
                #expect(
                    try client.read("registers/r/value") == "0x0000000" + String(value, radix: 16)
                        + "\n")
                // What a read shows goes back in.
                let shown = try client.read("registers/r/k")
                try client.write("registers/r/value", "0\n")
                try client.write("registers/r/k", shown)
                #expect(try client.read("registers/r/k") == shown)
            }
            try client.write("registers/r/k", "0x5\n")
            #expect(try client.read("registers/r/k") == "5\n")
            try client.write("registers/r/k", "2 10\n")
            #expect(try client.read("registers/r/k") == "2 10\n")
            #expect(try client.refusal("registers/r/k", "10 10\n") == .invalidArgument)
        }
    }

    /// "no look at a file, no listing and no open is an access"
    @Test func `looking at the tree, listing it, opening and fstat are no accesses`() throws {
        try withRegisters(Self.map) { (client, _) throws in
            func walk(_ path: String) throws {
                let status = try client.status(path)
                guard status.isDirectory else {
                    let flags = status.mode & 0o400 != 0 ? O_RDONLY : O_WRONLY
                    let file = try client.open(path, flags)
                    defer { file.close() }
                    let open = try client.tree.status(of: client.inode(path), file: file)
                    #expect(open.size == status.size && open.size > 0)
                    return
                }
                for name in try client.list(path) { try walk("\(path)/\(name)") }
            }
            try walk("registers")
            _ = try client.read("registers/control/info")
            #expect(accesses(client) == 0)
        }
    }

    /// "`st_size` is the longest text that a read can give"
    @Test func `a text is never longer than st_size says`() throws {
        try withRegisters(Self.map) { (client, _) throws in
            for value in ["0x0", "0xffffffff", "0x2"] {
                try client.write("registers/control/value", value)
                for name in try client.list("registers/control") where name != "info" {
                    let size = try client.status("registers/control/\(name)").size
                    #expect(try client.read("registers/control/\(name)").utf8.count <= size)
                }
            }
        }
    }

    /// "EACCES, root included, without `read_effects`"
    @Test func `a register whose read has an effect is EACCES, and readable with read_effects`()
        throws
    {
        try withRegisters(Self.map) { (client, _) throws in
            #expect(throws: Errno.permissionDenied) { try client.open("registers/fifo/value") }
            #expect(throws: Errno.permissionDenied) {
                try client.open("registers/fifo/value", O_RDWR)
            }
            #expect(try client.log().last?.contains("mount with read_effects") == true)
            try client.write("registers/fifo/value", "7\n")
            #expect(client.tree.registers?.reads == 0)
        }
        try withRegisters(Self.map, readEffects: true) { (client, _) throws in
            #expect(try client.status("registers/fifo/value").mode == S_IFREG | 0o600)
            #expect(try client.read("registers/fifo/value") == "0x00000000\n")
        }
    }

    @Test func `what takes one write takes one, until the device is reset`() throws {
        try withRegisters(Self.map) { (client, _) throws in
            try client.write("registers/fuse/value", "1\n")
            #expect(try client.refusal("registers/fuse/value", "2\n") == .notPermitted)
            #expect(try client.read("registers/fuse/value") == "0x00000001\n")
            try client.tree.reset()
            try client.write("registers/fuse/value", "2\n")
        }
    }

    @Test func `writers of one register take turns: no bit is lost`() throws {
        let fields = (0..<32).map { "{name: b\($0), bits: \($0)}" }.joined(separator: ", ")
        try withRegisters("registers: [{name: r, offset: 0, fields: [\(fields)]}]") {
            (client, _) throws in
            let files = try (0..<32).map { try client.open("registers/r/b\($0)", O_WRONLY) }
            defer { for file in files { file.close() } }
            for round in 1...20 {
                DispatchQueue.concurrentPerform(iterations: 32) { bit in
                    _ = try? files[bit].write(Array("\(round % 2)\n".utf8))
                }
                let expected = round % 2 == 1 ? "0xffffffff\n" : "0x00000000\n"
                #expect(try client.read("registers/r/value") == expected)
            }
        }
    }

    @Test func `numbers of entries are 32 bits, stay, and others are ESTALE`() throws {
        var first: UInt64 = 0
        try withRegisters(Self.map) { (client, _) throws in
            first = try client.inode("registers/control/mode").number
            #expect(first <= UInt64(UInt32.max))
            for number in [0 << 6, 0xffff_ffc0 as UInt64, first + 64, 2 << 6] {
                #expect(throws: Errno.staleNFSFileHandle) {
                    try client.tree.status(of: Inode(number))
                }
            }
            let node = try #require(Node(Inode(first)))
            // No two openers of a file that is written share the kernel's inode.
            #expect(node.handle != node.handle && Node(node.handle) == node)
        }
        try withRegisters(Self.map) { (client, _) throws in
            #expect(try client.inode("registers/control/mode").number == first)
        }
    }

    @Test func `nothing in it is made, renamed, cut or removed`() throws {
        try withRegisters(Self.map) { (client, _) throws in
            #expect(throws: Errno.notPermitted) { try client.unlink("registers/id/value") }
            #expect(throws: Errno.notPermitted) { try client.create("x", in: "registers") }
            #expect(throws: Errno.notPermitted) { try client.truncate("registers/id/value", to: 0) }
            #expect(throws: Errno.notPermitted) {
                try client.rename("registers/id", "registers/x")
            }
        }
    }

    @Test func `a busy region is EBUSY, a removed device ENODEV`() throws {
        try withRegisters(Self.map) { (client, device) throws in
            device.setBusy(0, true)
            #expect(throws: Errno.resourceBusy) { try client.open("registers/id/value") }
            device.setBusy(0, false)
            device.unplug()
            #expect(throws: Errno.noDevice) { try client.open("registers/id/value") }
        }
    }

    /// A 16550: what divides its clock is where the received data are.
    @Test func `no file of a register reads the data of another one that is there, too`() throws {
        let map = """
            registers:
            - {name: rbr, offset: 0, width: 8, access: ro, read_effect: true}
            - {name: dll, offset: 0, width: 8, fields: [{name: low, bits: 3:0}]}
            """
        try withRegisters(map) { (client, _) throws in
            #expect(throws: Errno.permissionDenied) { try client.open("registers/dll/value") }
            #expect(throws: Errno.permissionDenied) { try client.open("registers/dll/low") }
            #expect(try client.refusal("registers/dll/low", "5\n") == .permissionDenied)
            #expect(try client.status("registers/dll/low").mode == S_IFREG | 0o200)
            try client.write("registers/dll/value", "5\n")
            #expect(client.tree.registers?.reads == 0)
        }
        try withRegisters(map, readEffects: true) { (client, _) throws in
            try client.write("registers/dll/low", "5\n")
            #expect(try client.read("registers/dll/value") == "0x05\n")
        }
    }

    @Test func `an open file tells the next server who opened it`() throws {
        try withRegisters(Self.map) { (client, _) throws in
            for path in ["registers/control/value", "registers/control/mode"] {
                let file = try client.open(path, O_RDWR)
                defer { file.close() }
                #expect(file.commander?.uid == client.caller.uid, "\(path)")
                let opener = Opener(kept: client.caller, groups: [77], pid: .init(1), process: nil)
                let again = try client.tree.reopen(
                    KeptHandle.Opening(
                        inode: try client.inode(path), flags: O_RDWR, isDirectory: false,
                        opener: opener, request: 0))
                defer { again.close() }
                #expect(again.commander?.groups == [77], "\(path)")
            }
        }
    }

    // MARK: Over a buffer

    @Test func `who writes one buffer waits for nobody who writes the next one of its name`() throws
    {
        try withTree { (client) throws in
            let port = RegisterPort(.buffer(try #require(Name("regs"))), number: 0)
            func open() throws -> OpenPort { try OpenPort(port, nil, client.tree.buffers) }
            try client.create("regs").close()
            let (first, same) = (try open(), try open())
            try client.unlink("buffers/regs")
            try client.create("regs").close()
            let (next, again) = (try open(), try open())
            #expect(first.turns === same.turns && next.turns === again.turns)
            let done = DispatchSemaphore(value: 0)
            try first.turns.take { () throws(Refusal) in
                DispatchQueue.global().async {
                    try? next.turns.take { () throws(Refusal) in _ = done.signal() }
                }
                #expect(done.wait(timeout: .now() + 10) == .success)
            }
        }
    }

    @Test func `a map can be over a buffer of a memory device, which need not be there yet`() throws
    {
        try withDevice { device in
            let backend = try device.backend()
            var source = RegisterSource(file: "map")
            source.buffer = "regs"
            let registers = try Registers(
                [source], [try registerMap(Self.map)], on: backend, nil, allowsReadEffects: false)
            let tree = try FileSystem(
                backend, TreeOptions(uid: geteuid(), gid: getegid()), registers: registers)
            defer { tree.shutDown() }
            let client = Client(tree: tree)
            #expect(throws: Errno.noSuchAddressOrDevice) { try client.open("registers/id/value") }
            try client.create("regs").close()
            #expect(throws: Errno.noSuchAddressOrDevice) { try client.read("registers/id/value") }
            #expect(try client.refusal("registers/half/value", "1\n") == .noSuchAddressOrDevice)
            #expect(try client.status("buffers/regs").size == 0)
            try client.truncate("buffers/regs", to: 4096)
            try client.write("registers/half/value", "0x1234\n")
            #expect(try client.bytes("buffers/regs")[22..<24] == [0x34, 0x12])
            try client.unlink("buffers/regs")
            #expect(throws: Errno.noSuchAddressOrDevice) { try client.open("registers/id/value") }
        }
    }

    @Test func `a map without a region that is there is an error`() throws {
        let hardware = try FakeHardware(regions: [("bar0", 64, true), ("bar1", 64, true)])
        try withDevice { device in
            let backend = try device.backend()
            func mount(_ region: String?, _ text: String = Self.map) throws {
                var source = RegisterSource(file: "map")
                source.region = region
                _ = try Registers(
                    [source], [try registerMap(text)], on: backend, hardware,
                    allowsReadEffects: false)
            }
            #expect(throws: SetupError.self) { try mount(nil) }
            #expect(throws: SetupError.self) { try mount("bar2") }
            try mount("bar1")
            try mount(nil, "region: bar1\n" + Self.map)
        }
    }
}
