import Glibc
import Testing

extension MountTests {
    /// "the target's memory is on a fixed heap and the new one's is of another heap or size; the
    /// target is `to_device` or `from_device` and the new one is not; the target streams; the
    /// target has a lease that the new one has not"
    @Suite struct Replaced {
        private static let tools = [
            "sed -i s/a/b/ buffers/b", "perl -i -pe s/a/b/ buffers/b",
            "mv -f buffers/new buffers/b",
            "rsync --temp-dir=\"$PWD/buffers\" ../short buffers/b",
            "python3 -c 'import os; os.replace(\"buffers/new\", \"buffers/b\")'",
        ]

        @Test(arguments: Mode.here, tools)
        func `a tool that renames over a buffer says that it is busy`(
            _ mode: Mode, _ tool: String
        ) throws {
            let traits = [
                "heap=contiguous", "heap=coherent", "heap=contiguous direction=to_device",
                "direction=to_device", "direction=from_device", "lease=process",
            ]
            for trait in traits {
                try withMount(mode) { mount in
                    try mount.bash(
                        """
                        echo 'b 64K \(trait)' > control/alloc
                        head -c 64K /dev/zero | tr '\\0' a > buffers/b
                        echo 'new 4K' > control/alloc
                        head -c 1000 /dev/zero > ../short
                        inode=$(stat -c %i buffers/b)
                        if LC_ALL=C \(tool) 2> ../why; then echo 'not refused'; exit 1; fi
                        grep -q 'Device or resource busy' ../why || { cat ../why; exit 1; }
                        cmp buffers/b <(head -c 64K /dev/zero | tr '\\0' a)
                        [ "$(stat -c %i buffers/b)" = "$inode" ]
                        [ "$(ls buffers | tr '\\n' ' ')" = 'b new ' ] || { ls buffers; exit 1; }
                        tail -n 1 control/log | grep -q 'errno=EBUSY.*write into b, or rm it first'
                        """)
                }
            }
        }

        @Test(arguments: Mode.here, tools)
        func `a tool that renames over a plain buffer replaces it`(
            _ mode: Mode, _ tool: String
        ) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    """
                    head -c 64K /dev/zero | tr '\\0' a > buffers/b
                    echo 'new 4K heap=contiguous' > control/alloc
                    head -c 1000 /dev/zero > ../short
                    inode=$(stat -c %i buffers/b)
                    \(tool)
                    [ "$(stat -c %i buffers/b)" != "$inode" ]
                    """)
            }
        }

        @Test func `a stream, another size, and what has the same traits`() throws {
            try withMount { mount in
                try mount.bash(
                    """
                    busy() { no "$@"; tail -n 1 control/log | grep -q "why=\\"$why" ; }
                    for name in a b; do echo "$name 64K heap=coherent direction=to_device"; done > control/alloc
                    echo 'c 32K heap=coherent direction=to_device' > control/alloc
                    why='b has 65536 bytes of coherent memory and c has 32768' busy mv -f buffers/c buffers/b
                    mv -f buffers/a buffers/b
                    head -c 64K /dev/zero > buffers/s
                    echo 's buffer=s period=4K source=pattern rate=4' > control/stream
                    cp buffers/s buffers/t
                    why='s is streaming' busy mv -f buffers/t buffers/s
                    echo 's remove' > control/stream
                    mv -f buffers/t buffers/s
                    """)
                #expect(names(in: mount.path("buffers")) == ["b", "c", "s"])
            }
        }

        /// A program that replaces its own leased buffer by another of its own loses nothing.
        @Test func `one's own lease on both is no obstacle`() throws {
            try withMount { mount in
                try mount.python(
                    """
                    put("control/alloc", "a 4K lease=process\\nb 4K lease=process\\nc 4K\\n")
                    refused(errno.EBUSY, os.rename, "buffers/c", "buffers/b")
                    os.rename("buffers/a", "buffers/b")
                    os.rename("buffers/b", "buffers/c")
                    """)
            }
        }

        @Test func `an exchange loses nothing, whatever the traits`() throws {
            try withMount { mount in
                try mount.python(
                    """
                    put("control/alloc", "a 4K\\nb 64K heap=coherent direction=to_device lease=process\\n")
                    put("control/stream", "s buffer=b period=16K source=pattern rate=4\\n")
                    for _ in range(2):
                        checked(lib.renameat2(-100, b"buffers/a", -100, b"buffers/b", 2))
                    assert get("attributes/b/heap") == "coherent\\n"
                    """)
            }
        }

        /// "do what `rm` does: the new buffer is a plain one in the mount's default heap"
        @Test(
            arguments: [
                "install -m 644 ../short buffers/b", "cp --remove-destination ../short buffers/b",
                "mv -f ../short buffers/b", "tar -C buffers -xf ../tar",
            ])
        func `a tool that removes and makes anew leaves a plain buffer`(_ tool: String) throws {
            try withMount { mount in
                try mount.bash(
                    """
                    echo 'b 64K heap=contiguous direction=to_device' > control/alloc
                    echo short > ../short; cp ../short ../b; tar -C .. -cf ../tar b
                    \(tool)
                    [ "$(cat buffers/b attributes/b/heap)" = $'short\\nsystem' ]
                    """)
            }
        }
    }
}
