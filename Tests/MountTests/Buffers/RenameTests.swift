import Glibc
import Testing

extension MountTests {
    /// "Within `buffers/` the new name must be valid (`EINVAL`, `ENAMETOOLONG`); an existing
    /// target is freed as by `unlink`; `RENAME_NOREPLACE` and `RENAME_EXCHANGE` work. ... Out of
    /// `buffers/`: `EPERM`."
    @Suite struct Rename {
        @Test(arguments: Mode.here)
        func `mv keeps bytes, inode number, attributes and open descriptors`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("a 64K heap=coherent direction=to_device")
                try mount.fill("a", pattern(65536))
                let before = try status(of: mount.buffer("a"))
                let held = try mount.open("buffers/a")
                defer { held.close() }
                try mount.bash("mv buffers/a buffers/b")
                #expect(names(in: mount.path("buffers")) == ["b"])
                #expect(names(in: mount.path("attributes")) == ["b"])
                #expect(try status(of: mount.buffer("b")).st_ino == before.st_ino)
                #expect(try mount.contents("b") == pattern(65536))
                #expect(try held.read(65536, at: 0) == pattern(65536))
                #expect(try mount.value("attributes/b/name") == "b")
                #expect(try mount.value("attributes/b/direction") == "to_device")
                #expect(try mount.value("attributes/b/heap") == "coherent")
            }
        }

        @Test(arguments: Mode.here)
        func `an existing target is freed, and lives on where it is open`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("a", pattern(5000, seed: 1))
                try mount.fill("b", pattern(7000, seed: 2))
                let held = try mount.open("buffers/b")
                defer { held.close() }
                try mount.bash("mv -f buffers/a buffers/b")
                #expect(try mount.contents("b") == pattern(5000, seed: 1))
                #expect(try held.read(7000, at: 0) == pattern(7000, seed: 2))
                #expect(names(in: mount.path("buffers")) == ["b"])
            }
        }

        @Test(arguments: Mode.here)
        func `NOREPLACE refuses a taken name, EXCHANGE swaps two`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("a", pattern(5000, seed: 1))
                try mount.fill("b", pattern(7000, seed: 2))
                try mount.python(
                    """
                    def rename(old, new, flags):
                        checked(lib.renameat2(-100, old, -100, new, flags))
                    refused(errno.EEXIST, rename, b"buffers/a", b"buffers/b", 1)
                    inodes = os.stat("buffers/a").st_ino, os.stat("buffers/b").st_ino
                    rename(b"buffers/a", b"buffers/b", 2)
                    assert inodes == (os.stat("buffers/b").st_ino, os.stat("buffers/a").st_ino)
                    assert get("attributes/a/name") == "a\\n"
                    refused(errno.ENOENT, rename, b"buffers/a", b"buffers/none", 2)
                    rename(b"buffers/a", b"buffers/c", 1)
                    refused(errno.EINVAL, rename, b"buffers/b", b"buffers/c", 3)
                    refused(errno.EINVAL, rename, b"buffers/b", b"buffers/w", 4)
                    """)
                #expect(try mount.contents("b") == pattern(5000, seed: 1))
                #expect(try mount.contents("c") == pattern(7000, seed: 2))
                #expect(names(in: mount.path("buffers")) == ["b", "c"])
            }
        }

        @Test func `a bad new name is EINVAL and a missing old one ENOENT`() throws {
            try withMount { mount in
                try mount.fill("a", [1])
                for name in [".b", "b c", "b~", "ä"] {
                    #expect(throws: Errno(EINVAL)) {
                        try checked { unsafe rename(mount.buffer("a"), mount.buffer(name)) }
                    }
                }
                #expect(throws: Errno(ENOENT)) {
                    try checked { unsafe rename(mount.buffer("none"), mount.buffer("b")) }
                }
                #expect(names(in: mount.path("buffers")) == ["a"])
            }
        }

        @Test func `out of buffers and into it is EPERM, over the mount's edge EXDEV`() throws {
            try withMount { mount in
                try mount.fill("a", [1])
                let pairs = [
                    ("buffers/a", "a"), ("buffers/a", "control/a"), ("version", "buffers/version"),
                    ("buffers/a", "attributes/a/size"), ("control/log", "control/log2"),
                    ("buffers", "other"),
                ]
                for (old, new) in pairs {
                    #expect(throws: Errno(EPERM), "\(old) to \(new)") {
                        try checked { unsafe rename(mount.path(old), mount.path(new)) }
                    }
                }
                #expect(throws: Errno(EXDEV)) {
                    try checked { unsafe rename(mount.buffer("a"), mount.directory + "/a") }
                }
                #expect(try mount.contents("a") == [1])
            }
        }

        @Test func `writing attributes slash name renames`() throws {
            try withMount { mount in
                try mount.bash("touch buffers/a buffers/b; echo c > attributes/a/name")
                #expect(names(in: mount.path("buffers")) == ["b", "c"])
                #expect(throws: Errno(EEXIST)) { try mount.put("b\n", "attributes/c/name") }
                #expect(throws: Errno(EINVAL)) { try mount.put(".x\n", "attributes/c/name") }
                try mount.put("c\n", "attributes/c/name")
                #expect(names(in: mount.path("attributes")) == ["b", "c"])
            }
        }
    }
}
