import Glibc
import SystemPackage
import Testing

@testable import DevFS

/// A sample of Prometheus' text format: `name{label="value",...} number`.
private struct Sample: Hashable {
    var name: String
    var labels: [String: String]
    var value: UInt64
}

/// Reads the text exposition format 0.0.4 as its specification has it.
private struct Exposition {
    private(set) var samples: [Sample] = []
    private(set) var types: [String: String] = [:]

    init(_ text: String) throws {
        try #require(text.hasSuffix("\n"))
        var helped: Set<Substring> = []
        var finished: Set<String> = []
        var family = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            if let match = try /# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)/.wholeMatch(in: line) {
                #expect(helped.insert(match.1).inserted, "two HELP lines: \(line)")
            } else if let match = try /# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)/
                .wholeMatch(in: line)
            {
                if !family.isEmpty { finished.insert(family) }
                family = String(match.1)
                #expect(helped.contains(match.1), "no HELP before: \(line)")
                #expect(types[family] == nil && !finished.contains(family))
                types[family] = String(match.2)
            } else {
                let sample = try #require(try Self.sample(line), "no sample: \(line)")
                #expect(sample.name == family, "outside of its family: \(line)")
                samples.append(sample)
            }
        }
        #expect(Set(samples.map { "\($0.name)\($0.labels)" }).count == samples.count)
    }

    private static func sample(_ line: Substring) throws -> Sample? {
        let form = /([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})? ([0-9]+)/
        guard let match = try form.wholeMatch(in: line), let value = UInt64(match.3) else {
            return nil
        }
        var labels: [String: String] = [:]
        for part in (match.2 ?? "").split(separator: ",") {
            guard let label = try /([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\\n]*)"/.wholeMatch(in: part),
                labels.updateValue(String(label.2), forKey: String(label.1)) == nil
            else { return nil }
        }
        return Sample(name: String(match.1), labels: labels, value: value)
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> UInt64? {
        samples.first { $0.name == name && $0.labels == labels }?.value
    }
}

