import Glibc
import Testing

extension MountTests {
    /// What a fresh attacker found, each as its kind.
    @Suite(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
    struct HostileAttack {
        /// SECURITY.md, promise 1: "signals only what is his"
        @Test func `a process that is the user's for a moment is not his to signal`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    """
                    ready, told = os.pipe()
                    pid = os.fork()
                    if not pid:
                        # As daemons are that open a user's files with his rights: real and saved are root's.
                        os.setegid(A), os.seteuid(A)
                        os.write(told, b"x"), signal.pause()
                    os.read(ready, 1)

                    def attack():
                        put("control/signal", "go software\\n")
                        refused(errno.EPERM, os.kill, pid, signal.SIGKILL)
                        refused(errno.EPERM, put, "signals/go/notify", f"{pid} KILL\\n")
                        # His own he may.
                        put("signals/go/notify", f"{os.getpid()} CONT\\n")
                    user(attack)
                    assert os.waitpid(pid, os.WNOHANG)[0] == 0
                    end(pid)
                    """)
            }
        }

        /// SECURITY.md, promise 2: nobody waits for another user's commands.
        @Test func `a megabyte of commands to each file keeps nobody waiting`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    """
                    import threading
                    def attack(ready):
                        def run(number):
                            one = b"b%d timer period=1s\\nb%d remove\\n" % (number, number)
                            fd = os.open("control/signal", os.O_WRONLY)
                            while True:
                                try:
                                    os.write(fd, one * (2**20 // len(one)))
                                except OSError as error:
                                    assert error.errno == errno.EBUSY, error
                        for number in range(12):
                            threading.Thread(target=run, args=(number,), daemon=True).start()
                        time.sleep(0.5)
                        ready()
                    attacker = hold(attack)
                    slow = latency(look, 100)
                    end(attacker)
                    assert slow < 5, slow
                    # What he left is given up soon, as nobody waits for it.
                    until = time.monotonic() + 20
                    while "65534: " in get("status") and time.monotonic() < until:
                        time.sleep(0.1)
                    assert "requests" not in get("status"), get("status")
                    """)
            }
        }

        /// SECURITY.md, promise 3, `text`: what the server keeps for open files.
        @Test func `lists that open directories keep are paid for`() throws {
            try withMount(.best, Users.options, "quota_text=64K") { mount in
                try mount.users(
                    """
                    for number in range(1000):
                        put("control/alloc", f"b{number} 4K\\n")
                    def attack():
                        kept = []
                        try:
                            for number in range(100):
                                kept.append(os.open("buffers", os.O_RDONLY))
                                os.listdir(kept[-1])
                            assert False, "not refused"
                        except OSError as error:
                            assert error.errno == errno.ENOMEM, error
                        assert len(kept) <= 3, len(kept)
                        for fd in kept:
                            os.close(fd)
                        assert len(os.listdir("buffers")) == 1000
                    user(attack)
                    assert len(os.listdir("buffers")) == 1000
                    """)
            }
        }

        /// What was opened for one's own buffer is not kept for another's.
        @Test func `who gave a buffer away neither starts its stream again nor leases it`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    """
                    back, ready = os.pipe()
                    go, told = os.pipe()
                    def maker():
                        put("control/alloc", "rx 8K\\n"), os.chmod("buffers/rx", 0o600)
                        put("control/stream", "s buffer=rx period=4K source=pattern rate=1K\\n")
                        lease = os.open("attributes/rx/lease", os.O_WRONLY)
                        enable = os.open("streams/s/enable", os.O_WRONLY)
                        os.write(ready, b"x"), os.read(go, 1)
                        refused(errno.EPERM, os.write, lease, b"process\\n")
                        os.write(enable, b"0\\n")
                        refused(errno.EACCES, os.write, enable, b"1\\n")
                    pid = start(maker)
                    os.read(back, 1)
                    os.chown("buffers/rx", B, B)
                    os.write(told, b"x"), join(pid)
                    assert get("attributes/rx/lease") == "none\\n"
                    """)
            }
        }
    }
}
