import Glibc
import Testing

extension MountTests {
    /// docs/howto/metrics.md.
    @Suite struct MetricsRecipe {
        private static let examples = "\(Machine.package)/examples/metrics"
        private static let hasPromtool = Machine.shell("command -v promtool") != nil

        /// What the collector writes has the mount whose place needs escapes.
        private func withMounts(_ body: (Mount) throws -> Void) throws {
            try withMount { mount in
                try mount.alloc("rx 1M")
                try mount.put("tick timer period=10ms\n", "control/signal")
                try mount.put("adc buffer=rx period=4K source=pattern\n", "control/stream")
                try mount.put("1", "streams/adc/enable")
                let place = mount.directory + "/a \"b\\c\nd"
                _ = try Child(["mkdir", place]).wait()
                defer {
                    _ = try? Child(["fusermount3", "-u", "-z", place]).wait()
                    _ = try? Child(["rmdir", place]).wait()
                    _ = holds(within: .seconds(5)) {
                        Machine.shell("\(Machine.devfs) device remove \(mount.device)-x") != nil
                    }
                }
                let other = try Child([Machine.devfs, "mount", "\(mount.device)-x", place]).wait()
                #expect(other.status == 0, "\(other.error)")
                try body(mount)
            }
        }

        @Test(.enabled(if: hasPromtool, "needs promtool of the package prometheus"))
        func `promtool accepts a mount's metrics, those of many mounts, and the rules`() throws {
            try withMounts { mount in
                try mount.bash(
                    """
                    promtool check metrics <metrics
                    '\(Self.examples)/devfs-textfile' - >'\(mount.directory)/all.prom'
                    promtool check metrics <'\(mount.directory)/all.prom'
                    promtool check rules '\(Self.examples)/alerts.yml'
                    """)
            }
        }

        @Test(.enabled(if: hasPromtool, "needs promtool of the package prometheus"))
        func `the dashboard asks for what there is, in PromQL`() throws {
            try withMounts { mount in
                try mount.bash(
                    """
                    '\(Self.examples)/devfs-textfile' - >'\(mount.directory)/all.prom'
                    python3 - '\(Self.examples)/dashboard.json' '\(mount.directory)' <<'END'
                    import json, re, sys
                    panels = json.load(open(sys.argv[1]))["panels"]
                    asked = [t["expr"] for panel in panels for t in panel["targets"]]
                    known = {line.split(" ")[2] for line in open(sys.argv[2] + "/all.prom")
                             if line.startswith("# TYPE")}
                    names = {n for expr in asked for n in re.findall(r"devfs_\\w+", expr)}
                    assert names and names <= known, names - known
                    assert len({panel["id"] for panel in panels}) == len(panels)
                    rules = [{"record": f"x:{i}", "expr": expr.replace("$__rate_interval", "5m")}
                             for i, expr in enumerate(asked)]
                    with open(sys.argv[2] + "/rules.yml", "w") as file:
                        json.dump({"groups": [{"name": "x", "rules": rules}]}, file)
                    END
                    promtool check rules '\(mount.directory)/rules.yml'
                    """)
            }
        }

        @Test func `the collector writes one file, with each mount's name escaped`() throws {
            try withMounts { mount in
                let text = try mount.bash(
                    """
                    mkdir '\(mount.directory)/out'
                    '\(Self.examples)/devfs-textfile' '\(mount.directory)/out'
                    ls -A '\(mount.directory)/out'
                    cat '\(mount.directory)/out/devfs.prom'
                    """)
                let lines = text.split(separator: "\n")
                #expect(lines[0] == "devfs.prom")
                let place = "\(mount.directory)/a \\\"b\\\\c\\nd"
                #expect(lines.contains("devfs_up{mount=\"\(place)\"} 1"))
                #expect(lines.contains("devfs_buffers{mount=\"\(mount.root)\"} 1"))
                let overruns = "devfs_signal_events_total{mount=\"\(mount.root)\",signal=\"tick\"} "
                #expect(lines.contains { $0.hasPrefix(overruns) })
                #expect(lines.filter { $0 == "# TYPE devfs_buffers gauge" }.count == 1)
                let refused = try Child(["\(Self.examples)/devfs-textfile", "/nonexistent"]).wait()
                #expect(refused.status == 1 && refused.error.split(separator: "\n").count == 1)
            }
        }

        @Test func `status has the labels of metrics as they are`() throws {
            try withMounts { mount in
                try mount.bash(
                    """
                    '\(Machine.devfs)' status . --json | python3 -c '
                    import json, sys
                    found = {(m["name"], tuple((m.get("labels") or {}).items())): m["value"]
                             for m in json.load(sys.stdin)["metrics"]}
                    stream = (("stream", "adc"),)
                    assert found["devfs_stream_ring_bytes", stream] == 1 << 20
                    assert found["devfs_stream_available_bytes", stream] < 1 << 20
                    assert found["devfs_buffers", ()] == 1
                    '
                    """)
                _ = holds {
                    (try? mount.bash("grep -c 'filled_bytes_total.* 0$' metrics || true")) == "0"
                }
                let filled = try mount.bash(
                    "sed -n 's/^devfs_stream_filled_bytes_total.* //p' metrics")
                #expect(Int(filled) ?? 0 > 0 && (Int(filled) ?? 1) % 4096 == 0)
            }
        }
    }
}
