import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("Leases", .timeLimit(.minutes(1)))
struct LeaseTests {
    private func client(_ client: Client, of child: Child) -> Client {
        Client(tree: client.tree, caller: Caller(pid: child.id, uid: geteuid(), gid: getegid()))
    }

    /// "`process`: freed when its `owner` ends"
    @Test func `a leased buffer is freed when its owner ends, and no other is`() throws {
        try withTree { (client) throws in
            let child = try Child()
            let its = self.client(client, of: child)
            try its.write("control/alloc", "leased 4K lease=process\nkept 4K\n")
            #expect(try client.read("attributes/leased/owner") == "\(child.pid)\n")
            #expect(try client.read("attributes/leased/lease") == "process\n")
            child.end()
            #expect(try holds { try client.list("buffers") == ["kept"] })
            // "`0` when that process has ended"
            #expect(try client.read("attributes/kept/owner") == "0\n")
            #expect(try client.tree.space().free == TestDevice.size - 4096)
        }
    }

    @Test func `writing process makes the writer the owner, none ends it`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "a 1\nb 1\n")
            let child = try Child()
            let its = self.client(client, of: child)
            try its.write("attributes/a/lease", "process")
            try its.write("attributes/b/lease", "process")
            #expect(try client.read("attributes/a/owner") == "\(child.pid)\n")
            try client.write("attributes/b/lease", "none")
            for bad in ["", "yes", "process x", "Process"] {
                #expect(try client.refusal("attributes/a/lease", bad) == .invalidArgument)
            }
            child.end()
            #expect(try holds { try client.list("buffers") == ["b"] })
        }
    }

    @Test func `a lease follows its buffer over a rename, and ends with its removal`() throws {
        try withTree { (client) throws in
            let child = try Child()
            let its = self.client(client, of: child)
            try its.write("control/alloc", "a 1 lease=process\nb 1 lease=process\n")
            try client.rename("buffers/a", "buffers/c")
            try client.unlink("buffers/b")
            try client.write("control/alloc", "a 1\nb 1\n")
            child.end()
            #expect(try holds { try client.list("buffers").sorted() == ["a", "b"] })
        }
    }

    @Test func `a lease of a process that is not there is ESRCH and leaves nothing`() throws {
        try withTree { (client) throws in
            var dead = client
            dead.caller.pid = ProcessID(try Child.deadNumber())
            #expect(try dead.refusal("control/alloc", "a 1 lease=process") == .noSuchProcess)
            #expect(try client.list("buffers").isEmpty)
        }
    }

    /// The kernel gives pid 0 for a process of another pid namespace.
    @Test func `a lease for a process that can't be seen is refused and changes nothing`() throws {
        try withDevice { device in
            try withTree(on: device) { (client) throws in
                try client.write("control/alloc", "a 1")
                var unseen = client
                unseen.caller.pid = ProcessID(0)
                #expect(try unseen.refusal("control/alloc", "b 1 lease=process") == .noSuchProcess)
                #expect(try unseen.refusal("attributes/a/lease", "process") != nil)
                #expect(try client.list("buffers") == ["a"])
                #expect(try client.read("attributes/a/lease") == "none\n")
            }
            // The device can be mounted again.
            try withTree(on: device) { (client) throws in
                let names = try client.list("buffers")
                #expect(names == ["a"])
            }
        }
    }

    /// "A buffer with `lease=process` whose owner ended meanwhile is freed then."
    @Test func `an owner that ended while no server ran frees the buffer at the next start`() throws
    {
        try withDevice { device in
            let (ended, living) = (try Child(), try Child())
            try withTree(on: device) { (client) throws in
                try self.client(client, of: ended).write("control/alloc", "gone 1 lease=process")
                try self.client(client, of: living).write("control/alloc", "kept 1 lease=process")
            }
            ended.end()
            try withTree(on: device) { (client) throws in
                let names = try client.list("buffers")
                #expect(names == ["kept"])
                living.end()
                #expect(try holds { try client.list("buffers").isEmpty })
            }
        }
    }
}
