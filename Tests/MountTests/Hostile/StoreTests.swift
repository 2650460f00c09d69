import Glibc
import Testing

extension MountTests {
    /// What a user can do with the descriptors that he was given, to others and to the server.
    @Suite(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
    struct HostileStore {
        /// `give(LINE)` is a descriptor from the socket; `user(BODY, UID)` runs as another user.
        private static let client = """
            def give(line):
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(10)
                    s.connect(get("control/socket").strip())
                    s.sendall(line.encode() + b"\\n")
                    answer, fds, *_ = socket.recv_fds(s, 1000, 4)
                assert answer == b"ok\\n", answer
                return fds[0]

            def user(body, uid=65534):
                pid = os.fork()
                if pid:
                    assert os.waitpid(pid, 0)[1] == 0, "see above"
                    return
                try:
                    signal.alarm(30)
                    os.setgroups([]), os.setgid(uid), os.setuid(uid)
                    body()
                    os._exit(0)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)

            """

        private static let buffer = """
            put("control/alloc", "rx 64K\\n")
            os.chmod("buffers/rx", 0o600), os.chown("buffers/rx", 65534, 65534)

            """

        private static let shared = "umask=000,allow_other,size=64M"

        @Test
        func `a write from a page that never comes holds up nobody else`() throws {
            try withMount(.best, Self.shared) { mount in
                try mount.bash(
                    "timeout 60 \(Machine.python) \(Machine.package)/Tests/stalled-page.py .")
            }
        }

        @Test func `a read-only descriptor is not opened again for writing`() throws {
            try withMount(.best, Self.shared) { mount in
                try mount.python(
                    Self.client + Self.buffer + """
                        def denied(call, *arguments):
                            try:
                                call(*arguments)
                            except OSError as error:
                                # The mode is asked first by some calls, the mount by others.
                                assert error.errno in (errno.EACCES, errno.EROFS), error
                            else:
                                raise AssertionError("not refused")
                        def attack():
                            fd = give("buffer rx ro")
                            again = f"/proc/self/fd/{fd}"
                            for flags in os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_TRUNC:
                                denied(os.open, again, flags)
                            refused(errno.EACCES, mmap.mmap, fd, 4096)
                            refused(errno.EINVAL, os.ftruncate, fd, 0)
                            denied(os.truncate, again, 0)
                            refused(errno.EBADF, os.write, fd, b"x")
                            assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK == 0
                            assert os.pread(fd, 4, 0) == b"data"
                        descriptor = os.open("buffers/rx", os.O_RDWR)
                        os.pwrite(descriptor, b"data", 0)
                        user(attack)
                        # Not even who may open all files.
                        fd = give("buffer rx ro")
                        refused(errno.EROFS, os.open, f"/proc/self/fd/{fd}", os.O_RDWR)
                        refused(errno.EROFS, os.fchmod, fd, 0o666)
                        # The other one is what it was asked for.
                        user(lambda: os.pwrite(give("buffer rx rw"), b"rw", 0))
                        assert os.pread(descriptor, 4, 0) == b"rwta"
                        """)
            }
        }

        @Test func `a mount that is read-only gives nothing that can be written`() throws {
            try withMount(.best, Self.shared) { mount in
                try mount.python(Self.buffer)
                try mount.stop()
                let options = Mode.best.options + ["-o", Self.shared, "-o", "ro"]
                let server = try Child(Mount.command(mount.device, mount.root, options))
                #expect(holds { exists(mount.path("version")) || !server.runs })
                try mount.python(
                    Self.client + """
                        def attack():
                            fd = give("buffer rx ro")
                            try:
                                os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
                            except OSError as error:
                                assert error.errno in (errno.EACCES, errno.EROFS), error
                            else:
                                raise AssertionError("opened for writing")
                        user(attack)
                        """)
                server.signal(SIGTERM)
                #expect(try server.wait().status == 0)
            }
        }

        /// "A buffer's file below the mount belongs to the server, mode 0600. Who was given a
        /// descriptor can neither open it again ... nor take a lease on it."
        @Test(arguments: ["ro", "rw"])
        func `a descriptor can't be used to change the file, or to make others wait`(
            access: String
        ) throws {
            try withMount(.best, Self.shared) { mount in
                try mount.python(
                    Self.client + Self.buffer + """
                        def attack():
                            fd = give("buffer rx " + sys.argv[1])
                            for lease in fcntl.F_RDLCK, fcntl.F_WRLCK:
                                refused(errno.EACCES, fcntl.fcntl, fd, fcntl.F_SETLEASE, lease)
                            no = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV}
                            def never(call, *arguments, **named):
                                try:
                                    call(*arguments, **named)
                                except OSError as error:
                                    assert error.errno in no, error
                                else:
                                    raise AssertionError("not refused")
                            never(os.setxattr, fd, "user.x", b"x" * 60000)
                            never(os.fchmod, fd, 0o666)
                            never(os.fchown, fd, 65534, 65534)
                            never(os.utime, fd)
                            never(os.utime, fd, (1, 1))
                            never(os.link, f"/proc/self/fd/{fd}", "/dev/shm/devfs-link")
                        user(attack)
                        assert os.stat("buffers/rx").st_mode & 0o777 == 0o600
                        """, access)
            }
        }

        /// The server's memory is charged to its memory cgroup, beyond whose limit it would be ended.
        @Test(.enabled(if: Cgroup.whyNot == nil, Cgroup.comment))
        func `memory that the server's cgroup does not leave is ENOMEM`() throws {
            try withMount(.best, "size=512M") { mount in
                let group = try Cgroup(limit: 96 << 20)
                defer { group.remove() }
                try group.add(mount.server.pid)
                try mount.python(
                    """
                    refused(errno.ENOMEM, put, "control/alloc", "big 256M\\n")
                    assert "cgroup" in get("control/log"), get("control/log")
                    assert os.listdir("buffers") == []
                    free = os.statvfs(".").f_bavail
                    # What there is room for is had, to the end.
                    count = 0
                    try:
                        while True:
                            put("control/alloc", f"b{count} 8M\\n")
                            count += 1
                    except OSError as error:
                        assert error.errno == errno.ENOMEM, error
                    assert 4 <= count <= 12, count
                    os.close(os.open("buffers/empty", os.O_CREAT | os.O_RDWR))
                    refused(errno.ENOMEM, os.truncate, "buffers/empty", 256 << 20)
                    put("control/free", "b0\\n")
                    put("control/alloc", "again 8M\\n")
                    """)
                #expect(mount.server.runs)
                // What it has goes with it, so that the group can be removed.
                try mount.bash("for b in buffers/*; do rm $b; done")
                try group.leave(mount.server.pid)
            }
        }
    }
}
