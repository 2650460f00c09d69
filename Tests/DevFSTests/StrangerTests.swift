import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import DevFS

/// What can wait for a device of others, for ever perhaps, is the pool's, and counted.
@Suite("Memory that others keep busy", .timeLimit(.minutes(1)))
struct StrangerTests {
    /// A buffer as importing a dma-buf makes it, and one of the device's own.
    private func withImported(
        _ body: (Client, SharedBackend, Buffer, Buffer) throws -> Void
    ) throws {
        try withSharedDevice { (client, backend) throws in
            func make(_ name: String, _ heap: Heap) throws -> Buffer {
                try client.tree.buffers.allocate(
                    try #require(Name(name)), size: 8192, traits: BufferTraits(heap: heap),
                    owner: Ownership(uid: geteuid(), gid: getegid(), mode: 0o644), payer: 0,
                    quotas: client.tree.quotas)
            }
            try body(client, backend, try make("theirs", .imported), try make("ours", .coherent))
        }
    }

    @Test func `reads, writes and syncs of imported memory are the pool's, in its lane`() throws {
        try withImported { (client, _, theirs, ours) throws in
            let file = try client.open("buffers/theirs", O_RDWR)
            defer { file.close() }
            #expect(file.readsWait && file.writesWait(1) && file.lane == theirs.id)
            #expect(client.tree.lane(syncing: theirs) == theirs.id)
            #expect(!theirs.enter())
            // Nor once a writer by passthrough has gone.
            theirs.enterDirectWriter()
            theirs.leaveDirectWriter()
            #expect(!theirs.enter())

            let own = try client.open("buffers/ours", O_RDWR)
            defer { own.close() }
            #expect(!own.readsWait && client.tree.lane(syncing: ours) == nil)
            #expect(ours.enter())
            ours.leave()
        }
    }

    @Test func `a sync by command is in the lane of the buffer that it names`() throws {
        try withImported { (client, _, theirs, _) throws in
            let file = try client.open("control/sync", O_WRONLY)
            defer { file.close() }
            func lane(_ text: String) -> BufferID? {
                unsafe Array(text.utf8).withUnsafeBytes { unsafe file.lane(writing: $0) }
            }
            #expect(lane("theirs for_cpu\n") == theirs.id)
            #expect(lane("theirs\tfor_cpu 0 4096\nours for_cpu\n") == theirs.id)
            #expect(lane("none for_cpu\n") == nil)
            #expect(lane("") == nil && lane(String(repeating: "x", count: 5000)) == nil)
            let count = try file.write(Array("the".utf8))
            #expect(count == 3)
            #expect(lane("irs for_cpu\n") == theirs.id)
        }
    }

    @Test func `a stream is not made of imported memory`() throws {
        try withImported { (client, _, _, _) throws in
            try client.write("control/signal", "go software\n")
            for source in ["pattern", "go"] {
                #expect(
                    try client.refusal(
                        "control/stream", "a buffer=theirs period=4096 source=\(source)")
                        == .notSupported)
            }
            #expect(try client.log().last?.contains("memory of another driver") == true)
            try client.write("control/stream", "a buffer=ours period=4096 source=pattern")
        }
    }

    @Test func `a look-up does not ask for the scatter-gather list, and reading it may wait`() throws
    {
        try withImported { (client, backend, _, _) throws in
            #expect(try client.status("attributes/theirs/sg_table").size >= 50)
            #expect(try client.read("attributes/theirs/nents") == "2\n")
            let file = try client.open("attributes/theirs/sg_table")
            defer { file.close() }
            #expect(file.readsWait)
            _ = try client.tree.status(
                of: try client.inode("attributes/theirs/sg_table"), file: file)
            #expect(backend.tables.load(ordering: .relaxed) == 0)
            #expect(
                try file.text() == "0x0000000000001000 4096\n0x0000000000008000 4096\n")
            #expect(backend.tables.load(ordering: .relaxed) == 1)
        }
    }

    @Test func `however often it is opened, a buffer is filled up once`() throws {
        try withImported { (client, backend, _, ours) throws in
            let file = try client.open("buffers/ours", O_RDWR)
            let descriptor = try #require(file as? BufferFile).descriptor
            // A mapping can do that: MADV_REMOVE.
            let path = "/proc/\(getpid())/fd/\(descriptor)"
            #expect(Spawn.run(["fallocate", "-p", "-l", "4096", path]) == 0)
            file.close()
            // Somebody has the buffer for the moment.
            let isOver = SharedFlag()
            client.tree.pool.run(
                WorkPool.Item(uid: 1, lane: ours.id, body: { while !isOver.isSet { usleep(1000) } }))
            for _ in 0..<100 {
                let file = try client.open("buffers/ours")
                file.close()
            }
            isOver.set()
            func isDone() -> Bool { backend.populations.load(ordering: .relaxed) > 0 }
            #expect(holds(within: .seconds(10)) { isDone() })
            // A second one would come right behind it, before this.
            let isLast = SharedFlag()
            client.tree.pool.run(
                WorkPool.Item(uid: geteuid(), lane: ours.id, body: { isLast.set() }))
            #expect(holds(within: .seconds(10)) { isLast.isSet })
            #expect(backend.populations.load(ordering: .relaxed) == 1)
        }
    }

    @Test func `who cuts a buffer by a name that has just appeared has to open it`() throws {
        try withImported { (client, _, _, _) throws in
            #expect(throws: Errno.staleNFSFileHandle) {
                _ = try client.create("theirs", O_TRUNC)
            }
            try client.create("theirs").close()
        }
    }

    @Test func `a user gets no more threads stuck than his limit, in lanes or not`() throws {
        let loop = try EventLoop()
        defer { loop.shutDown() }
        let pool = try WorkPool(
            loop, WorkPool.Limits(threadsOfUser: 2, stuckOfUser: 3, patience: 1)
        ) { $0 != 0 }
        let (begun, told) = (Tally(), Tally())
        let isOver = SharedFlag()
        func hang(_ uid: UInt32, _ lane: UInt64?) -> WorkPool.Item {
            WorkPool.Item(
                uid: uid, lane: lane.map { BufferID($0) },
                body: {
                    begun.add()
                    while !isOver.isSet { usleep(10_000) }
                }, stalled: { told.add() })
        }
        for number in 0..<20 { pool.run(hang(7, number % 2 == 0 ? nil : UInt64(number + 1))) }
        // Two at a time get stuck: after four he has more than three.
        #expect(holds(within: .seconds(30)) { told.count == 20 })
        #expect(begun.count == 4)
        // At once, from here on, but for others.
        pool.run(hang(7, nil))
        #expect(told.count == 21)
        let isServed = SharedFlag()
        pool.run(WorkPool.Item(uid: 8, lane: nil, body: { isServed.set() }))
        #expect(holds(within: .seconds(10)) { isServed.isSet })
        isOver.set()
        pool.shutDown()
    }
}

/// Counts up from any thread.
private final class Tally: Sendable {
    private let value = Atomic(0)
    var count: Int { value.load(ordering: .acquiring) }
    func add() { value.add(1, ordering: .acquiringAndReleasing) }
}
