import Glibc
import Testing

extension MountTests {
    /// "Files at the root".
    @Suite struct RootFiles {
        @Test func `the tree of a memory device has the directories and files of the manual`()
            throws
        {
            try withMount { mount in
                #expect(
                    names(in: mount.root) == [
                        "attributes", "buffers", "control", "features", "metrics", "signals",
                        "status", "streams", "version",
                    ])
                #expect(
                    names(in: mount.path("control")) == [
                        "alloc", "free", "heaps", "log", "signal", "socket", "stream", "sync",
                    ])
                for empty in ["attributes", "buffers", "signals", "streams"] {
                    #expect(names(in: mount.path(empty)).isEmpty)
                }
            }
        }

        @Test func `version is devfs and a version, as the command says`() throws {
            try withMount { mount in
                let version = try mount.value("version")
                #expect(version.wholeMatch(of: #/devfs \d+\.\d+\.\d+\S*/#) != nil, "\(version)")
                let own = try Child([Machine.devfs, "--version"]).wait().text
                #expect(own.contains(version.dropFirst(6)), "\(own)")
            }
        }

        @Test(arguments: Mode.here)
        func `features are one a line, NAME yes or no, and no says why`(mode: Mode) throws {
            try withMount(mode) { mount in
                var features: [String: Bool] = [:]
                for line in try text(of: mount.path("features")).split(separator: "\n") {
                    let match = try #require(line.wholeMatch(of: #/([a-z_]+) (yes|no)( .+)?/#))
                    features[String(match.1)] = match.2 == "yes"
                    #expect(match.2 == "yes" || match.3 != nil, "\(line)")
                }
                for name in ["passthrough", "mmap", "io_uring", "parallel_direct_writes", "poll"] {
                    #expect(features[name] != nil, "\(name)")
                }
                for name in ["dma_addresses", "interrupts", "regions"] {
                    #expect(features[name] == false, "\(name)")
                }
                #expect(features["passthrough"] == (mode == .passthrough))
                #expect(features["mmap"] == (mode == .passthrough))
                #expect(features["private_tmpfs"] == Machine.isRoot)
            }
        }

        @Test(.enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"))
        func `passthrough is on by itself where the machine has it`() throws {
            let mount = try Mount(nil, [])
            defer { mount.tearDown() }
            try mount.bash("grep -qx 'passthrough yes' features")
        }

        @Test func `status is for people, and names device, memory and what there is`() throws {
            try withMount(.best, "size=8M") { mount in
                try mount.alloc("rx 1M")
                let status = try text(of: mount.path("status"))
                #expect(status.contains(mount.device) && status.contains("8388608"))
                #expect(status.contains(#/buffers\s+1\b/#))
            }
        }

        @Test func `metrics are Prometheus text that counts what happens`() throws {
            try withMount(.best, "size=8M") { mount in
                try mount.alloc("rx 1M")
                try mount.put("go software\n", "control/signal")
                try mount.put("5", "signals/go/trigger")
                #expect(throws: Errno(EINVAL)) { try mount.alloc("bad") }
                let metrics = try Metrics(text(of: mount.path("metrics")))
                let size = metrics["devfs_heap_size_bytes"]
                #expect(size == 8_388_608)
                #expect(metrics["devfs_buffers"] == 1)
                #expect(metrics["devfs_allocations_total"] == 1)
                #expect(metrics["devfs_heap_used_bytes"] == 1_048_576)
                #expect(metrics["devfs_signal_events_total{signal=\"go\"}"] == 5)
                let refused = try #require(metrics["devfs_refused_commands_total"])
                #expect(throws: Errno(EINVAL)) { try mount.alloc("bad") }
                try mount.bash("rm buffers/rx")
                let later = try Metrics(text(of: mount.path("metrics")))
                #expect(later["devfs_refused_commands_total"] == refused + 1)
                #expect(later["devfs_buffers"] == 0 && later["devfs_frees_total"] == 1)
                for (name, value) in metrics.values where metrics.types[name.family] == "counter" {
                    if let now = later[name] { #expect(now >= value, "\(name)") }
                }
            }
        }
    }
}

extension String {
    /// The metric's name without labels.
    fileprivate var family: String { String(prefix { $0 != "{" }) }
}

/// Prometheus text exposition format 0.0.4, read strictly.
private struct Metrics {
    var values: [String: Double] = [:]
    var types: [String: String] = [:]

    init(_ text: String) throws {
        #expect(text.hasSuffix("\n"))
        var helped: Set<String> = []
        var current = ""
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            if let match = line.wholeMatch(of: #/# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)/#) {
                #expect(helped.insert(String(match.1)).inserted, "HELP twice: \(line)")
            } else if let match = line.wholeMatch(
                of: #/# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)/#)
            {
                current = String(match.1)
                #expect(types.updateValue(String(match.2), forKey: current) == nil, "\(line)")
                #expect(match.2 != "counter" || current.hasSuffix("_total"), "\(line)")
            } else {
                let sample =
                    #/([a-zA-Z_:][a-zA-Z0-9_:]*)((\{)[a-zA-Z_]\w*="(?:[^"\\]|\\.)*"(?:,[a-zA-Z_]\w*="(?:[^"\\]|\\.)*")*\})? (\S+)/#
                let match = try #require(line.wholeMatch(of: sample), "\(line)")
                #expect(String(match.1) == current, "outside of its group: \(line)")
                let value = try #require(Double(match.4), "\(line)")
                let key = String(match.1) + String(match.2 ?? "")
                #expect(values.updateValue(value, forKey: key) == nil, "twice: \(line)")
            }
        }
        #expect(helped == Set(types.keys))
    }

    subscript(_ name: String) -> Double? { values[name] }
}
