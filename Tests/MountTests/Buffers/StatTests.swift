import Glibc
import Testing

extension MountTests {
    /// "`st_size` in bytes, `st_blocks` what is really allocated, times true, `st_ino` stable. ...
    /// `statfs` (`df`) gives size, used and free of the heap limit."
    @Suite struct Stat {
        @Test(arguments: Mode.here)
        func `size and blocks are those of the memory`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 1M")
                try mount.alloc("odd 1")
                let status = try status(of: mount.buffer("rx"))
                #expect(status.st_size == 1 << 20 && status.st_blocks == 2048)
                #expect(status.st_mode & S_IFMT == S_IFREG && status.st_nlink == 1)
                #expect(try MountTests.Stat.blocks(mount, "odd") == 8)
                #expect(try mount.bash("ls -l buffers | awk '/rx$/ {print $5}'") == "1048576")
            }
        }

        private static func blocks(_ mount: Mount, _ name: String) throws -> Int {
            try Int(status(of: mount.buffer(name)).st_blocks)
        }

        @Test(arguments: Mode.here)
        func `mtime moves with a write, atime or mtime never back, ctime with chmod`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                try mount.python(
                    """
                    put("control/alloc", "rx 4k\\n")
                    now = time.time()
                    first = os.stat("buffers/rx")
                    assert abs(first.st_mtime - now) < 5 and abs(first.st_ctime - now) < 5
                    fd = os.open("buffers/rx", os.O_RDWR)
                    os.utime("buffers/rx", (1000, 1000))
                    assert os.stat("buffers/rx").st_mtime == 1000
                    os.pwrite(fd, b"x", 0)
                    within(lambda: os.stat("buffers/rx").st_mtime > now - 1)
                    before = os.stat("buffers/rx").st_ctime_ns
                    within(lambda: os.chmod("buffers/rx", 0o600)
                        or os.stat("buffers/rx").st_ctime_ns > before)
                    before = os.stat("buffers/rx").st_mtime_ns
                    within(lambda: os.ftruncate(fd, os.fstat(fd).st_size + 1) is None
                        and os.stat("buffers/rx").st_mtime_ns > before)
                    """)
            }
        }

        @Test(arguments: Mode.here)
        func `inode numbers are of one buffer, over rename and remount, and never used again`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                try mount.bash("for i in 1 2 3 4; do echo \"b$i 4k\" > control/alloc; done")
                try mount.bash("mv buffers/b1 buffers/moved; rm buffers/b2")
                let before = try mount.bash("stat -c '%n %i' buffers/* attributes/*")
                try #expect(mount.stop().status == 0)
                try mount.start()
                #expect(try mount.bash("stat -c '%n %i' buffers/* attributes/*") == before)
                try mount.bash("echo 'new 4k' > control/alloc")
                let number = try status(of: mount.buffer("new")).st_ino
                #expect(!before.split(whereSeparator: \.isWhitespace).contains("\(number)"))
                #expect(try mount.bash("ls -i buffers | awk '{print $1}' | sort -u | wc -l") == "4")
                #expect(
                    try mount.bash("find . -type f -o -type d | xargs stat -c %i | sort | uniq -d")
                        == "")
            }
        }

        /// "They fit 32 bits, for programs without large-file support".
        @Test(
            .enabled(if: Tools.smallWalker != nil, "gcc -m32 builds nothing here: gcc-multilib"),
            arguments: Mode.here)
        func `a 32-bit program without large-file support walks the tree`(mode: Mode) throws {
            let program = try #require(Tools.smallWalker)
            try withMount(mode) { mount in
                try mount.bash(
                    """
                    for n in $(seq 100); do echo "b$n 8K"; done > control/alloc
                    echo 'go software' > control/signal
                    echo 's buffer=b1 period=4K source=go' > control/stream
                    """)
                let found = try mount.bash("\(program) .")
                #expect(try mount.bash("find . -mindepth 1 | wc -l") == found)
            }
        }

        @Test(arguments: Mode.here)
        func `df shows size, used and free of the limit`(mode: Mode) throws {
            try withMount(mode, "size=16M") { mount in
                let df = "df -B1 --output=size,used,avail . | tail -1 | tr -s ' ' | sed 's/^ //'"
                let empty = try mount.bash(df).split(separator: " ").compactMap { Int($0) }
                #expect(empty[0] == 16 << 20)
                #expect(empty[1] + empty[2] == 16 << 20)
                try mount.alloc("rx 5M")
                let full = try mount.bash(df).split(separator: " ").compactMap { Int($0) }
                #expect(full[1] - empty[1] == 5 << 20 && empty[2] - full[2] == 5 << 20)
                #expect(try mount.number("control/heaps/system/size") == 16 << 20)
                try mount.bash("rm buffers/rx")
                let again = try mount.bash(df).split(separator: " ").compactMap { Int($0) }
                #expect(again == empty)
            }
        }

        @Test func `text files can be copied, counted and sent whole`() throws {
            try withMount { mount in
                try mount.bash(
                    """
                    for n in $(seq 300); do echo "name-that-is-long-$n 4k"; done > control/alloc
                    echo 's software' > control/signal
                    for file in version status features metrics control/{alloc,signal,log,socket} \
                        attributes/name-that-is-long-1/{size,heap,name} signals/s/count \
                        control/heaps/system/used
                    do
                        cat $file > ../want
                        cp $file ../copy; dd if=$file of=../dd bs=100 status=none
                        tail -n +1 $file > ../tail; head -c 1M $file > ../head
                        while IFS= read -r line; do echo "$line"; done < $file > ../lines
                        # What counts requests counts these as well.
                        if [ $file = metrics ]; then continue; fi
                        for got in copy dd tail head lines; do cmp ../want ../$got; done
                        [ "$(wc -c < $file)" = "$(stat -c %s ../want)" ]
                    done
                    [ "$(stat -c %h version control/alloc | uniq)" = 1 ]
                    """)
            }
        }

        @Test func `a text file's size is never less than what is read`() throws {
            try withMount { mount in
                try mount.python(
                    """
                    put("control/alloc", "".join(f"buffer-number-{n} 4k\\n" for n in range(500)))
                    for path in "version", "status", "metrics", "control/alloc", "features":
                        fd = os.open(path, os.O_RDONLY)
                        whole = os.read(fd, 1 << 20)
                        assert whole.endswith(b"\\n") and os.fstat(fd).st_size >= len(whole)
                    """)
            }
        }
    }
}