@Suite("Reports", .timeLimit(.minutes(1)))
struct ReportTests {
    @Test func `metrics are Prometheus text, counters end in total`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 8K")
            try client.write("control/signal", "a software\nb timer period=1s")
            try client.write("control/stream", "s buffer=rx period=4K source=a")
            let metrics = try Exposition(try client.read("metrics"))
            for (name, type) in metrics.types {
                #expect(name.hasPrefix("devfs_"))
                #expect(name.hasSuffix("_total") == (type == "counter"), "\(name) is a \(type)")
            }
            #expect(metrics.samples.contains { $0.labels["signal"] == "a" })
            #expect(metrics.samples.contains { $0.labels["stream"] == "s" })
            #expect(
                metrics.value(
                    "devfs_info",
                    ["source": client.tree.backend.source, "version": DevFSVersion.text]) == 1)
        }
    }

    @Test func `metrics count what happened`() throws {
        try withTree { (client) throws in
            func metric(_ name: String, _ labels: [String: String] = [:]) throws -> UInt64? {
                try Exposition(try client.read("metrics")).value("devfs_\(name)", labels)
            }
            #expect(try metric("heap_size_bytes") == TestDevice.size)
            try client.write("control/alloc", "a 4K\nb 4K\nc 4K")
            try client.write("control/signal", "go software")
            try client.write("signals/go/trigger", "7")
            _ = try client.refusal("control/alloc", "a 4K")
            _ = try client.refusal("control/alloc", "nonsense")
            try client.unlink("buffers/a")
            try client.write("control/free", "b")
            let file = try client.open("buffers/c")
            defer { file.close() }
            #expect(try metric("buffers") == 1)
            #expect(try metric("buffer_references") == 1)
            #expect(try metric("allocations_total") == 3)
            #expect(try metric("frees_total") == 2)
            #expect(try metric("refused_commands_total") == 2)
            #expect(try metric("heap_used_bytes") == 4096)
            #expect(try metric("signal_events_total", ["signal": "go"]) == 7)
            #expect(try metric("signal_missed_total", ["signal": "go"]) == 0)
            client.tree.metrics.count(.read)
            client.tree.metrics.addRead(100)
            client.tree.metrics.addWritten(200)
            #expect(try metric("requests_total", ["operation": "read"]) == 1)
            #expect(try metric("requests_total", ["operation": "write"]) == 0)
            #expect(try metric("read_bytes_total") == 100)
            #expect(try metric("written_bytes_total") == 200)
        }
    }

    @Test func `buffers are allocations less frees, however they went`() throws {
        try withTree { (client) throws in
            let child = try Child()
            var its = client
            its.caller.pid = child.id
            try its.write("control/alloc", "leased 1 lease=process\na 1\nb 1\nc 1")
            try client.rename("buffers/a", "buffers/b")
            try client.unlink("buffers/c")
            child.end()
            #expect(try holds { try client.list("buffers") == ["b"] })
            let metrics = try Exposition(try client.read("metrics"))
            #expect(metrics.value("devfs_allocations_total") == 4)
            #expect(metrics.value("devfs_frees_total") == 3)
        }
    }

    /// "Read: the buffers, one a line: `NAME SIZE heap=H direction=D uid=U gid=G mode=0644
    /// owner=PID refs=N lease=L`."
    @Test func `control/alloc lists the buffers`() throws {
        try withTree { (client) throws in
            #expect(try client.read("control/alloc").isEmpty)
            try client.write("control/alloc", "rx 4M heap=coherent direction=from_device")
            try client.create("tx", mode: 0o600).close()
            let who = "uid=\(geteuid()) gid=\(getegid())"
            let text = try client.read("control/alloc")
            let expected = """
                rx 4194304 heap=coherent direction=from_device \(who) mode=0644 \
                owner=\(getpid()) refs=0 lease=none
                tx 0 heap=system direction=bidirectional \(who) mode=0600 \
                owner=\(getpid()) refs=0 lease=none

                """
            #expect(text == expected)
        }
    }

    @Test func `control/signal and control/stream list what there is`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 8K\nry 8K")
            try client.write("control/signal", "a software\nb timer period=3600s")
            try client.write(
                "control/stream",
                "s buffer=rx period=4K source=a policy=stop watermark=10\n"
                    + "p buffer=ry period=1K source=pattern rate=1000")
            try client.write("signals/a/trigger", "3")
            #expect(
                try client.read("control/signal") == """
                    a software count=3 missed=0 enable=1
                    b timer period=3600s count=0 missed=0 enable=1

                    """)
            let text = try client.read("control/stream")
            let expected = """
                s buffer=rx period=4096 source=a policy=stop watermark=10 status=armed \
                available=0 overruns=0
                p buffer=ry period=1024 source=pattern rate=1000 policy=overwrite \
                watermark=1024 status=armed available=0 overruns=0

                """
            #expect(text == expected)
        }
    }

    @Test(
        arguments: [
            (1, "1ns"), (1_000, "1us"), (1_500, "1500ns"), (10_000_000, "10ms"),
            (3_600_000_000_000, "3600s"), (1_000_001_000, "1000001us"),
        ] as [(UInt64, String)])
    func `a period has the largest unit that leaves it whole`(nanoseconds: UInt64, text: String) {
        #expect(Report.time(nanoseconds) == text)
        #expect(Number.nanoseconds(text) == nanoseconds)
    }

    /// "`version` | `devfs VERSION`" "`features` has one a line, `NAME yes|no [why]`"
    @Test func `version, features, status, socket and heaps have their form`() throws {
        try withTree { (client) throws in
            #expect(try client.read("version") == "devfs \(DevFSVersion.text)\n")
            client.tree.setMountFeatures([Feature("mmap", true), Feature("io_uring", false, "old")])
            let features = try client.read("features").split(separator: "\n")
            #expect(features.contains("mmap yes") && features.contains("io_uring no old"))
            for line in features {
                #expect(try /[a-z_]+ (yes|no)( .+)?/.wholeMatch(in: line) != nil, "\(line)")
            }
            let socket = try client.read("control/socket")
            #expect(socket == client.tree.backend.runtimeDirectory + "/owners\n")
            let status = try client.read("status")
            #expect(status.contains(client.tree.backend.source) && status.contains("mmap"))
            try client.write("control/alloc", "a 4K heap=coherent")
            let values = [
                ("system", ["page", "4194304", "0", "4190208"]),
                ("contiguous", ["fixed", "4194304", "0", "4190208"]),
                ("coherent", ["fixed", "4194304", "4096", "4190208"]),
            ]
            for (heap, expected) in values {
                let texts = try ["type", "size", "used", "max"].map {
                    String(try client.read("control/heaps/\(heap)/\($0)").dropLast())
                }
                #expect(texts == expected, "\(heap)")
            }
        }
    }
}
