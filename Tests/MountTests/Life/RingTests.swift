import Glibc
import Testing

extension MountTests {
    /// "FUSE over io_uring. Off by default."
    @Suite struct Ring {
        private static let isOn =
            (try? text(of: "/sys/module/fuse/parameters/enable_uring"))?.hasPrefix("Y") ?? false

        @Test func `it is off unless asked for, and features says so`() throws {
            try withMount { mount in
                let line = try mount.bash("grep '^io_uring ' features")
                #expect(line.hasPrefix("io_uring no "))
            }
        }

        @Test(.enabled(if: isOn, "fuse's enable_uring is N"))
        func `with io_uring bytes and signals are the same`() throws {
            try withMount(.served, "io_uring") { mount in
                #expect(try mount.bash("grep '^io_uring ' features").hasPrefix("io_uring yes"))
                try mount.fill("rx", pattern(3 << 20))
                #expect(try mount.contents("rx") == pattern(3 << 20))
                // "With the mount option `io_uring` no read waits: `EAGAIN`, and `poll`".
                try mount.python(
                    """
                    put("control/signal", "go software\\n")
                    fd = os.open("signals/go/wait", os.O_RDONLY)
                    refused(errno.EAGAIN, os.read, fd, 100)
                    poll = select.poll()
                    poll.register(fd, select.POLLIN)
                    threading.Timer(0.05, put, ("signals/go/trigger", "1")).start()
                    assert poll.poll(10000) == [(fd, select.POLLIN)]
                    assert os.read(fd, 100).startswith(b"1 1 0 ")
                    """)
            }
        }

        /// Reads of `wait` don't wait there, so it has to be polled.
        @Test func `with io_uring there is no no_poll`() throws {
            let failure = try #require(throws: CommandFailure.self) {
                _ = try Mount(.served, ["io_uring,no_poll"])
            }
            #expect(failure.description.contains("mounting with io_uring and no_poll"))
        }

        @Test(.enabled(if: !isOn, "fuse's enable_uring is Y"))
        func `where the kernel does not have it, the mount works without and says why`() throws {
            let mount: Mount
            do {
                mount = try Mount(.served, ["io_uring"])
            } catch let failure as CommandFailure {
                // A libfuse before 3.18 can't be asked.
                #expect(failure.description.contains("io_uring"))
                return
            }
            defer { mount.tearDown() }
            let line = try mount.bash("grep '^io_uring ' features")
            #expect(line.hasPrefix("io_uring no ") && line.count > 15)
            try mount.fill("rx", pattern(100_000))
            #expect(try mount.contents("rx") == pattern(100_000))
        }
    }
}
