import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

/// Large buffers that are removed: nobody who serves others waits for their memory.
@Suite("Reclaim", .timeLimit(.minutes(1)))
struct ReclaimTests {
    private static let large = Int(Reclaim.large)

    /// On a device with room for one large buffer, whose memory does not go until `body` lets it.
    private func withSlowDevice(_ body: (Client, _ letGo: () -> Void) throws -> Void) throws {
        try withSharedDevice(size: Reclaim.large * 3 / 2) { (client, backend) throws in
            let gate = Monitor(false)
            backend.whenDiscarded.set { _ in
                gate.wait { $0 ? .done(()) : .wait(until: nil) }
            }
            func letGo() {
                gate.withLock { $0 = true }
                gate.wake()
            }
            defer { letGo() }
            try body(client, letGo)
        }
    }

    @Test func `removing a large buffer returns before its memory has gone`() throws {
        try withSlowDevice { (client, letGo) throws in
            try client.write("control/alloc", "a \(Self.large)")
            try client.unlink("buffers/a")
            #expect(try client.list("buffers").isEmpty)
            #expect(try client.tree.space().free < Reclaim.large)
            letGo()
            let isFree = try holds { try client.tree.space().free == Reclaim.large * 3 / 2 }
            #expect(isFree)
        }
    }

    @Test func `who finds no room waits for the memory of large buffers that are going`() throws {
        try withSlowDevice { (client, letGo) throws in
            try client.write("control/alloc", "a \(Self.large)\nsmall 4096")
            try client.unlink("buffers/a")
            let isMade = SharedFlag()
            let maker = try Worker("makes") { [client] in
                _ = try? client.write("control/alloc", "b \(Self.large)")
                isMade.set()
            }
            usleep(50_000)
            #expect(!isMade.isSet)
            letGo()
            maker.join()
            #expect(try client.list("buffers").sorted() == ["b", "small"])
            try client.unlink("buffers/b")
            // So does a buffer that grows.
            try client.truncate("buffers/small", to: Reclaim.large)
            // What does not fit in the device is refused as ever.
            #expect(try client.refusal("control/alloc", "c \(Self.large)") == .noSpace)
        }
    }

    @Test func `memory that comes back just after it was missed is looked for again`() throws {
        let reclaim = Reclaim()
        var tries = 0
        try reclaim.roomy { () throws(Refusal) in
            tries += 1
            guard tries == 1 else { return }
            reclaim.add {}
            reclaim.settle()
            throw Refusal(.noSpace, "none was free a moment ago")
        }
        #expect(tries == 2)
        #expect(throws: Refusal.self) {
            try reclaim.roomy { () throws(Refusal) in throw Refusal(.noSpace, "none at all") }
        }
    }

    @Test func `the loop goes on while the memory of a lease that ended goes`() throws {
        try withSlowDevice { (client, letGo) throws in
            let owners = (try Child(), try Child())
            func lease(_ line: String, to child: Child) throws {
                let caller = Caller(pid: child.id, uid: geteuid(), gid: getegid())
                try Client(tree: client.tree, caller: caller).write("control/alloc", line)
            }
            try lease("a \(Self.large) lease=process", to: owners.0)
            try lease("b 4096 lease=process", to: owners.1)
            owners.0.end()
            #expect(try holds { try client.list("buffers") == ["b"] })
            try client.write("control/signal", "tick timer period=1ms")
            #expect(try holds { try client.read("signals/tick/count") != "0\n" })
            letGo()
            owners.1.end()
            #expect(try holds { try client.list("buffers").isEmpty })
        }
    }

    @Test func `closing a large buffer that was removed returns before its memory has gone`() throws
    {
        try withSlowDevice { (client, letGo) throws in
            try client.write("control/alloc", "a \(Self.large)")
            let table = client.tree.buffers
            let buffer = try #require(table[Name("a")!])
            table.keepsUsed.store(true, ordering: .relaxed)
            _ = try table.acquire(buffer, as: .handle)
            try client.unlink("buffers/a")
            table.release(buffer, as: .handle)
            #expect(try client.tree.space().free < Reclaim.large)
            letGo()
            #expect(try holds { try client.tree.space().free == Reclaim.large * 3 / 2 })
            #expect(table[buffer.id] == nil)
            table.keepsUsed.store(false, ordering: .relaxed)
        }
    }
}
