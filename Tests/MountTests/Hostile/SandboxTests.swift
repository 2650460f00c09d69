import Glibc
import Testing

extension MountTests {
    /// What docs/security-sandbox.md promises of a running server.
    @Suite struct Sandboxed {
        /// CAP_CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SYS_PTRACE, SYS_ADMIN and LEASE.
        private static let kept: [Int] = [0, 1, 3, 4, 5, 19, 21, 28]
        private static let mask = kept.reduce(0 as UInt64) { $0 | 1 << UInt64($1) }
        private static let filters = ["x86_64", "aarch64"].contains(
            Machine.shell("uname -m")?.split(separator: "\n").joined() ?? "")

        @Test(.enabled(if: Machine.isRoot, "an ordinary user has no capabilities to lose"))
        func `every thread has given up what it does not need`() throws {
            try withMount { mount in
                // Threads that come late: of a generator, of the workers, of the socket.
                try mount.bash(
                    """
                    for i in {1..40}; do echo "b$i 64K" > control/alloc & done; wait
                    echo 'adc buffer=b1 period=4K source=pattern rate=1M' > control/stream
                    head -c 64K streams/adc/data > /dev/null
                    for i in {1..40}; do cat buffers/b$i > /dev/null & done; wait
                    """)
                try mount.python(
                    """
                    import socket
                    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    s.connect(get("control/socket").strip())
                    """)
                let own = try Self.fields("/proc/self/status")
                let threads = names(in: "/proc/\(mount.server.pid)/task")
                #expect(threads.count > 3)
                for thread in threads {
                    let path = "/proc/\(mount.server.pid)/task/\(thread)/status"
                    // A thread may end meanwhile.
                    guard let status = try? Self.fields(path) else { continue }
                    let name = status["Name"] ?? ""
                    let mayHave = try Self.set(own, "CapBnd") & Self.mask
                    #expect(try Self.set(status, "CapEff") == mayHave, "\(name)")
                    #expect(try Self.set(status, "CapPrm") == mayHave, "\(name)")
                    #expect(try Self.set(status, "CapBnd") == mayHave, "\(name)")
                    #expect(try Self.set(status, "CapInh") == 0, "\(name)")
                    #expect(try Self.set(status, "CapAmb") == 0, "\(name)")
                    guard Self.filters else { continue }
                    #expect(status["NoNewPrivs"] == "1", "\(name)")
                    #expect(status["Seccomp"] == "2", "\(name)")
                }
                let line = try mount.bash("grep '^sandbox ' features")
                #expect(line.hasPrefix(Self.filters ? "sandbox yes" : "sandbox no "))
            }
        }

        @Test func `no_sandbox leaves the server as it was, and features says so`() throws {
            try withMount(.best, "no_sandbox") { mount in
                let status = try Self.fields("/proc/\(mount.server.pid)/status")
                let own = try Self.fields("/proc/self/status")
                for field in ["CapEff", "CapBnd", "NoNewPrivs", "Seccomp"] {
                    #expect(status[field] == own[field], "\(field)")
                }
                #expect(try mount.bash("grep '^sandbox ' features").hasPrefix("sandbox no "))
            }
        }

        @Test(
            .enabled(if: filters, "no filter for this architecture"),
            .enabled(if: UserSession.whyNot == nil, "\(UserSession.whyNot ?? "")"))
        func `an ordinary user's server is filtered and still unmounts at its end`() throws {
            try UserSession.run(
                """
                start
                grep -q '^sandbox yes' features
                for task in /proc/$server/task/*; do
                    grep -q '^NoNewPrivs:.1' $task/status; grep -q '^Seccomp:.2' $task/status
                done
                cd /; read -r helper < /proc/$server/task/$server/children || :
                [ "$(cat /proc/$helper/comm)" = devfs-unmount ]
                kill $server; wait $server
                if grep -q " $MNT " /proc/mounts; then echo "still mounted"; exit 1; fi
                [ ! -e /proc/$helper ] || grep -q '^State:.Z' /proc/$helper/status
                """)
        }

        @Test(.enabled(if: UserSession.whyNot == nil, "\(UserSession.whyNot ?? "")"))
        func `who unmounts goes with a server that was killed, and leaves the mount`() throws {
            try UserSession.run(
                """
                start
                cd /; read -r helper < /proc/$server/task/$server/children || :
                kill -KILL $server; wait $server || :
                # Who inherited it may take its time to bury it.
                ended() { [ ! -e /proc/$helper ] || grep -q '^State:.Z' /proc/$helper/status; }
                for try in {1..1000}; do
                    ! ended || break
                    read -t 0.01 < <(:) || :
                done
                [ -n "$helper" ]; ended
                grep -q " $MNT " /proc/mounts
                """)
        }

        private static let analyze = Machine.shell("command -v systemd-analyze") != nil

        /// Below 4.0; what systemd would take off beyond it takes a mount namespace, which the
        /// mount could not leave.
        @Test(.enabled(if: analyze, "needs systemd-analyze"))
        func `the unit's exposure is below 4, without a mount namespace`() throws {
            let unit = Machine.package + "/mount-helpers/devfs@.service"
            let check = try Child([
                "systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=39",
                unit,
            ]).wait()
            #expect(check.status == 0, "\(check.text)\(check.error)")
            let text = try text(of: unit)
            let unfit = [
                "ProtectSystem", "ProtectHome", "ProtectKernel", "ProtectControlGroups",
                "ProtectProc", "ProcSubset", "PrivateTmp", "PrivateDevices", "PrivateIPC",
                "ReadOnlyPaths", "InaccessiblePaths", "ReadWritePaths", "BindPaths", "RootImage",
                "TemporaryFileSystem", "MountFlags",
            ]
            for line in text.split(separator: "\n") where !line.hasPrefix("#") {
                #expect(!unfit.contains { line.hasPrefix($0) }, "\(line)")
            }
            // PrivateNetwork would bring one along.
            #expect(text.contains("\nPrivateMounts=no\n"))
        }

        private static func fields(_ path: String) throws -> [String: String] {
            var fields: [String: String] = [:]
            for line in try text(of: path).split(separator: "\n") {
                let parts = line.split(separator: ":", maxSplits: 1)
                guard parts.count == 2 else { continue }
                fields[String(parts[0])] = String(parts[1].drop { $0 == "\t" || $0 == " " })
            }
            return fields
        }

        private static func set(_ status: [String: String], _ field: String) throws -> UInt64 {
            try #require(UInt64(status[field] ?? "", radix: 16))
        }
    }
}
