import Testing

extension MountTests {
    /// "`poll`: `POLLIN` when a line is there. ... When the signal is removed: `ENODEV`, and
    /// `POLLHUP`."
    @Suite struct Poll {
        @Test func `poll, select and epoll see an event, and nothing once it is read`() throws {
            try withMount { mount in
                try mount.python(
                    """
                    put("control/signal", "go software\\n")
                    fd = os.open("signals/go/wait", os.O_RDONLY | os.O_NONBLOCK)
                    poll, epoll = select.poll(), select.epoll()
                    poll.register(fd, select.POLLIN)
                    epoll.register(fd, select.EPOLLIN)
                    for n in range(5):
                        assert poll.poll(0) == []
                        assert select.select([fd], [], [], 0) == ([], [], [])
                        assert epoll.poll(0) == []
                        put("signals/go/trigger", "1")
                        assert poll.poll(5000) == [(fd, select.POLLIN)]
                        assert select.select([fd], [], [], 5) == ([fd], [], [])
                        assert epoll.poll(5) == [(fd, select.EPOLLIN)]
                        os.read(fd, 3)
                        assert poll.poll(0) == [(fd, select.POLLIN)], "the rest of the line"
                        os.read(fd, 100)
                    """)
            }
        }

        @Test func `with no_poll every file is ready at once, and a read waits all the same`()
            throws
        {
            try withMount(.best, "no_poll") { mount in
                #expect(try mount.bash("grep '^poll ' features").hasPrefix("poll no "))
                try mount.python(
                    """
                    put("control/signal", "go software\\n")
                    fd = os.open("signals/go/wait", os.O_RDONLY)
                    poll = select.poll()
                    poll.register(fd, select.POLLIN)
                    assert poll.poll(0) == [(fd, select.POLLIN)]
                    threading.Timer(0.05, put, ("signals/go/trigger", "1")).start()
                    assert os.read(fd, 100).startswith(b"1 1 0 ")
                    assert poll.poll(0) == [(fd, select.POLLIN)]
                    """)
            }
        }

        @Test func `who sleeps in poll, select or epoll is woken by an event`() throws {
            try withMount { mount in
                try mount.python(
                    """
                    put("control/signal", "go software\\n")
                    def by_poll(fd):
                        poll = select.poll()
                        poll.register(fd, select.POLLIN)
                        return poll.poll(10000)
                    def by_select(fd):
                        return select.select([fd], [], [], 10)[0]
                    def by_epoll(fd):
                        with select.epoll() as epoll:
                            epoll.register(fd, select.EPOLLIN | select.EPOLLET)
                            return epoll.poll(10)
                    for way in by_poll, by_select, by_epoll:
                        for round in range(3):
                            fd = os.open("signals/go/wait", os.O_RDONLY | os.O_NONBLOCK)
                            ready, got = threading.Event(), []
                            def sleeper():
                                ready.set()
                                began = time.monotonic()
                                got.append((way(fd), time.monotonic() - began))
                            thread = threading.Thread(target=sleeper)
                            thread.start()
                            ready.wait()
                            time.sleep(0.02)
                            put("signals/go/trigger", "1")
                            thread.join()
                            assert got[0][0] and got[0][1] < 5, got
                            os.read(fd, 100)
                            os.close(fd)
                    """)
            }
        }

        @Test func `removal is POLLHUP, and ENODEV`() throws {
            try withMount { mount in
                try mount.python(
                    """
                    put("control/signal", "go software\\n")
                    fd = os.open("signals/go/wait", os.O_RDONLY)
                    poll = select.poll()
                    poll.register(fd, select.POLLIN)
                    assert poll.poll(0) == []
                    threading.Timer(0.05, put, ("control/signal", "go remove\\n")).start()
                    events = poll.poll(10000)
                    assert events and events[0][1] & select.POLLHUP, events
                    refused(errno.ENODEV, os.read, fd, 100)
                    """)
            }
        }
    }
}
