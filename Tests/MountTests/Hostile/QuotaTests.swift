import Glibc
import Testing

extension MountTests {
    /// SECURITY.md, promise 3: "He uses no more of the server, the device and the kernel than a
    /// stated quota", and the others are left theirs.
    @Suite(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
    struct HostileQuotas {
        /// Takes what it can get of something, as a user; then another user and root get theirs.
        private func exhaust(
            _ option: String, _ setUp: String = "", take: String, errno: String, limit: Int,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            try withMount(.best, Users.options, option) { mount in
                try mount.users(
                    "LIMIT = \(limit)\n" + setUp + """

                        def take(number):
                            \(take)
                        def attack(ready):
                            kept = []
                            try:
                                for number in range(LIMIT + 10):
                                    kept.append(take(number))
                            except OSError as error:
                                assert error.errno == errno.\(errno), error
                            assert len(kept) == LIMIT, len(kept)
                            ready()
                        attacker = hold(attack)
                        user(lambda: take(1000), B)
                        for number in range(LIMIT + 5):
                            take(2000 + number)
                        assert "user      65534: " in get("status")
                        metric = next(line for line in open("metrics") if 'uid="65534"' in line)
                        assert metric.startswith("devfs_user_resource{"), metric
                        end(attacker)
                        """, sourceLocation: sourceLocation)
            }
        }

        @Test func `buffers`() throws {
            try exhaust(
                "quota_buffers=5", take: #"return put("control/alloc", f"b{number} 4K\n")"#,
                errno: "EDQUOT", limit: 5)
        }

        @Test func `bytes, by whatever call`() throws {
            try withMount(.served, Users.options, "quota_bytes=1M") { mount in
                try mount.users(
                    """
                    def attack():
                        put("control/alloc", "a 1M\\n")
                        refused(errno.EDQUOT, put, "control/alloc", "b 4K\\n")
                        fd = os.open("buffers/c", os.O_CREAT | os.O_RDWR)
                        refused(errno.EDQUOT, os.ftruncate, fd, 4096)
                        refused(errno.EDQUOT, os.posix_fallocate, fd, 0, 4096)
                        refused(errno.EDQUOT, os.pwrite, fd, b"x", 0)
                        refused(errno.EDQUOT, put, "attributes/c/size", "4K\\n")
                        os.truncate("buffers/a", 4096)
                        os.pwrite(fd, b"x" * 4096, 0)
                        os.unlink("buffers/a")
                        os.ftruncate(fd, 1 << 20)
                    user(attack, A)
                    user(lambda: put("control/alloc", "d 1M\\n"), B)
                    put("control/alloc", "e 8M\\n")
                    assert "quota_bytes=" in get("control/log")
                    """)
            }
        }

        /// "Of the buffers that a user removed, those count that somebody still has."
        @Test(arguments: Mode.here)
        func `removed buffers count as long as somebody has them`(_ mode: Mode) throws {
            try withMount(mode, Users.options, "quota_bytes=4M") { mount in
                try mount.users(
                    """
                    import mmap
                    def cannot(name):
                        refused(errno.EDQUOT, put, "control/alloc", f"{name} 4K\\n")
                    def can(name):
                        # The kernel tells a little later.
                        until = time.monotonic() + 10
                        while True:
                            try:
                                return put("control/alloc", f"{name} 4M\\n")
                            except OSError as error:
                                assert error.errno == errno.EDQUOT and time.monotonic() < until, error
                                time.sleep(0.01)
                    def attack():
                        can("a")
                        fd = give("buffer a")
                        copy = os.dup(fd)
                        os.unlink("buffers/a")
                        cannot("b")
                        os.close(fd)
                        cannot("b")
                        os.close(copy)
                        can("b")
                        # A mapping keeps it, too.
                        fd = give("buffer b ro")
                        put("control/free", "b\\n")
                        cannot("c")
                        memory = mmap.mmap(fd, 4096, prot=mmap.PROT_READ)
                        os.close(fd)
                        cannot("c")
                        memory.close()
                        can("c")
                        if "passthrough yes" in get("features"):
                            # A mapping is all that is left.
                            fd = os.open("buffers/c", os.O_RDWR)
                            memory = mmap.mmap(fd, 4096)
                            os.close(fd)
                            os.unlink("buffers/c")
                            cannot("d")
                            memory.close()
                            can("c")
                        os.unlink("buffers/c")
                        can("e")
                    user(attack, A)
                    assert "buffers 1/" in get("status"), get("status")
                    os.unlink("buffers/e")
                    assert "buffers 1/" not in get("status"), get("status")
                    """)
            }
        }

        /// Nobody takes more from the others than he could have had.
        @Test func `a length without memory is not counted`() throws {
            try withMount(.best, Users.options, "quota_bytes=4M") { mount in
                try mount.users(
                    """
                    def attack(ready):
                        for number in range(20):
                            put("control/alloc", f"a{number} 4K\\n")
                            fd = give(f"buffer a{number}")
                            os.ftruncate(fd, 1 << 60)
                            # The server looks at its size.
                            for call in (lambda: os.truncate(f"buffers/a{number}", (1 << 60) + 4096),
                                         lambda: put(f"attributes/a{number}/size", "4K\\n"),
                                         lambda: os.truncate(f"buffers/a{number}", 8192)):
                                try: call()
                                except OSError: pass
                        ready()
                    attacker = hold(attack, A)
                    user(lambda: put("control/alloc", "b 4M\\n"), B)
                    assert "bytes 4194304/4194304" in get("status"), get("status")
                    end(attacker)
                    """)
            }
        }

        /// An administrator always finds something left.
        @Test func `users leave a part of the device to root`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    """
                    def attack():
                        for number in range(100):
                            put("control/alloc", f"b{number} 1M\\n")
                    def exhaust():
                        try:
                            attack()
                        except OSError as error:
                            assert error.errno in (errno.EDQUOT, errno.ENOSPC), error
                        else:
                            raise AssertionError("never refused")
                    user(exhaust, A)
                    put("control/alloc", "roots 2M\\n")
                    """)
            }
        }

        @Test func `open files`() throws {
            try exhaust(
                "quota_files=50", take: #"return os.open("version", os.O_RDONLY)"#,
                errno: "EMFILE", limit: 50)
        }

        @Test func `signals, timers among them`() throws {
            try exhaust(
                "quota_signals=5",
                take: #"return put("control/signal", f"t{number} timer period=1s\n")"#,
                errno: "EDQUOT", limit: 5)
        }

        @Test func `streams`() throws {
            try exhaust(
                "quota_streams=3",
                take:
                    #"return [put("control/alloc", f"b{number} 8K\n"), put("control/stream", f"s{number} buffer=b{number} period=4K source=pattern\n")]"#,
                errno: "EDQUOT", limit: 3)
        }

        @Test func `notifications`() throws {
            try exhaust(
                "quota_notifications=4", #"put("control/signal", "go software\n")"#,
                take: #"return put("signals/go/notify", f"{os.getpid()} {34 + number % 30}\n")"#,
                errno: "EDQUOT", limit: 4)
        }

        @Test func `texts that are open share what they show`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    """
                    server = next(int(line.split()[-1]) for line in open("status") if "pid" in line)
                    def size():
                        return next(int(line.split()[1]) for line in open(f"/proc/{server}/status")
                                    if line.startswith("VmRSS"))
                    def noise():
                        for _ in range(300):
                            try:
                                put("control/alloc", "x" * 250 + "\\n")
                            except OSError:
                                pass
                    user(noise)
                    before = size()
                    def attack():
                        fds = [os.open("control/log", os.O_RDONLY) for _ in range(900)]
                        for fd in fds:
                            assert len(os.read(fd, 1 << 20)) > 50000
                        assert size() - before < 20000, (before, size())
                    user(attack)
                    """)
            }
        }

        @Test func `a text that two open files share is paid for until both are closed`() throws {
            try withMount(.best, Users.options + ",quota_text=8000") { mount in
                try mount.users(
                    """
                    def attack():
                        for number in range(60):
                            put("control/alloc", f"b{number} 4K\\n")
                        def opened():
                            fd = os.open("control/alloc", os.O_RDONLY)
                            return fd, len(os.read(fd, 1 << 20))
                        (first, count), (second, _) = opened(), opened()
                        assert 4000 < count <= 8000, count
                        os.close(first)
                        time.sleep(0.2)
                        put("control/alloc", "last 4K\\n")
                        refused(errno.ENOMEM, opened)
                        os.close(second)
                        time.sleep(0.2)
                        os.close(opened()[0])
                    user(attack)
                    """)
            }
        }

        /// "when it is full, the user who has most of them loses his oldest"
        @Test func `noise of one user hides nothing of another's`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    """
                    user(lambda: refused(errno.EINVAL, put, "control/alloc", "evidence\\n"), B)
                    def noise():
                        for number in range(400):
                            refused(errno.EINVAL, put, "control/alloc", f"noise{number}\\n")
                    user(noise, A)
                    log = get("control/log").splitlines()
                    assert len(log) == 256 and 'command="evidence"' in log[0], (len(log), log[0])
                    assert "noise399" in log[-1]
                    """)
            }
        }

        /// "eventfds and pipes from the socket ... `EUSERS`"
        @Test func `eventfds beyond the quota are refused, and those given back are free`() throws {
            try withMount(.best, Users.options, "quota_counters=2") { mount in
                try mount.users(
                    """
                    def attack():
                        put("control/signal", "go software\\n")
                        with connect() as peer:
                            assert [ask(peer, "signal go")[0] for _ in range(2)] == ["ok", "ok"]
                            answer = ask(peer, "signal go")[0]
                            assert answer.startswith("error EUSERS "), answer
                        # The server hears of it a little later.
                        until = time.monotonic() + 10
                        while True:
                            with connect() as peer:
                                answer = ask(peer, "signal go")[0]
                            if answer == "ok":
                                break
                            assert time.monotonic() < until, answer
                            time.sleep(0.01)
                    user(attack, A)
                    """)
            }
        }

        /// "Administrators have one of their own."
        @Test func `connections of others do not shut root out`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    """
                    put("control/alloc", "rx 4K\\n")
                    def attack(ready):
                        peers = []
                        for _ in range(100):
                            try:
                                peers.append(connect())
                            except OSError as error:
                                # Who floods the socket is kept from it.
                                assert error.errno == errno.EACCES, error
                        answers = 0
                        for peer in peers:
                            try:
                                answers += ask(peer, "buffer rx")[0] == "ok"
                            except OSError:
                                pass
                        assert answers == 32, answers
                        ready()
                    attacker = hold(attack)
                    user(lambda: os.close(give("buffer rx")), B)
                    for _ in range(40):
                        os.close(give("buffer rx"))
                    end(attacker)
                    """)
            }
        }
    }
}
