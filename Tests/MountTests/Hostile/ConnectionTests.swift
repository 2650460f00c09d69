import Testing

extension MountTests {
    /// Whose connection an answer goes to.
    @Suite(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
    struct HostileConnection {
        /// SECURITY.md, promise 1: a request has the rights of who made the connection that it came by.
        /// A peer that takes no answers is closed in the middle of his requests, and the number of
        /// his descriptor is the next connection's.
        @Test func `the rest of a closed connection's requests are nobody's`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    """
                    for name, uid in (("a", A), ("b", B)):
                        put("control/alloc", f"{name} 4K\\n")
                        os.chmod(f"buffers/{name}", 0o600), os.chown(f"buffers/{name}", uid, uid)

                    def attack(ready):
                        ready()
                        while True:
                            try:
                                with connect() as peer:
                                    peer.shutdown(socket.SHUT_RD)
                                    # The last of them is refused to A, and given to B.
                                    peer.sendall(b"buffer a\\n" * 8 + b"buffer b\\n" * 16)
                                    try:
                                        peer.recv(1)
                                    except OSError:
                                        pass
                            except OSError as error:
                                # The queue of new connections is full, or he has too many.
                                assert error.errno in (
                                    errno.EAGAIN, errno.EACCES, errno.EPIPE, errno.ECONNRESET), error

                    def listen():
                        # Asks for nothing, and is to get nothing.
                        until = time.monotonic() + 4
                        connections = 0
                        while time.monotonic() < until:
                            try:
                                peer = connect()
                            except (BlockingIOError, PermissionError):
                                # His own are not closed as fast as he makes them.
                                continue
                            with peer:
                                peer.settimeout(0.001)
                                connections += 1
                                try:
                                    answer, fds, *_ = socket.recv_fds(peer, 1000, 4)
                                except TimeoutError:
                                    continue
                                # As above.
                                if b"EUSERS" in answer and not fds:
                                    continue
                                raise AssertionError((connections, answer, fds))
                        assert connections > 100, connections

                    attackers = [hold(attack) for _ in range(3)]
                    try:
                        user(listen, B)
                    finally:
                        for attacker in attackers:
                            end(attacker)
                    """)
            }
        }

        /// docs/reference/socket.md: "A descriptor comes with a whole request, in one message."
        ///
        /// The peer's own end of a connection, kept by the server, would keep that connection open for
        /// ever.
        @Test func `a connection that is given its own other end is closed`() throws {
            try withMount(.best, Users.options) { mount in
                try mount.users(
                    """
                    put("control/alloc", "rx 4K\\n")
                    def attack():
                        for _ in range(64):
                            with connect() as peer:
                                try:
                                    socket.send_fds(peer, [b"import x"], [peer.fileno()])
                                    assert b"whole request" in peer.recv(1000)
                                except (ConnectionResetError, BrokenPipeError):
                                    pass
                        # His connections are not used up.
                        os.close(give("buffer rx"))
                    user(attack, A)
                    until = time.monotonic() + 10
                    while "connections " in get("status") and time.monotonic() < until:
                        time.sleep(0.01)
                    assert "connections " not in get("status"), get("status")
                    """)
            }
        }
    }
}
