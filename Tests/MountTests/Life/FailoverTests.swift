import Glibc
import Testing

extension MountTests {
    /// A server that dies, and nobody notices: the mount option `keeper`.
    @Suite(.enabled(if: Machine.whyNoPassthrough == nil, "failover needs root and kernel 6.9"))
    struct Failover {
        /// How often the server is killed: `DEVFS_KILLS=1000` is the bar.
        private static let kills = unsafe getenv("DEVFS_KILLS").map { unsafe String(cString: $0) }

        /// "A client notices nothing but that its call takes longer."
        @Test(arguments: Mode.here, [false, true])
        func `clients notice neither a kill nor an upgrade`(mode: Mode, isUpgrade: Bool) throws {
            let directory = "\(Janitor.prefix)failover-\(mode)-\(isUpgrade)"
            let count = Self.kills ?? (isUpgrade ? "2" : "8")
            let output = try Child(
                [Machine.python, "\(Machine.package)/Tests/failover.py", Machine.devfs, directory]
                    + [count, "-o", mode == .served ? "no_passthrough" : "passthrough"]
                    + (isUpgrade ? ["--upgrade"] : [])
            ).wait(within: .seconds(Self.kills == nil ? 120 : 3000))
            #expect(output.status == 0, "\(output.text)\(output.error)")
            if Self.kills != nil { print(output.text) }
        }

        private static func server(of mount: Mount) -> pid_t? {
            let keeper = mount.server.pid
            let children = try? text(of: "/proc/\(keeper)/task/\(keeper)/children")
            return children.flatMap { $0.split(separator: " ").first }.flatMap { pid_t($0) }
        }

        /// Kills the server; the next one, once it is there.
        @discardableResult
        private static func killServer(of mount: Mount) throws -> pid_t {
            let pid = try #require(server(of: mount))
            kill(pid, SIGKILL)
            #expect(holds { server(of: mount).map { $0 != pid } ?? false })
            return try #require(server(of: mount))
        }

        private static func words(of line: String) -> [String] {
            line.split { $0 == " " || $0 == "\n" }.map(String.init)
        }

        private static func failover(of mount: Mount) throws -> [String] {
            words(of: try mount.bash("grep '^failover ' features"))
        }

        private static func keeper(of mount: Mount) throws -> [String] {
            words(of: try mount.bash("grep '^keeper ' status"))
        }

        /// What is held stays held, what was told is not told again, and what the device overwrites is
        /// torn, whichever server sees it.
        @Test func `a reader of ready goes on with the next server`() throws {
            try withMount(.best, "keeper") { mount in
                let device = try Device(mount, periods: 4)
                defer { device.close() }
                let ready = try mount.open("streams/t/ready", O_RDWR | O_NONBLOCK)
                defer { ready.close() }
                let line = { String(decoding: try ready.read(128), as: UTF8.self) }
                try mount.put("1", "streams/t/enable")
                try device.fillPeriod()
                #expect(try line() == "0 0 4096 0\n")
                try Self.killServer(of: mount)
                #expect(throws: Errno(EAGAIN)) { try ready.read(128) }
                try device.fillPeriod()
                #expect(try line() == "0 0 8192 0\n")
                try Self.killServer(of: mount)
                try ready.write("+4096\n")
                #expect(try mount.value("streams/t/available") == "4096")
                for _ in 0..<3 { try device.fillPeriod() }
                try Self.killServer(of: mount)
                #expect(throws: Errno(EPIPE)) { try ready.write("8192\n") }
                #expect(try line() == "8192 8192 8192 1\n")
            }
        }

