import Glibc
import Testing

extension MountTests {
    /// "Calls that are the same everywhere", row by row.
    @Suite struct Everywhere {
        private static let places = [
            "", "buffers/", "attributes/", "attributes/a/", "control/", "control/heaps/",
            "signals/", "signals/s/", "streams/", "streams/t/",
        ]
        private static let texts = [
            "version", "status", "features", "metrics", "control/log", "control/socket",
            "control/alloc", "control/signal", "control/stream", "attributes/a/size",
            "attributes/a/heap", "attributes/a/owner", "signals/s/count", "signals/s/enable",
            "streams/t/watermark", "streams/t/status", "control/heaps/system/used",
        ]
        private static let writeOnly = [
            "control/free", "control/sync", "attributes/a/sync_for_cpu",
            "attributes/a/sync_for_device", "signals/s/trigger",
        ]

        private func withTree(_ body: (Mount) throws -> Void) throws {
            try withMount { mount in
                try mount.alloc("a 64K")
                try mount.put("s software\n", "control/signal")
                try mount.put("t buffer=a period=4K source=s\n", "control/stream")
                try body(mount)
                // Whatever was tried, nothing changed.
                #expect(names(in: mount.path("buffers")) == ["a"])
                #expect(try mount.size("a") == 65536)
                #expect(try mount.value("version").hasPrefix("devfs "))
            }
        }

        @Test func `link, symlink, mknod, mkdir and rmdir are EPERM anywhere`() throws {
            try withTree { mount in
                for place in Self.places {
                    let new = mount.path(place + "new")
                    let calls: [(String, () -> Int32)] = [
                        ("mkdir", { unsafe mkdir(new, 0o755) }),
                        ("symlink", { unsafe symlink("version", new) }),
                        ("link", { unsafe link(mount.buffer("a"), new) }),
                        ("mknod fifo", { unsafe mknod(new, S_IFIFO | 0o600, 0) }),
                        ("mknod file", { unsafe mknod(new, S_IFREG | 0o600, 0) }),
                    ]
                    for (name, call) in calls {
                        #expect(throws: Errno(EPERM), "\(name) in \(place)") { try checked(call) }
                    }
                    if place != "" {
                        #expect(throws: Errno(EPERM), "rmdir \(place)") {
                            try checked { unsafe rmdir(mount.path(String(place.dropLast()))) }
                        }
                    }
                }
            }
        }

