import Glibc
import Testing

extension MountTests {
    /// "A mount with `ro` gives `EROFS` for every write."
    @Suite struct ReadOnly {
        @Test(arguments: Mode.here)
        func `every write is EROFS, and every read works`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(5000))
                try mount.stop()
                let server = try Child(
                    Mount.command(mount.device, mount.root, mode.options + ["-o", "ro"]))
                #expect(holds { exists(mount.path("version")) || !server.runs })
                #expect(try mount.contents("rx") == pattern(5000))
                let path = mount.buffer("rx")
                let calls: [(String, () -> Int32)] = [
                    ("open", { unsafe open(path, O_RDWR) }),
                    ("create", { unsafe open(mount.buffer("new"), O_RDWR | O_CREAT, 0o600) }),
                    ("alloc", { unsafe open(mount.path("control/alloc"), O_WRONLY) }),
                    ("truncate", { unsafe truncate(path, 1) }),
                    ("chmod", { unsafe chmod(path, 0) }),
                    ("unlink", { unsafe unlink(path) }), ("chown", { unsafe chown(path, 1, 1) }),
                    ("rename", { unsafe rename(path, mount.buffer("b")) }),
                    ("mkdir", { unsafe mkdir(mount.path("d"), 0o755) }),
                    ("utimens", { unsafe utimensat(AT_FDCWD, path, nil, 0) }),
                ]
                for (name, call) in calls {
                    #expect(throws: Errno(EROFS), "\(name)") { try checked(call) }
                }
                try mount.bash("cat status features metrics control/alloc > /dev/null")
                server.signal(SIGTERM)
                #expect(try server.wait().status == 0)
            }
        }
    }
}