        @Test func `status and features tell of the keeper`() throws {
            try withMount(.best, "keeper") { mount in
                #expect(try Self.failover(of: mount) == ["failover", "yes"])
                let pid = "\(mount.server.pid),"
                #expect(
                    try Self.keeper(of: mount)
                        == ["keeper", "pid", pid, "this", "is", "its", "server", "1"])
                try Self.killServer(of: mount)
                #expect(
                    try Self.keeper(of: mount)
                        == ["keeper", "pid", pid, "this", "is", "its", "server", "2"])
            }
            try withMount { (mount: Mount) in
                let words = try Self.failover(of: mount)
                #expect(
                    words.joined(separator: " ").hasSuffix("no the mount option keeper asks for it")
                )
                #expect(try Self.keeper(of: mount) == ["keeper", "none"])
            }
        }

        /// "Too many crashes in a minute end the mount: its calls are `ENOTCONN`, and nobody waits."
        @Test func `a server that dies again and again ends the mount`() throws {
            let mount = try Mount(.best, ["keeper,keeper_crashes=3"])
            defer { mount.tearDown() }
            for _ in 0..<3 {
                #expect(holds { Self.server(of: mount) != nil || !mount.server.runs })
                if let pid = Self.server(of: mount) { kill(pid, SIGKILL) }
                usleep(100_000)
            }
            let output = try mount.server.wait(within: .seconds(10))
            #expect(output.status == 1)
            #expect(output.error.contains("the server has died 3 times in a minute"))
            #expect(throws: Errno(ENOTCONN)) { try mount.open("version", O_RDONLY) }
        }

        @Test(.enabled(if: Tools.allocationCounter != nil, "the program can't be built: no cc"))
        func `an upgrade whose program says that it can't go on leaves the mount`() throws {
            try withMount(.best, "keeper") { mount in
                let name = mount.device.split(separator: ":")[1]
                try mount.python(
                    """
                    import socket, subprocess
                    text = b'#include <sys/socket.h>\\n'
                    text += b'int main(void) { send(3, "-no such map", 12, 0); return 1; }'
                    program = "../refuses"
                    subprocess.run(["cc", "-x", "c", "-o", program, "-"], input=text, check=True)
                    kept = os.open("buffers/rx", os.O_RDWR | os.O_CREAT)
                    for _ in range(2):
                        with socket.socket(socket.AF_UNIX) as peer:
                            peer.connect(sys.argv[1])
                            peer.settimeout(10)
                            socket.send_fds(peer, [b"U"], [os.open(program, os.O_RDONLY)])
                            answer = peer.recv(4096)
                        assert answer == b"-no such map", answer
                        assert os.pwrite(kept, b"here", 0) == 4
                        assert get("buffers/rx") == "here"
                    os.unlink(program)
                    """, "/run/devfs/\(name)/keeper")
            }
        }

        /// "Where the keeper ends, the server goes on, and the mount ends with it."
        @Test func `a keeper that is killed leaves a mount as without one`() throws {
            let mount = try Mount(.best, ["keeper"])
            defer { mount.tearDown() }
            let server = try #require(Self.server(of: mount))
            try mount.stop(SIGKILL)
            let words = try Self.failover(of: mount)
            #expect(words == ["failover", "no", "the", "keeper", "has", "ended"])
            kill(server, SIGKILL)
            #expect(holds { kill(server, 0) != 0 || !exists(mount.path("version")) })
            #expect(throws: Errno(ENOTCONN)) { try mount.open("version", O_RDONLY) }
        }

        @Test func `a second keeper of a device is refused`() throws {
            try withMount(.best, "keeper") { mount in
                let other = mount.directory + "/other"
                try mount.bash("mkdir ../other")
                let output = try Child(
                    [Machine.devfs, "mount", "-o", "keeper", mount.device, other]
                ).wait(within: .seconds(20))
                #expect(output.status == 1)
                #expect(output.error.contains("Device or resource busy"))
                try Self.killServer(of: mount)
                let version = try mount.value("version")
                #expect(!version.isEmpty)
            }
        }

        @Test func `SIGTERM ends keeper and server and takes the mount away`() throws {
            let mount = try Mount(.best, ["keeper"])
            defer { mount.tearDown() }
            try Self.killServer(of: mount)
            _ = try mount.value("version")
            let output = try mount.stop()
            #expect(output.status == 0)
            #expect(!mount.isMounted)
        }

        @Test func `umount ends keeper and server, also while there is no server`() throws {
            for kills in [false, true] {
                let mount = try Mount(.best, ["keeper"])
                defer { mount.tearDown() }
                if kills, let pid = Self.server(of: mount) { kill(pid, SIGKILL) }
                let umount = try Child(["umount", mount.root]).wait()
                #expect(umount.status == 0)
                let keeper = try mount.server.wait(within: .seconds(10))
                #expect(keeper.status == 0)
            }
        }

        /// A full device is full afterwards, too, and nothing of it is lost.
        @Test func `a full device goes on`() throws {
            try withMount(.served, "size=4M,keeper") { mount in
                try mount.bash("dd if=/dev/urandom of=buffers/all bs=64K 2>/dev/null || true")
                let sum = try mount.bash("md5sum <buffers/all; df --output=avail . | tail -1")
                try Self.killServer(of: mount)
                let after = try mount.bash("md5sum <buffers/all; df --output=avail . | tail -1")
                #expect(after == sum)
                #expect(throws: Errno(ENOSPC)) { try mount.fill("more", pattern(65536)) }
            }
        }

        /// "The rights of an open file stay those of who opened it."
        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `commands keep the rights of the opener`() throws {
            try withMount(.best, "allow_other,umask=000,keeper") { mount in
                try mount.bash("echo 'roots 4K' > control/alloc")
                let child = try mount.startPython(
                    """
                    os.setgroups([12345])
                    os.setgid(65534)
                    os.setuid(65534)
                    alloc = os.open("control/alloc", os.O_WRONLY)
                    free = os.open("control/free", os.O_WRONLY)
                    os.write(alloc, b"one 4K\\nhal")
                    print("open", flush=True)
                    within(lambda: os.path.exists("buffers/go"), 30)
                    refused(errno.EPERM, os.write, free, b"roots\\n")
                    os.write(alloc, b"ves 4K\\n")
                    assert os.stat("buffers/halves").st_size == 4096
                    assert os.stat("buffers/halves").st_uid == 65534
                    os.write(free, b"halves\\n")
                    """)
                #expect(holds { child.textSoFar.contains("open") })
                try Self.killServer(of: mount)
                try mount.bash("echo 'go 4K' > control/alloc")
                let output = try child.wait(within: .seconds(30))
                #expect(output.status == 0, "\(output.error)")
                #expect(exists(mount.path("buffers/roots")))
            }
        }

        /// What a signal counts, whom it notifies, and when its timer ends goes on.
        @Test func `signals go on`() throws {
            try withMount(.best, "keeper") { mount in
                try mount.python(
                    """
                    put("control/signal", "go software\\ntick timer period=50ms\\n")
                    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
                    def take(count):
                        for _ in range(count):
                            assert signal.sigtimedwait({signal.SIGRTMIN}, 10)
                    put("signals/go/notify", f"{os.getpid()} SIGRTMIN\\n")
                    put("signals/go/trigger", "5")
                    take(5)
                    """ + Self.killing(mount)
                        + """

                        assert get("signals/go/count") == "5\\n"
                        assert get("signals/go/notify").startswith(f"{os.getpid()} ")
                        put("signals/go/trigger", "2")
                        take(2)
                        count = int(get("signals/tick/count"))
                        within(lambda: int(get("signals/tick/count")) > count + 2)
                        assert int(get("signals/tick/missed")) < 100
                        """)
            }
        }

        /// Python that kills the server and waits for the next.
        private static func killing(_ mount: Mount) -> String {
            """

            def server():
                found = get("/proc/\(mount.server.pid)/task/\(mount.server.pid)/children").split()
                return int(found[0]) if found else 0
            old = server()
            os.kill(old, signal.SIGKILL)
            within(lambda: server() not in (0, old))
            """
        }

        /// "Bind mounts of a kept tree stay."
        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `a bind mount of the tree stays`() throws {
            try withMount(.best, "keeper") { mount in
                try mount.bash("mkdir ../bound && mount --bind buffers ../bound")
                defer { _ = try? mount.bash("umount ../bound") }
                try Self.killServer(of: mount)
                try mount.bash("echo here > ../bound/rx && grep -q here buffers/rx")
            }
        }

        @Test func `a keeper has no use for io_uring or for what is no memory device`() throws {
            let failure = try #require(throws: CommandFailure.self) {
                _ = try Mount(.served, ["keeper,io_uring"])
            }
            #expect(failure.description.contains("requests on an io_uring end with the server"))
            let output = try Child(
                [Machine.devfs, "mount", "-o", "keeper", "/dev/devfs/host", "/mnt"]
            ).wait(within: .seconds(20))
            #expect(output.status == 1)
            #expect(output.error.contains("it keeps memory devices alone"))
        }
    }
}
