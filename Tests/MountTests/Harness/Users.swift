import Testing

/// Scripts in which several users meet on one mount, of which none trusts another.
enum Users {
    /// `user(BODY, UID)` runs a function as an ordinary user and has to succeed; `start` does not wait
    /// for it, and `hold` waits until it says that it is ready. `give(LINE)` is what the socket hands out; `latency(CALL)` the longest of some calls.
    static let prelude = """
        A, B = 65534, 65533

        def start(body, uid=A, groups=()):
            pid = os.fork()
            if pid:
                return pid
            try:
                signal.alarm(40)
                os.setgroups(groups), os.setgid(uid), os.setuid(uid)
                body()
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)

        def join(pid):
            assert os.waitpid(pid, 0)[1] == 0, "see above"

        def user(body, uid=A, groups=()):
            join(start(body, uid, groups))

        def hold(body, uid=A):
            # Runs until it is killed; back when `body` has called its argument.
            ready, told = os.pipe()
            def run():
                body(lambda: os.write(told, b"x"))
                signal.pause()
            pid = start(run, uid)
            os.close(told)
            assert os.read(ready, 1) == b"x", "see above"
            os.close(ready)
            return pid

        def end(pid):
            os.kill(pid, signal.SIGKILL), os.waitpid(pid, 0)

        def connect():
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(10)
            peer.connect(get("control/socket").strip())
            return peer

        def ask(peer, line):
            peer.sendall(line.encode() + b"\\n")
            answer, fds, *_ = socket.recv_fds(peer, 1000, 4)
            return answer.decode().strip(), fds

        def give(line):
            with connect() as peer:
                answer, fds = ask(peer, line)
            assert answer == "ok", answer
            return fds[0]

        def latency(call, count=20):
            longest = 0
            for _ in range(count):
                before = time.monotonic()
                call()
                longest = max(longest, time.monotonic() - before)
            return longest

        def look():
            os.stat("version")

        """

    /// Of a mount that everybody may use.
    static let options = "umask=000,allow_other,size=64M"
}

extension Mount {
    /// Runs a script with `Users.prelude` in the root of the mount; it has to succeed.
    func users(
        _ script: String, _ arguments: String..., within limit: Duration = .seconds(45),
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let output = try Child(
            Python.command(Users.prelude + script, arguments), directory: root
        ).wait(within: limit)
        #expect(
            output.status == 0, "\(output.text)\(output.error)", sourceLocation: sourceLocation)
    }
}
