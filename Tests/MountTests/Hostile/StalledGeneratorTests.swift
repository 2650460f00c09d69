import Glibc
import Testing

extension MountTests {
    /// One thread fills all streams of `source=pattern`, and nobody can keep it from the others.
    @Suite struct StalledGenerator {
        /// Threads of the server that fill streams.
        private func threads(_ mount: Mount) -> Int {
            let tasks = "/proc/\(mount.server.pid)/task"
            return names(in: tasks).count {
                (try? text(of: "\(tasks)/\($0)/comm")) == "devfs-pattern\n"
            }
        }

        private func descriptors(_ mount: Mount) -> Int {
            names(in: "/proc/\(mount.server.pid)/fd").count
        }

        /// "One thread fills the streams of all generators"
        @Test func `any number of generators costs one thread and a descriptor`() throws {
            try withMount { mount in
                let count = 40
                for number in 0..<count {
                    try mount.alloc("b\(number) 16K")
                    try mount.put("n\(number) software\n", "control/signal")
                }
                func make(_ source: (Int) -> String) throws {
                    for number in 0..<count {
                        try mount.put(
                            "s\(number) buffer=b\(number) period=4K source=\(source(number))\n",
                            "control/stream")
                        try mount.put("1\n", "streams/s\(number)/enable")
                    }
                }
                func remove() throws {
                    for number in 0..<count {
                        try mount.put("s\(number) remove\n", "control/stream")
                    }
                }
                try make { "n\($0)" }
                #expect(threads(mount) == 0)
                let before = descriptors(mount)
                try remove()
                try make { _ in "pattern" }
                #expect(threads(mount) == 1)
                #expect(descriptors(mount) <= before + 2)
                for number in 0..<count {
                    #expect(holds { (try? mount.value("streams/s\(number)/overruns")) != "0" })
                }
                try remove()
                #expect(holds { threads(mount) == 0 })
            }
        }

        /// Writes the mount's buffers from a page that never comes: the kernel holds their locks.
        private static let staller = """
            libc = ctypes.CDLL(None, use_errno=True)
            fault = checked(libc.syscall(323, os.O_CLOEXEC))
            fcntl.ioctl(fault, 0xC018AA3F, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))
            page = mmap.mmap(-1, 4096)
            address = ctypes.addressof(ctypes.c_char.from_buffer(page))
            fcntl.ioctl(fault, 0xC020AA00, bytearray(struct.pack("QQQQ", address, 4096, 1, 0)))

            def stall(name):
                file = os.open(name, os.O_RDWR)
                libc.pwrite(file, ctypes.c_void_p(address), 4096, 0)

            for name in sys.argv[1:]:
                threading.Thread(target=stall, args=[name], daemon=True).start()
            # One more byte waits for the same lock: it is held.
            for name in sys.argv[1:]:
                def behind():
                    time.sleep(0.2)
                    os.pwrite(os.open(name, os.O_RDWR), b"x", 0)
                thread = threading.Thread(target=behind, daemon=True)
                thread.start()
                thread.join(0.5)
                assert thread.is_alive(), "nothing stalls"
            print("ok", flush=True)
            signal.pause()
            """

        @Test(
            .enabled(
                if: Machine.isRoot && Machine.whyNoPassthrough == nil && Machine.hasPython,
                "needs root and passthrough"))
        func `a buffer whose lock a client holds stalls its own stream alone`() throws {
            try withMount(.passthrough) { mount in
                for name in ["a", "b", "c", "d"] {
                    try mount.alloc("\(name) 64K")
                    try mount.put(
                        "\(name) buffer=\(name) period=4K source=pattern rate=1M\n",
                        "control/stream")
                }
                let staller = try mount.startPython(Self.staller, "buffers/a", "buffers/b")
                defer { staller.signal(SIGKILL) }
                #expect(holds { staller.textSoFar.contains("ok") })
                for name in ["a", "b", "c", "d"] { try mount.put("1\n", "streams/\(name)/enable") }
                // Each has a thread to itself, and one goes on with the others.
                #expect(holds { threads(mount) == 3 })
                for name in ["c", "d"] {
                    let lost = try mount.number("streams/\(name)/overruns")
                    #expect(
                        holds {
                            ((try? mount.number("streams/\(name)/overruns")) ?? 0) > lost + 100
                        })
                }
                #expect(try mount.value("streams/a/available") == "0")
                #expect(try mount.value("streams/b/available") == "0")
                let began = ContinuousClock.now
                for name in ["a", "c"] { try mount.put("\(name) remove\n", "control/stream") }
                #expect(ContinuousClock.now - began < .seconds(2))
                staller.signal(SIGKILL)
                #expect(holds { threads(mount) == 1 })
                #expect(holds { (try? mount.value("streams/b/overruns")) != "0" })
                for name in ["b", "d"] { try mount.put("\(name) remove\n", "control/stream") }
                #expect(holds { threads(mount) == 0 })
            }
        }
    }
}
