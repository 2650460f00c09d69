import Glibc
import Testing

extension MountTests {
    /// SECURITY.md, promise 2: "nobody else's request waits longer for him than a stated time"
    @Suite(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
    struct HostileWaiting {
        /// A victim's calls may take this long, in seconds: what a busy machine makes of milliseconds.
        private static let bound = "BOUND = 1.0\n\n"

        /// A peer's TCP socket that lingers in close(2) when it is dropped.
        private static let linger = """
            def lingering():
                server = socket.socket()
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                server.bind(("127.0.0.1", 0)), server.listen(1)
                client = socket.socket()
                client.connect(server.getsockname())
                other, _ = server.accept()
                client.setblocking(False)
                try:
                    while True:
                        client.send(b"x" * 65536)
                except BlockingIOError:
                    pass
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
                client.setblocking(True)
                return client, server, other

            def events():
                before = int(get("signals/tick/count"))
                time.sleep(0.5)
                return int(get("signals/tick/count")) - before

            """

        /// "closes descriptors that a user gave | this user": a descriptor that the server drops
        /// keeps waiting who sent it alone.
        @Test(arguments: ["received", "several", "queued", "refused"])
        func `what a peer sends can't hold up timers, requests and other peers`(
            how: String
        ) throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    Self.bound + Self.linger + """
                        put("control/signal", "tick timer period=5ms\\n")
                        put("control/alloc", "rx 4K\\n")
                        quiet = events()
                        def attack(ready):
                            kept = [lingering() for _ in range(4)]
                            fds = [each[0].fileno() for each in kept]
                            null = os.open("/dev/null", os.O_RDONLY)
                            peers = [connect() for _ in range(40 if sys.argv[1] == "refused" else 2)]
                            # What a process sends and then leaves by its end is the server's alone.
                            hear, tell = os.pipe()
                            sender = os.fork()
                            if not sender:
                                os.read(hear, 1)
                                for peer in peers:
                                    given = {"received": fds[:1], "several": [null] + fds}
                                    try:
                                        socket.send_fds(
                                            peer, [b"x"], given.get(sys.argv[1], fds))
                                    except OSError:
                                        pass
                                os._exit(0)
                            for each in kept:
                                each[0].close()
                            os.write(tell, b"x")
                            os.waitpid(sender, 0)
                            if sys.argv[1] == "queued":
                                for peer in peers:
                                    peer.close()
                            ready()
                        attacker = hold(attack)
                        time.sleep(0.2)
                        assert latency(look) < BOUND
                        assert latency(lambda: os.close(give("buffer rx")), 5) < BOUND
                        other = start(lambda: os.close(give("buffer rx")), B)
                        join(other)
                        busy = events()
                        end(attacker)
                        assert busy * 2 > quiet, (busy, quiet)
                        """, how)
            }
        }

        /// An eventfd that the holder made blocking and filled holds up nobody but him.
        @Test func `an eventfd that is full and blocks keeps nobody waiting`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    Self.bound + """
                        put("control/signal", "go software\\n")
                        def attack(ready):
                            peer = connect()
                            answer, (fd,) = ask(peer, "signal go")
                            fcntl.fcntl(fd, fcntl.F_SETFL, 0)
                            os.write(fd, struct.pack("Q", 0xfffffffffffffffe))
                            ready()
                        attacker = hold(attack)
                        for count in "1", "1000", "1000000":
                            assert latency(lambda: put("signals/go/trigger", count), 3) < BOUND
                        assert latency(look) < BOUND
                        fd = give("signal go")
                        end(attacker)
                        """)
            }
        }

        /// "One write to `trigger` is one update for each listener, whatever the number in it."
        @Test func `a trigger of a million events costs what one does`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    Self.bound + """
                        def make():
                            for number in range(10):
                                put("control/signal", f"e{number} software\\n")
                        user(make)
                        def attack():
                            peers = [connect() for _ in range(2)]
                            fds = [ask(peers[n % 2], f"signal e{n % 10}")[1][0] for n in range(120)]
                            for _ in range(10):
                                for number in range(10):
                                    put(f"signals/e{number}/trigger", "1000000\\n")
                            for number, fd in enumerate(fds):
                                total = 0
                                while total < 10_000_000:
                                    # The last of it may come from the thread of its holder.
                                    assert select.select([fd], [], [], 10)[0], total
                                    total += struct.unpack("Q", os.read(fd, 8))[0]
                                assert total == 10_000_000, total
                        attacker = start(attack)
                        assert latency(look, 50) < BOUND
                        join(attacker)
                        """)
            }
        }

        /// Who opens `wait` and does not read costs an event nothing.
        @Test func `thousands of open files of a signal do not slow its timer`() throws {
            try withMount(.best, Users.options, "quota_files=20000") { mount in
                try mount.users(
                    Self.linger + """
                        import resource
                        put("control/signal", "tick timer period=1ms\\n")
                        quiet = events()
                        limit = min(15000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 500)
                        def attack(ready):
                            resource.setrlimit(
                                resource.RLIMIT_NOFILE,
                                (limit + 50, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
                            fds = [os.open("signals/tick/wait", os.O_RDONLY) for _ in range(limit)]
                            ready()
                        attacker = hold(attack)
                        busy = events()
                        end(attacker)
                        assert busy * 2 > quiet, (busy, quiet)
                        """)
            }
        }

        /// "Two users never have the same inode of a command file open, and so share no lock of the
        /// kernel."
        @Test(arguments: [
            "control/alloc", "control/stream", "signals/go/notify", "signals/go/trigger",
        ])
        func `a write from a page that never comes keeps nobody from a command file`(
            file: String
        ) throws {
            try withMount(.best, Users.options) { mount in
                try mount.put("go software\n", "control/signal")
                try mount.bash(
                    "timeout 40 \(Machine.python) \(Machine.package)/Tests/stalled-command.py "
                        + ". \(file)")
            }
        }
    }
}
