import Glibc
import Testing

extension MountTests {
    /// "`devfs mount` of a device whose server died cleans the dead mount up and adopts all
    /// buffers: names, owners, modes, times, attributes, bytes", where it was killed in the middle
    /// of a `dd`, too.
    @Suite struct Kill {
        @Test(arguments: Mode.here)
        func `a kill in the middle of a dd loses nothing`(mode: Mode) throws {
            try withMount(mode, "size=32M") { mount in
                try mount.fill("other", pattern(2 << 20))
                try mount.alloc("fixed 64K heap=contiguous direction=to_device")
                try mount.fill("fixed", pattern(65536, seed: 3))
                try mount.bash(
                    """
                    chmod 640 buffers/other; touch -d '2001-02-03 UTC' buffers/fixed
                    mv buffers/fixed buffers/renamed
                    """)
                if Machine.isRoot { try mount.bash("chown 12345:54321 buffers/other") }
                let stat = "stat -c '%n %i %a %u %g %s %b %Y' buffers/other buffers/renamed"
                let before = try mount.bash(stat)
                let allocated = try mount.bash("grep -v ^rx control/alloc | sed 's/owner=[0-9]*//'")

                let writer = try mount.startPython(
                    """
                    fd, n = os.open("buffers/rx", os.O_RDWR | os.O_CREAT), 0
                    while n < 4000:
                        os.pwrite(fd, struct.pack("<I", n) * 1024, n * 4096)
                        n += 1
                        print(n, flush=True)
                    signal.pause()
                    """)
                #expect(holds { writer.textSoFar.split(separator: "\n").count > 100 })
                #expect(try mount.stop(SIGKILL).status == 128 + SIGKILL)
                #expect(throws: Errno(ENOTCONN)) { try mount.open("version", O_RDONLY) }
                #expect(throws: Errno(ENOTCONN)) { try mount.open("buffers/rx", O_RDONLY) }
                writer.signal(SIGKILL)
                // Those the writer was told of are there.
                let done =
                    try writer.wait().text.split(separator: "\n").last.flatMap { Int($0) } ?? 0
                #expect(done > 100)

                try mount.start()
                #expect(names(in: mount.path("buffers")) == ["other", "renamed", "rx"])
                let rx = try mount.contents("rx")
                #expect(rx.count >= done * 4096)
                for number in 0..<done {
                    let word = (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
                    let at = number * 4096
                    #expect(
                        Array(rx[at..<at + 4]) == word && Array(rx[at + 4092..<at + 4096]) == word)
                }
                #expect(try mount.bash(stat) == before)
                let kept = try mount.bash("grep -v ^rx control/alloc | sed 's/owner=[0-9]*//'")
                #expect(kept == allocated)
                #expect(try mount.contents("other") == pattern(2 << 20))
                #expect(try mount.contents("renamed") == pattern(65536, seed: 3))
                #expect(try mount.value("attributes/renamed/direction") == "to_device")
                #expect(names(in: mount.path("signals")).isEmpty)
                let mounts = try text(of: "/proc/self/mounts").split(separator: "\n")
                #expect(mounts.count(where: { $0.contains(" \(mount.root) ") }) == 1)
            }
        }

