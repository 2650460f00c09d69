import Testing

extension MountTests {
    /// What tools that replace a file's contents leave of a buffer.
    @Suite struct Replacing {
        /// A 1M buffer of bytes 0xff, and the files that tools copy from: `sparse`, `zeros`, `short`.
        private static func setUp(_ heap: String) -> String {
            """
            echo 'b 1M heap=\(heap)' > control/alloc
            head -c 1M /dev/zero | tr '\\0' '\\377' > buffers/b
            place=$(mktemp -d /tmp/devfs-test-XXXXXX)
            trap 'rm -rf "$place"' EXIT
            truncate -s 1M "$place/sparse"
            printf ends | dd of="$place/sparse" bs=1 seek=1048572 conv=notrunc status=none
            head -c 1M /dev/zero > "$place/zeros"
            printf 'b\\na\\n' > "$place/short"
            tar -C "$place" -Scf "$place/sparse.tar" sparse
            buffer=$PWD/buffers/b
            cd "$place"

            """
        }

        /// "On a fixed heap it fills the buffer with zeros and the size stays"
        @Test(
            arguments: Mode.here,
            [
                "cp sparse BUFFER", "cp --sparse=always zeros BUFFER", "cat sparse > BUFFER",
                "dd if=zeros of=BUFFER bs=64K conv=sparse status=none",
                "tar -xOf sparse.tar > BUFFER", "tee BUFFER < sparse > copy",
                "truncate -s 0 BUFFER; dd if=zeros of=BUFFER conv=sparse,notrunc status=none",
            ])
        func `a tool that writes no zeros leaves none of the old bytes`(
            _ mode: Mode, _ command: String
        ) throws {
            for heap in ["contiguous", "coherent", "system"] {
                try withMount(mode) { mount in
                    try mount.bash(
                        Self.setUp(heap)
                            + """
                            expected=sparse
                            case '\(command)' in *zeros*) expected=zeros ;; esac
                            \(command.replacing("BUFFER", with: "\"$buffer\""))
                            cmp "$buffer" $expected
                            """)
                }
            }
        }

        /// The same of the shell's `>`, and of short data.
        @Test(arguments: Mode.here)
        func `what is shorter than the buffer is followed by zeros`(_ mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    """
                    echo 'b 64K heap=coherent' > control/alloc
                    head -c 64K /dev/zero | tr '\\0' '\\377' > buffers/b
                    printf short > buffers/b
                    cmp buffers/b <(printf short; head -c 65531 /dev/zero)
                    head -c 64K /dev/zero | tr '\\0' '\\377' > buffers/b
                    printf kept | dd of=buffers/b conv=notrunc status=none
                    cmp buffers/b <(printf kept; head -c 65532 /dev/zero | tr '\\0' '\\377')
                    """)
            }
        }

        /// "a buffer on a fixed heap keeps its size, is never `EBUSY`, and what would be cut becomes
        /// zero"
        @Test(
            arguments: Mode.here,
            [
                (": > BUFFER", "head -c 1M zeros"), ("truncate -s 0 BUFFER", "head -c 1M zeros"),
                (
                    "truncate -s 4 BUFFER",
                    "{ printf '\\377\\377\\377\\377'; head -c 1048572 zeros; }"
                ),
                ("truncate -s 1M BUFFER", "head -c 1M zeros | tr '\\0' '\\377'"),
                ("shred -n 1 -z BUFFER", "head -c 1M zeros"),
                ("sort -o BUFFER short", "{ printf 'a\\nb\\n'; head -c 1048572 zeros; }"),
                ("rsync --inplace short BUFFER", "{ printf 'b\\na\\n'; head -c 1048572 zeros; }"),
                (
                    "dd if=short of=BUFFER bs=4 seek=1 status=none",
                    "{ printf '\\377\\377\\377\\377b\\na\\n'; head -c 1048568 zeros; }"
                ),
            ])
        func `a fixed buffer that tools cut keeps its size`(
            _ mode: Mode, _ tool: (command: String, expected: String)
        ) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    Self.setUp("contiguous")
                        + """
                        exec 3< "$buffer"  # no obstacle
                        \(tool.command.replacing("BUFFER", with: "\"$buffer\""))
                        cmp "$buffer" <(\(tool.expected))
                        """)
                #expect(try mount.value("attributes/b/heap") == "contiguous")
                #expect(try !mount.log.contains("buffers/b"))
            }
        }

        @Test(arguments: Mode.here)
        func `O_TRUNC of a fixed buffer that is mapped or streams zeroes it`(_ mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.python(
                    """
                    put("control/alloc", "b 64K heap=coherent\\n")
                    held = os.open("buffers/b", os.O_RDWR)
                    os.pwrite(held, b"\\xff" * 65536, 0)
                    mapped = None
                    if "mmap yes" in get("features"):
                        mapped = mmap.mmap(held, 65536)
                        os.close(held)
                    os.close(os.open("buffers/b", os.O_WRONLY | os.O_TRUNC))
                    if mapped: assert mapped[:] == bytes(65536)
                    put("control/stream", "s buffer=b period=16K source=pattern rate=4\\n")
                    os.truncate("buffers/b", 0)
                    os.close(os.open("buffers/b", os.O_WRONLY | os.O_TRUNC))
                    assert os.stat("buffers/b").st_size == 65536
                    assert open("buffers/b", "rb").read() == bytes(65536)
                    """)
            }
        }
    }
}
