import Glibc
import Testing

extension MountTests {
    /// Descriptors and mappings are as many after as before.
    @Suite struct Leaks {
        @Test(arguments: Mode.here)
        func `200 rounds of everything leave the server's descriptors and mappings as they were`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                try rounds(mount, 20)
                let before = counts(mount)
                // The counters see a leak: a buffer that is open holds a descriptor.
                try mount.alloc("held 64K")
                let held = try mount.open("buffers/held")
                try mount.python(
                    """
                    s = socket.socket(socket.AF_UNIX)
                    s.connect(get("control/socket").strip())
                    """)
                #expect(holds { counts(mount).descriptors > before.descriptors })
                held.close()
                try mount.bash("rm buffers/held")
                #expect(holds { counts(mount).descriptors <= before.descriptors })

                try rounds(mount, 200)
                #expect(
                    holds { counts(mount).descriptors <= before.descriptors },
                    "\(counts(mount)) after \(before)")
                // Stacks and arenas of libfuse's threads come at any time.
                #expect(
                    holds { counts(mount).buffers <= before.buffers },
                    "\(counts(mount)) after \(before)")
                #expect(counts(mount).mappings <= before.mappings + 40)
                #expect(try mount.value("control/heaps/system/used") == "0")
            }
        }

        private struct Counts: Equatable {
            var descriptors: Int
            var mappings: Int
            /// Mappings of the device's memory.
            var buffers: Int
        }

        private func counts(_ mount: Mount) -> Counts {
            let process = "/proc/\(mount.server.pid)"
            let maps = (try? text(of: process + "/maps"))?.split(separator: "\n") ?? []
            return Counts(
                descriptors: names(in: process + "/fd").count, mappings: maps.count,
                buffers: maps.count { $0.contains("/data/") || $0.contains("/buffers/") })
        }

        private func rounds(_ mount: Mount, _ count: Int) throws {
            try mount.python(
                """
                for n in range(int(sys.argv[1])):
                    put("control/alloc", "a 64K\\nb 64K heap=contiguous\\n")
                    fd = os.open("buffers/a", os.O_RDWR)
                    os.pwrite(fd, b"x" * 100000, 0)
                    os.pread(fd, 100000, 0)
                    try:
                        with mmap.mmap(fd, 65536) as memory: memory[0] = 1
                    except OSError: pass
                    os.close(os.open("buffers/b", os.O_RDONLY))
                    os.close(os.open("buffers/c", os.O_RDWR | os.O_CREAT))
                    put("control/signal", "s software\\n")
                    put("control/stream", "t buffer=b period=4K source=s\\n")
                    data = os.open("streams/t/data", os.O_RDONLY | os.O_NONBLOCK)
                    wait = os.open("signals/s/wait", os.O_RDONLY | os.O_NONBLOCK)
                    put("signals/s/notify", f"{os.getpid()} SIGCHLD")
                    put("signals/s/trigger", "3")
                    os.read(data, 4096), os.read(wait, 100)
                    select.select([data, wait], [], [], 0)
                    refused(errno.EINVAL, put, "control/alloc", "bad")
                    os.close(data), os.close(wait)
                    put("control/stream", "t remove\\n")
                    put("control/signal", "s remove\\n")
                    os.unlink("buffers/a"), os.close(fd)
                    os.rename("buffers/b", "buffers/c")
                    put("control/free", "c\\n")
                    get("metrics"), get("status"), os.listdir("attributes")
                """, "\(count)", within: .seconds(40))
            #expect(holds { names(in: mount.path("buffers")).isEmpty })
        }
    }

    /// Costs stay flat from 1 to 100,000 buffers: here only that ten thousand work.
    @Suite struct Many {
        @Test func `ten thousand buffers are made, listed, found, adopted and freed`() throws {
            try withMount(.best, "size=128M") { mount in
                try mount.python(
                    """
                    for start in range(0, 10000, 1000):
                        text = "".join(f"b{n} 4k\\n" for n in range(start, start + 1000))
                        assert put("control/alloc", text) == len(text)
                    assert len(os.listdir("buffers")) == len(os.listdir("attributes")) == 10000
                    assert len(get("control/alloc").splitlines()) == 10000
                    fd = os.open("buffers/b7777", os.O_RDWR)
                    os.pwrite(fd, b"here", 0)
                    assert len({entry.inode() for entry in os.scandir("buffers")}) == 10000
                    """)
                try mount.stop(SIGKILL)
                try mount.start()
                try mount.python(
                    """
                    assert len(os.listdir("buffers")) == 10000
                    assert os.pread(os.open("buffers/b7777", os.O_RDONLY), 4, 0) == b"here"
                    put("control/free", "".join(f"b{n}\\n" for n in range(5000)))
                    for n in range(5000, 10000): os.unlink(f"buffers/b{n}")
                    assert os.listdir("buffers") == []
                    """)
                #expect(holds { (try? mount.value("control/heaps/system/used")) == "0" })
            }
        }
    }
}
