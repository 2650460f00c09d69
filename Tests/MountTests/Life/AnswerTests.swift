import Glibc
import Testing

extension MountTests {
    /// Issue 14, 4: what is asked of a server that was stopped, or hangs.
    @Suite("A server that does not answer", .timeLimit(.minutes(2)))
    struct AnswerTests {
        private func whileStopped(_ body: (Mount) throws -> Void) throws {
            try withMount(.served) { mount in
                try mount.alloc("rx 64K")
                try mount.put("go software\n", "control/signal")
                mount.server.signal(SIGSTOP)
                defer { mount.server.signal(SIGCONT) }
                #expect(holds { mount.server.state == "T" })
                try body(mount)
            }
        }

        @Test func `each command gives up in time, and says whom it waited for`() throws {
            try whileStopped { mount in
                let root = mount.root
                let commands = [
                    ["status", root], ["list", root], ["list", root, "--signals"],
                    ["create", root, "tx", "4K"], ["rm", root, "rx"],
                    ["sync", root, "rx", "for_cpu"], ["trigger", root, "go"],
                    ["wait", "\(root)/signals/go"], ["wait", root, "go", "--count", "2"],
                    ["status", "\(root)/buffers/rx"],
                ]
                for command in commands {
                    let child = try Child([Machine.devfs] + command + ["--timeout", "0.5"])
                    let output = try child.wait(within: .seconds(10))
                    #expect(output.status == 124, "\(command): \(output)")
                    let answer = "no answer for 500 ms from its server, process \(mount.server.pid)"
                    #expect(output.error.contains(answer), "\(command): \(output.error)")
                    #expect(output.error.contains("kill -CONT \(mount.server.pid)"), "\(command)")
                }
            }
        }

        @Test func `doctor goes on, and says what lets the server go on`() throws {
            try whileStopped { mount in
                let child = try Child([Machine.devfs, "doctor", "--timeout", "0.5"])
                let output = try child.wait(within: .seconds(20))
                #expect(output.text.contains("FAIL mute-mounts"), "\(output)")
                #expect(output.text.contains("kill -CONT \(mount.server.pid)"))
            }
        }

        @Test(.enabled(if: Tools.canTrace, "strace cannot trace here"))
        func `doctor connects to a server that does not answer once`() throws {
            try whileStopped { mount in
                let report = mount.directory + "/connects"
                let trace = ["strace", "-f", "-qq", "-e", "trace=connect", "-o", report]
                try Child(trace + [Machine.devfs, "doctor", "--timeout", "0.5"]).wait()
                let name = mount.device.split(separator: ":")[1]
                let connects = try text(of: report).split(separator: "\n")
                    .filter { $0.contains("/\(name)/") }
                #expect(connects.count == 1, "\(connects)")
            }
        }

        @Test func `unmount takes the mount away, and --force the server, too`() throws {
            try whileStopped { mount in
                let plain = try Child([Machine.devfs, "unmount", mount.root, "--timeout", "0.5"])
                let output = try plain.wait(within: .seconds(10))
                #expect(output.status == 124 && output.error.contains("it is stopped"), "\(output)")
            }
            try whileStopped { mount in
                let forced = try Child([
                    Machine.devfs, "unmount", "--force", mount.root, "--timeout", "1",
                ])
                #expect(try forced.wait(within: .seconds(10)).status == 0)
                #expect(holds { !mount.server.runs })
                try mount.stop(SIGKILL)
            }
        }
    }
}