        @Test(.enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"))
        func `an open descriptor and a mapping keep working after the server was killed`() throws {
            try withMount(.passthrough) { mount in
                try mount.fill("rx", pattern(1 << 20))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                let mapping = try Mapping(file, count: 1 << 20)
                #expect(mapping.load(4096, at: 0) == Array(pattern(1 << 20).prefix(4096)))
                try mount.stop(SIGKILL)
                // Pages that were never touched, too.
                #expect(mapping.load(1 << 20, at: 0) == pattern(1 << 20))
                mapping.store([1, 2, 3], at: 700_000)
                #expect(try file.read(3, at: 700_000) == [1, 2, 3])
                try file.write([4, 5, 6], at: 300_000)
                #expect(mapping.load(3, at: 300_000) == [4, 5, 6])
                try mount.start()
                let contents = try mount.contents("rx")
                #expect(Array(contents[700_000..<700_003]) == [1, 2, 3])
                // The memory is the same: what is written there is seen here.
                try mount.fill("rx", [7, 8, 9], at: 500_000)
                #expect(mapping.load(3, at: 500_000) == [7, 8, 9])
            }
        }

        /// "Where passthrough is on, what is open goes on without the server: mappings (new ones
        /// and `msync` too), `read` and `write`."
        @Test(.enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"))
        func `what open descriptors can do without a server, and what they can't`() throws {
            try withMount(.passthrough) { mount in
                try mount.alloc("fixed 64K heap=contiguous")
                try mount.alloc("plain 64K")
                let client = try mount.startPython(
                    """
                    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
                    def open_all(name):
                        return [os.open("buffers/" + name, flags)
                                for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY)]
                    fixed, plain = open_all("fixed"), open_all("plain")
                    mapped = mmap.mmap(fixed[1], 65536)
                    print("ready", flush=True)
                    signal.sigwait([signal.SIGUSR1])
                    def gone(call, *arguments):
                        refused(errno.ENOTCONN, call, *arguments)
                    assert os.pread(fixed[0], 10, 0) == os.pread(plain[0], 10, 0) == bytes(10)
                    assert os.pwrite(plain[1], b"x", 0) == os.pwrite(plain[2], b"y", 1) == 1
                    assert os.pread(plain[1], 2, 0) == b"xy"
                    gone(os.pread, fixed[1], 10, 0)
                    gone(os.pwrite, fixed[1], b"x", 0)
                    gone(os.pwrite, fixed[2], b"x", 0)
                    mapped[5] = 7
                    mapped.flush()
                    assert os.pread(fixed[0], 1, 5) == b"\\7"
                    assert mmap.mmap(fixed[0], 4096, mmap.MAP_SHARED, mmap.PROT_READ)[5] == 7
                    for fd in fixed + plain:
                        assert os.lseek(fd, 4, os.SEEK_SET) == 4
                        fcntl.flock(fd, fcntl.LOCK_SH)
                        gone(os.fstat, fd)
                        gone(os.lseek, fd, 0, os.SEEK_END)
                        gone(os.lseek, fd, 0, os.SEEK_DATA)
                        gone(os.fsync, fd)
                        gone(os.fchmod, fd, 0o600)
                        gone(os.open, f"/proc/self/fd/{fd}", os.O_RDONLY)
                    for fd in fixed[1:] + plain[1:]:
                        gone(os.ftruncate, fd, 65536)
                        gone(os.posix_fallocate, fd, 0, 4096)
                    """)
                #expect(holds { client.textSoFar.contains("ready") || !client.runs })
                try mount.stop(SIGKILL)
                client.signal(SIGUSR1)
                let output = try client.wait()
                #expect(output.status == 0, "\(output.error)")
            }
        }

        @Test func `readers that wait are woken when the server is killed`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                let cat = try mount.start("cat", "signals/go/wait")
                #expect(cat.waitsOn("signals/go/wait"))
                try mount.stop(SIGKILL)
                #expect(try cat.wait(within: .seconds(5)).status != 0)
                try mount.start()
            }
        }

        @Test(arguments: Mode.here)
        func `eight kills, each in the middle of changes, leave whole buffers`(mode: Mode) throws {
            try withMount(mode) { mount in
                for round in 0..<8 {
                    let busy = try mount.startPython(
                        """
                        n = 0
                        while True:
                            n += 1
                            put("control/alloc", f"b{n % 7} 64K\\n") if not os.path.exists(
                                f"buffers/b{n % 7}") else None
                            os.rename(f"buffers/b{n % 7}", f"buffers/r{n % 5}")
                            os.truncate(f"buffers/r{n % 5}", 4096 * (n % 9 + 1))
                            if n % 3 == 0: os.unlink(f"buffers/r{n % 5}")
                            print(n, flush=True)
                        """)
                    #expect(
                        holds { busy.textSoFar.split(separator: "\n").count > 10 + round * 3 },
                        "\(busy.errorSoFar)")
                    try mount.stop(SIGKILL)
                    _ = try busy.wait()
                    try mount.start()
                    let buffers = names(in: mount.path("buffers"))
                    #expect(buffers == names(in: mount.path("attributes")))
                    for name in buffers {
                        let size = try mount.size(name)
                        #expect(try mount.contents(name) == zeros(size), "\(name)")
                    }
                }
                try mount.bash("rm -f buffers/*; [ \"$(cat control/heaps/system/used)\" = 0 ]")
                #expect(try mount.number("control/heaps/system/max") > 60 << 20)
            }
        }

        @Test func `a lease whose process ended while no server ran is freed at the next mount`()
            throws
        {
            try withMount { mount in
                let child = try mount.startPython(
                    """
                    put("control/alloc", "leased 4k lease=process\\nkept 4k\\n")
                    print("ready", flush=True)
                    signal.pause()
                    """)
                #expect(holds { child.textSoFar.contains("ready") })
                try mount.stop(SIGKILL)
                child.signal(SIGKILL)
                _ = try child.wait()
                try mount.start()
                #expect(holds { names(in: mount.path("buffers")) == ["kept"] })
            }
        }

        @Test func `a lease whose process still runs is kept over a kill`() throws {
            try withMount { mount in
                let child = try mount.startPython(
                    """
                    put("control/alloc", "leased 4k lease=process\\n")
                    print("ready", flush=True)
                    signal.pause()
                    """)
                #expect(holds { child.textSoFar.contains("ready") })
                try mount.stop(SIGKILL)
                try mount.start()
                #expect(try mount.number("attributes/leased/owner") == Int(child.pid))
                child.signal(SIGTERM)
                _ = try child.wait()
                #expect(holds { names(in: mount.path("buffers")).isEmpty })
            }
        }
    }
}
