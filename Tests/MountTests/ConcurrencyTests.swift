import Testing

extension MountTests {
    /// Many clients at once: each finds what it wrote, and nobody hangs.
    @Suite struct Concurrency {
        @Test(arguments: Mode.here)
        func `eight processes allocate, write, rename and free at once`(mode: Mode) throws {
            try withMount(mode) { mount in
                let script = """
                    me, random = sys.argv[1], __import__("random").Random(int(sys.argv[1]))
                    for n in range(60):
                        size = random.randrange(1, 50000)
                        heap = random.choice(["system", "contiguous"])
                        put("control/alloc", f"own{me} {size} heap={heap}\\n")
                        fd = os.open(f"buffers/own{me}", os.O_RDWR)
                        data = random.randbytes(size)
                        assert os.pwrite(fd, data, 0) == size
                        os.rename(f"buffers/own{me}", f"buffers/moved{me}")
                        assert get(f"attributes/moved{me}/size") == f"{size}\\n"
                        assert os.pread(fd, size + 1, 0) == data
                        os.listdir("buffers"), get("metrics"), os.statvfs(".")
                        refused(errno.EEXIST, put, "control/alloc", f"moved{me} 1\\n")
                        os.unlink(f"buffers/moved{me}")
                        assert os.pread(fd, size, 0) == data
                        os.close(fd)
                    """
                let clients = try (0..<8).map { try mount.startPython(script, "\($0)") }
                for client in clients {
                    let output = try client.wait(within: .seconds(40))
                    #expect(output.status == 0, "\(output.error)")
                }
                #expect(names(in: mount.path("buffers")).isEmpty)
                #expect(holds { (try? mount.value("control/heaps/system/used")) == "0" })
                #expect(try mount.value("control/heaps/contiguous/used") == "0")
            }
        }

        @Test(arguments: Mode.here)
        func `threads that write parts of one buffer leave all parts whole`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.python(
                    """
                    put("control/alloc", "rx 1M\\n")
                    def part(index):
                        fd = os.open("buffers/rx", os.O_RDWR)
                        for n in range(100):
                            for at in range(index * 1000, 1 << 20, 8000 * 16):
                                os.pwrite(fd, bytes([index, n]) * 500, at)
                                assert os.pread(fd, 1000, at) == bytes([index, n]) * 500
                    threads = [threading.Thread(target=part, args=(i,)) for i in range(8)]
                    for thread in threads: thread.start()
                    for thread in threads: thread.join()
                    with open("buffers/rx", "rb") as file: whole = file.read()
                    for index in range(8):
                        for at in range(index * 1000, 1 << 20, 8000 * 16):
                            want = (bytes([index, 99]) * 500)[:(1 << 20) - at]
                            assert whole[at:at + 1000] == want, (index, at)
                    """)
            }
        }

        @Test func `of those who make the same name one wins`() throws {
            try withMount { mount in
                let script = """
                    made = 0
                    for n in range(100):
                        try:
                            put("control/alloc", f"n{n} 4k\\n")
                            made += 1
                        except FileExistsError:
                            pass
                    print(made)
                    """
                let clients = try (0..<4).map { _ in try mount.startPython(script) }
                var made = 0
                for client in clients {
                    let output = try client.wait()
                    #expect(output.status == 0, "\(output.error)")
                    made += Int(output.text.dropLast()) ?? 0
                }
                #expect(made == 100)
                #expect(names(in: mount.path("buffers")).count == 100)
            }
        }

        @Test(arguments: Mode.here)
        func `growing writers never take more than the heap has`(mode: Mode) throws {
            try withMount(mode, "size=8M") { mount in
                let writers = try (0..<4).map { number in
                    try mount.start("dd", "if=/dev/zero", "of=buffers/w\(number)", "bs=32k")
                }
                for writer in writers {
                    let output = try writer.wait()
                    #expect(output.status == 1 && output.error.contains("No space left"))
                }
                var sum = 0
                for number in 0..<4 { sum += try mount.size("w\(number)") }
                #expect(sum <= 8 << 20 && sum > 7 << 20, "\(sum)")
                try mount.bash(
                    "rm buffers/w0 buffers/w1 buffers/w2 buffers/w3; echo 'a 7M' > control/alloc")
            }
        }
    }
}
