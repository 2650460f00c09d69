import Glibc
import Testing

extension MountTests {
    /// "Write `PID SIGNAL [VALUE]`: from now on each event sends that process the signal by
    /// `sigqueue`, `si_value` = VALUE (a 32-bit integer, default: the event's number)."
    @Suite struct Notify {
        /// `expect(signal)` waits for one and gives (si_code, si_value).
        private static let receiver = """
            def block(*numbers):
                signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

            def expect(number, seconds=10):
                info = (ctypes.c_char * 128)()
                mask = (1 << (number - 1)).to_bytes(128, "little")
                left = struct.pack("qq", seconds, 0)
                got = checked(lib.sigtimedwait(mask, info, left))
                assert got == number
                code, = struct.unpack_from("i", info, 8)
                value, = struct.unpack_from("i", info, 24)
                return code, value

            SI_QUEUE = -1
            put("control/signal", "go software\\n")
            notify, trigger = "signals/go/notify", "signals/go/trigger"
            me = os.getpid()

            """

        @Test func `each event is a POSIX signal that carries the value`() throws {
            try withMount { mount in
                try mount.python(
                    Self.receiver + """
                        for name, number in (("SIGUSR1", 10), ("USR2", 12), ("SIGRTMIN+3", 37),
                                             ("RTMIN+4", 38), ("50", 50)):
                            block(number)
                            put(notify, f"{me} {name} 1234\\n")
                            for _ in range(3):
                                put(trigger, "1")
                                assert expect(number) == (SI_QUEUE, 1234), name
                            put(notify, f"{me} off\\n")
                            assert get(notify) == ""
                        """)
            }
        }

        @Test func `without a value it is the event's number, and values are 32-bit integers`()
            throws
        {
            try withMount { mount in
                try mount.python(
                    Self.receiver + """
                        block(40)
                        put(notify, f"{me} 40")
                        put(trigger, "3")
                        assert [expect(40)[1] for _ in range(3)] == [1, 2, 3]
                        for value in 2147483647, -2147483648, -1, 0:
                            put(notify, f"{me} 40 {value}")
                            put(trigger, "1")
                            assert expect(40) == (SI_QUEUE, value)
                        for value in "2147483648", "x", "1.5", "1 2", "-2147483649":
                            refused(errno.EINVAL, put, notify, f"{me} 40 {value}")
                        """)
            }
        }

        @Test func `one registration a process and signal number, and a read shows them`() throws {
            try withMount { mount in
                try mount.python(
                    Self.receiver + """
                        block(41, 42)
                        put(notify, f"{me} 41 5\\n{me} 42 6\\n")
                        put(notify, f"{me} 41 7\\n")
                        assert len(get(notify).splitlines()) == 2, get(notify)
                        assert all(line.startswith(f"{me} ") for line in get(notify).splitlines())
                        put(trigger, "1")
                        assert expect(41)[1] == 7 and expect(42)[1] == 6
                        refused(errno.EAGAIN, expect, 41, 0)
                        put(notify, f"{me} off")
                        assert get(notify) == ""
                        put(trigger, "1")
                        refused(errno.EAGAIN, expect, 42, 0)
                        """)
            }
        }

        @Test func `wrong lines are EINVAL and a process that is not there ESRCH`() throws {
            try withMount { mount in
                try mount.python(
                    Self.receiver + """
                        for line in ("", "x", f"{me}", f"{me} SIGNOTHING", f"{me} 0", f"{me} 65",
                                     f"{me} -1", "-1 USR1", "0 USR1", f"{me} USR1 1 1",
                                     f"{me} SIGRTMIN+99", "99999999999999999999 USR1"):
                            refused(errno.EINVAL, put, notify, line + "\\n")
                        child = os.posix_spawn("/bin/true", ["true"], {})
                        os.waitpid(child, 0)
                        refused(errno.ESRCH, put, notify, f"{child} USR1")
                        assert get(notify) == ""
                        """)
            }
        }

        @Test func `the registration ends with the process`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                let child = try mount.start("cat", "signals/go/wait")
                #expect(child.waitsOn("signals/go/wait"))
                try mount.put("\(child.pid) RTMIN+1\n", "signals/go/notify")
                #expect(try mount.value("signals/go/notify").hasPrefix("\(child.pid) "))
                child.signal(SIGKILL)
                try child.wait()
                #expect(holds { (try? text(of: mount.path("signals/go/notify"))) == "" })
                try mount.put("5", "signals/go/trigger")
                #expect(mount.server.runs)
            }
        }

        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `only for the caller's own processes: others are EPERM`() throws {
            try withMount(.best, "umask=000,allow_other") { mount in
                try mount.put("go software\n", "control/signal")
                let other = "setpriv --reuid 12345 --regid 12345 --clear-groups --"
                let victim = try mount.start("cat", "signals/go/wait")
                #expect(victim.waitsOn("signals/go/wait"))
                let refused = try mount.run(
                    "bash", "-c",
                    "\(other) bash -c 'echo \(victim.pid) USR1 > signals/go/notify'")
                #expect(refused.status != 0)
                #expect(refused.error.contains("Operation not permitted"))
                #expect(try mount.lastRefusal?.errno == "EPERM")
                #expect(try mount.lastRefusal?.uid == 12345)
                #expect(try text(of: mount.path("signals/go/notify")) == "")
                let script = """
                    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
                    put("signals/go/notify", f"{os.getpid()} USR1")
                    print("ready", flush=True)
                    assert signal.sigtimedwait([signal.SIGUSR1], 10).si_signo == signal.SIGUSR1
                    """
                let own = try Child(
                    other.split(separator: " ").map(String.init) + Python.command(script, []),
                    directory: mount.root)
                #expect(holds { own.textSoFar.contains("ready") || !own.runs })
                try mount.put("1", "signals/go/trigger")
                let output = try own.wait()
                #expect(output.status == 0, "\(output.error)")
                // Root has CAP_KILL.
                try mount.put("\(victim.pid) USR2\n", "signals/go/notify")
                try mount.put("1", "signals/go/trigger")
                #expect(try victim.wait().status == 128 + SIGUSR2)
            }
        }
    }
}
