import Dispatch
import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// Each runs in a process of its own, where nobody else opens descriptors.
@Suite("Leaks", .timeLimit(.minutes(1)))
struct LeakTests {
    /// Descriptors by kind, with numbers taken out.
    private static func count() throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for target in try Machine.descriptors() {
            counts[target.replacing(/[0-9]+/, with: "N"), default: 0] += 1
        }
        return counts
    }

    /// Dispatch makes a timerfd of its own when it first needs one: have it made now.
    private static func settle() throws {
        DispatchQueue.global().asyncAfter(deadline: .now() + 3600) {}
        let isSettled = try holds { try count()["anon_inode:[timerfd]"] != nil }
        #expect(isSettled)
    }

    private static func mappings(of device: TestDevice) throws -> Int {
        let text = try Syscalls.contents(of: "/proc/self/maps")
        return String(decoding: text, as: UTF8.self).split(separator: "\n")
            .count { $0.contains(device.path) || $0.contains("/buffers/") || $0.contains("/#") }
    }

    private static func use(_ client: Client) throws {
        try client.write("control/alloc", "rx 64K\ntx 8K heap=coherent\nx 4K lease=process\ny 4K")
        try client.write("control/signal", "go software\ntick timer period=1ms")
        try client.write(
            "control/stream",
            "s buffer=rx period=4K source=go\np buffer=tx period=1K source=pattern policy=stop")
        let child = try Child()
        try client.write("signals/go/notify", "\(child.pid) URG")
        var files: [any OpenFile] = []
        for path in [
            "buffers/rx", "buffers/rx", "buffers/tx", "buffers/x", "signals/go/wait",
            "streams/p/data", "metrics", "control/log",
        ] {
            let file = try client.open(path)
            _ = try? file.bytes(count: 100)
            files.append(file)
        }
        let parked = FakeRead()
        _ = try files[4].read(at: 0, size: 100, parked: parked)
        _ = files[4].poll(FakePoller())
        files.append(try client.create("fresh"))
        try client.rename("buffers/fresh", "buffers/y")
        _ = try? client.truncate("buffers/rx", to: 1 << 40)
        _ = try? client.open("streams/p/data")
        for file in files { file.close() }
        child.end()
        #expect(try holds { try client.read("signals/go/notify").isEmpty })
        try client.write("control/stream", "s remove\np remove")
        try client.write("control/signal", "go remove\ntick remove")
        for name in try client.list("buffers") { try client.unlink("buffers/\(name)") }
    }

    @Test func `descriptors and mappings are the same after as before`() async {
        await #expect(processExitsWith: .success) {
            try Self.settle()
            try withDevice { device in
                try withTree(on: device) { (client) throws in
                    try Self.use(client)
                    let before = try Self.count()
                    // First the counters must see a leak.
                    do {
                        let leak = try Syscalls.open("/dev/null", flags: O_RDONLY)
                        #expect(try Self.count() != before)
                        _ = leak.raw
                        let file = try client.create("mapped")
                        try file.write([1])
                        let mapped = try Self.mappings(of: device)
                        let result = try file.read(at: 0, size: 1, parked: nil)
                        #expect(try Self.mappings(of: device) == mapped + 1)
                        _ = result
                        file.close()
                        try client.unlink("buffers/mapped")
                    }
                    #expect(try Self.count() == before)
                    let mapped = try Self.mappings(of: device)
                    for _ in 0..<20 { try Self.use(client) }
                    #expect(try Self.count() == before)
                    #expect(try Self.mappings(of: device) == mapped)
                }
            }
        }
    }

    @Test func `a tree that was shut down leaves nothing open`() async {
        await #expect(processExitsWith: .success) {
            try Self.settle()
            try withDevice { device in
                let before = try Self.count()
                for round in 0..<5 {
                    try withTree(on: device) { (client) throws in
                        try client.tree.openSocket()
                        try client.write("control/alloc", "rx\(round) 8K lease=process")
                        try client.write("control/signal", "go software\ntick timer period=1ms")
                        try client.write("signals/go/notify", "\(getpid()) URG")
                        try client.write(
                            "control/stream", "s buffer=rx\(round) period=4K source=pattern")
                        let files = [
                            try client.open("signals/go/wait"), try client.open("streams/s/data"),
                            try client.open("buffers/rx\(round)"),
                        ]
                        for file in files { file.close() }
                    }
                }
                // The last reference to a tree may go on the thread of its event loop.
                let isClosed = try holds { try Self.count() == before }
                let after = try Self.count()
                #expect(isClosed, "\(before) became \(after)")
            }
        }
    }
}
