import Glibc
import Testing

extension MountTests {
    /// "Both ways are equal": every way to make a buffer that a user would try.
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
            [".hidden", "sp ace", "ctrl\u{1}", "ü", String(repeating: "x", count: 64)])
        func `a bad name is EINVAL, and nothing is made`(mode: Mode, name: String) throws {
            try withMount(mode) { mount in
                #expect(throws: Errno(EINVAL)) {
                    try mount.open("buffers/\(name)", O_RDWR | O_CREAT)
                }
                #expect(throws: Errno(ENOENT)) { try mount.open("buffers/\(name)", O_RDONLY) }
                #expect(names(in: mount.path("buffers")).isEmpty)
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
