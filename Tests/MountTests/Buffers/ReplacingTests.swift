import Testing

extension MountTests {
    /// What tools that replace a file's contents leave of a buffer that keeps its size.
    @Suite struct Replacing {
        /// "On a fixed heap `O_TRUNC` fills the buffer with zeros and the size stays"
        @Test(
            arguments: Mode.here,
            [
                "cp sparse BUFFER", "cp --sparse=always zeros BUFFER", "cat sparse > BUFFER",
                "dd if=zeros of=BUFFER bs=64K conv=sparse status=none",
                "tar -xOf sparse.tar > BUFFER", "tee BUFFER < sparse > copy",
            ])
        func `a tool that writes no zeros leaves none of the old bytes`(
            _ mode: Mode, _ command: String
        ) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    """
                    echo 'b 1M heap=contiguous' > control/alloc
                    head -c 1M /dev/zero | tr '\\0' '\\377' > buffers/b
                    buffer=$PWD/buffers/b
                    cd ..
                    truncate -s 1M sparse
                    printf ends | dd of=sparse bs=1 seek=1048572 conv=notrunc status=none
                    head -c 1M /dev/zero > zeros
                    tar -Scf sparse.tar sparse
                    expected=sparse
                    case '\(command)' in *zeros*) expected=zeros ;; esac
                    \(command.replacing("BUFFER", with: "\"$buffer\""))
                    cmp "$buffer" $expected
                    """)
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
    }
}
