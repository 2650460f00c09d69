import Glibc
import Testing

extension MountTests {
    /// Every way to make a buffer that a user would try.
    @Suite struct Create {
        @Test(arguments: Mode.here)
        func `alloc, truncate, fallocate, cp and dd each make a buffer`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    """
                    head -c 100000 /dev/urandom > ../image
                    echo "a 1M" > control/alloc
                    truncate -s 1M buffers/b
                    fallocate -l 1M buffers/c
                    cp ../image buffers/d
                    dd if=../image of=buffers/e bs=4k status=none
                    cat ../image > buffers/f
                    touch buffers/g
                    install -m 600 ../image buffers/h
                    cmp ../image buffers/d; cmp ../image buffers/e; cmp ../image buffers/f
                    cmp ../image buffers/h
                    [ "$(stat -c %s buffers/a buffers/b buffers/c | uniq)" = 1048576 ]
                    [ "$(stat -c %s buffers/g)" = 0 ]
                    [ "$(ls buffers | tr '\\n' ' ')" = "a b c d e f g h " ]
                    [ "$(ls attributes | tr '\\n' ' ')" = "a b c d e f g h " ]
                    cmp -n 1M buffers/a /dev/zero; cmp -n 1M buffers/b /dev/zero
                    cmp -n 1M buffers/c /dev/zero
                    """)
            }
        }

        @Test(arguments: Mode.here)
        func `some megabytes written by dd have the same sha256 when read`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    """
                    head -c 5000001 /dev/urandom > ../image
                    want=$(sha256sum < ../image)
                    dd if=../image of=buffers/rx bs=1M status=none
                    [ "$(sha256sum < buffers/rx)" = "$want" ]
                    [ "$(dd if=buffers/rx bs=333 status=none | sha256sum)" = "$want" ]
                    dd if=../image of=buffers/rx bs=64k conv=notrunc,fsync status=none
                    [ "$(dd if=buffers/rx bs=4M status=none | sha256sum)" = "$want" ]
                    dd if=../image of=buffers/big bs=4M status=none; cmp ../image buffers/big
                    [ "$(sha256sum < buffers/rx)" = "$want" ]
                    [ "$(dd if=buffers/rx bs=1M iflag=direct status=none | sha256sum)" = "$want" ]
                    """)
            }
        }

        @Test(
            arguments: Mode.here,
            [".hidden", "backup~", "sp ace", "ctrl\u{1}", "ü"])
        func `a bad name is EINVAL, and nothing is made`(mode: Mode, name: String) throws {
            try withMount(mode) { mount in
                #expect(throws: Errno(EINVAL)) {
                    try mount.open("buffers/\(name)", O_RDWR | O_CREAT)
                }
                #expect(throws: Errno(ENOENT)) { try mount.open("buffers/\(name)", O_RDONLY) }
                #expect(names(in: mount.path("buffers")).isEmpty)
            }
        }

        @Test func `a name of more than 63 bytes is ENAMETOOLONG everywhere`() throws {
            try withMount(.best) { mount in
                try mount.python(
                    """
                    put("control/alloc", "a 8K\\n")
                    put("control/signal", "go software\\n")
                    longest = "x" * 63
                    for long in ["x" * 64, "y" * 255, "." + "z" * 63, "é" * 32]:
                        for call in [os.stat, os.unlink, os.mkdir, os.rmdir, os.listdir,
                                     lambda path: os.open(path, os.O_RDONLY),
                                     lambda path: os.open(path, os.O_RDWR | os.O_CREAT),
                                     lambda path: os.rename("buffers/a", path),
                                     lambda path: os.rename(path, "buffers/b"),
                                     lambda path: os.link("buffers/a", path)]:
                            for directory in ["", "buffers/", "attributes/", "control/", "control/heaps/",
                                              "attributes/a/", "signals/", "signals/go/", "streams/"]:
                                refused(errno.ENAMETOOLONG, call, directory + long)
                    # Commands: a name has no other bytes.
                    long = "x" * 64
                    for file, text in [("control/alloc", f"{long} 4K"), ("control/free", long),
                                       ("control/sync", f"{long} for_cpu"),
                                       ("control/signal", f"{long} software"),
                                       ("control/stream", f"{long} remove"),
                                       ("control/stream", f"s buffer={long} period=4K source=go"),
                                       ("control/stream", f"s buffer=a period=4K source={long}"),
                                       ("attributes/a/name", long)]:
                        refused(errno.ENAMETOOLONG, put, file, text + "\\n")
                        assert "63 bytes" in get("control/log").splitlines()[-1]
                    assert os.statvfs(".").f_namemax == 63
                    assert os.listdir("buffers") == ["a"]
                    os.rename("buffers/a", "buffers/" + longest)
                    assert os.listdir("buffers") == [longest]
                    """)
            }
        }

        /// "Hidden, backup and swap files are refused"
        @Test(.enabled(if: Machine.hasRsync, "rsync is not installed"))
        func `tools that write beside a file fail, and their options for it help`() throws {
            try withMount(.best) { mount in
                try mount.bash(
                    """
                    head -c 8K /dev/urandom > ../new
                    for heap in system contiguous; do
                        echo "$heap 8K heap=$heap" > control/alloc
                        no rsync -I ../new buffers/$heap
                        tail -n 1 control/log | grep -q 'rsync --inplace'
                        [ -z "$(tr -d '\\0' < buffers/$heap)" ]
                        rsync -I --inplace ../new buffers/$heap
                        cmp ../new buffers/$heap
                        no cp --backup=simple ../new buffers/$heap
                    done
                    [ "$(echo $(ls -A buffers))" = 'contiguous system' ]
                    """)
            }
        }

        @Test func `a name of 63 bytes is good, and the name of a file that is not there ENOENT`()
            throws
        {
            try withMount { mount in
                let name = String(repeating: "n", count: 63)
                try mount.fill(name, pattern(5000))
                #expect(try mount.contents(name) == pattern(5000))
                #expect(throws: Errno(ENOENT)) { try mount.open("buffers/other") }
                #expect(throws: Errno(EEXIST)) {
                    try mount.open("buffers/\(name)", O_RDWR | O_CREAT | O_EXCL)
                }
            }
        }

        @Test func `heap= of the mount is the heap of what cp and touch make`() throws {
            try withMount(.best, "heap=coherent") { mount in
                try mount.bash("touch buffers/a; echo 'b 4k' > control/alloc")
                #expect(try mount.value("attributes/a/heap") == "coherent")
                #expect(try mount.value("attributes/b/heap") == "coherent")
            }
        }
    }
}