        @Test func `creating, unlinking and renaming outside buffers is EPERM`() throws {
            try withTree { mount in
                for place in Self.places where place != "buffers/" {
                    #expect(throws: Errno(EPERM), "\(place)") {
                        try mount.open(place + "new", O_RDWR | O_CREAT)
                    }
                    #expect(throws: Errno(EPERM), "\(place)") {
                        try mount.open(place + "new", O_RDWR | O_CREAT | O_EXCL)
                    }
                }
                for file in Self.texts + Self.writeOnly {
                    #expect(throws: Errno(EEXIST), "\(file)") {
                        try mount.open(file, O_WRONLY | O_CREAT | O_EXCL)
                    }
                    #expect(throws: Errno(EPERM), "unlink \(file)") {
                        try checked { unsafe unlink(mount.path(file)) }
                    }
                    #expect(throws: Errno(EPERM), "rename \(file)") {
                        try checked { unsafe rename(mount.path(file), mount.path(file + "2")) }
                    }
                }
            }
        }

        @Test func `opening a text file the wrong way is EACCES, root included`() throws {
            try withTree { mount in
                let readOnly = Self.texts.filter {
                    ((try? status(of: mount.path($0)).st_mode) ?? 0) & 0o222 == 0
                }
                #expect(readOnly.count == 11, "\(readOnly)")
                for file in readOnly {
                    for flags in [O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC] {
                        #expect(throws: Errno(EACCES), "\(file)") { try mount.open(file, flags) }
                    }
                }
                for file in Self.writeOnly {
                    for flags in [O_RDONLY, O_RDWR] {
                        #expect(throws: Errno(EACCES), "\(file)") { try mount.open(file, flags) }
                    }
                }
            }
        }

        @Test func `O_TRUNC of a writable text file is ignored, truncate is EPERM`() throws {
            try withTree { mount in
                try mount.bash("echo 5 > attributes/a/sync_offset; : > attributes/a/sync_offset")
                #expect(try mount.value("attributes/a/sync_offset") == "5")
                for file in Self.texts + Self.writeOnly {
                    for size in [0, 10] {
                        #expect(throws: Errno(EPERM), "\(file)") {
                            try checked { unsafe truncate(mount.path(file), size) }
                        }
                    }
                }
                let writer = try mount.open("control/free", O_WRONLY)
                let reader = try mount.open("version", O_RDONLY)
                defer { [writer, reader].closeAll() }
                #expect(throws: Errno(EPERM)) { try writer.truncate(0) }
                #expect(throws: Errno(EINVAL)) { try reader.truncate(0) }
                let output = try mount.run("fallocate", "-l", "100", "control/alloc")
                #expect(output.status != 0 && output.error.contains("Operation not permitted"))
            }
        }

        @Test func `chmod, chown and utimens outside of buffers are EPERM`() throws {
            try withTree { mount in
                for file in Self.texts + Self.writeOnly + ["buffers", "signals/s", "control"] {
                    let path = mount.path(file)
                    #expect(throws: Errno(EPERM), "chmod \(file)") {
                        try checked { unsafe chmod(path, 0o777) }
                    }
                    #expect(throws: Errno(EPERM), "chown \(file)") {
                        try checked { unsafe chown(path, 1, 1) }
                    }
                    #expect(throws: Errno(EPERM), "utimens \(file)") {
                        try checked { unsafe utimensat(AT_FDCWD, path, nil, 0) }
                    }
                }
            }
        }

        @Test func `mmap of a text file is ENODEV`() throws {
            try withTree { mount in
                for file in Self.texts {
                    let opened = try mount.open(file, O_RDONLY)
                    defer { opened.close() }
                    #expect(throws: Errno(ENODEV), "\(file)") {
                        try Mapping(opened, count: 4096, protection: PROT_READ)
                    }
                }
            }
        }

        @Test func `lseek on a stream's data is ESPIPE, on wait it means nothing`() throws {
            try withTree { mount in
                let data = try mount.open("streams/t/data", O_RDONLY)
                let wait = try mount.open("signals/s/wait", O_RDONLY | O_NONBLOCK)
                defer { [data, wait].closeAll() }
                #expect(throws: Errno(ESPIPE)) { try data.seek(0) }
                #expect(throws: Errno(ESPIPE)) { try data.seek(0, SEEK_CUR) }
                try wait.seek(0)
                try wait.seek(0, SEEK_CUR)
                #expect(throws: Errno(EAGAIN)) { try wait.read(100) }
            }
        }

        @Test func `extended attributes are EOPNOTSUPP`() throws {
            try withTree { mount in
                try mount.python(
                    """
                    for path in "buffers/a", "version", "buffers", ".", "control/alloc":
                        refused(errno.EOPNOTSUPP, os.getxattr, path, "user.x")
                        refused(errno.EOPNOTSUPP, os.setxattr, path, "user.x", b"1")
                        refused(errno.EOPNOTSUPP, os.listxattr, path)
                        refused(errno.EOPNOTSUPP, os.removexattr, path, "user.x")
                    """)
            }
        }

        @Test func `what one client does every other sees at its next call`() throws {
            try withTree { mount in
                let child = try mount.startPython(
                    """
                    def size():
                        try:
                            return os.stat("buffers/b").st_size
                        except FileNotFoundError:
                            return None
                    assert size() is None
                    print("ready", flush=True)
                    within(lambda: size() == 4096)
                    print("made", flush=True)
                    within(lambda: size() == 8192)
                    print("grown", flush=True)
                    within(lambda: size() is None and os.listdir("buffers") == ["a"])
                    """)
                #expect(holds { child.textSoFar.contains("ready") })
                try mount.alloc("b 4096")
                #expect(try mount.size("b") == 4096)
                #expect(holds { child.textSoFar.contains("made") })
                try mount.bash("echo 8192 > attributes/b/size")
                #expect(try mount.size("b") == 8192)
                #expect(holds { child.textSoFar.contains("grown") })
                try mount.bash("rm buffers/b")
                let output = try child.wait()
                #expect(output.status == 0, "\(output.error)")
            }
        }

        @Test func `a name that is too long for a file is ENAMETOOLONG or ENOENT, never a hang`()
            throws
        {
            try withTree { mount in
                for name in [
                    String(repeating: "x", count: 255), String(repeating: "x", count: 256),
                ] {
                    for place in Self.places {
                        #expect(throws: (any Error).self) {
                            try mount.open(place + name, O_RDONLY)
                        }
                    }
                }
                #expect(throws: Errno(ENOTDIR)) { try mount.open("version/x", O_RDONLY) }
                #expect(throws: Errno(EISDIR)) { try mount.open("buffers", O_WRONLY) }
            }
        }
    }
}
