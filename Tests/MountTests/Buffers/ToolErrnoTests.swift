import Testing

extension MountTests {
    /// "What tools report": the errno by which they say why, and what is left.
    @Suite struct ToolErrnos {
        private static let full = "No space left on device"
        private static let busy = "Device or resource busy"

        @Test(
            arguments: Mode.here,
            [
                ("truncate -s +1 buffers/b", full), ("truncate -s +1M buffers/b", full),
                ("truncate -s '>2M' buffers/b", full), ("truncate -s %3K buffers/b", full),
                ("fallocate -l 2M buffers/b", full), ("shred -n 1 -s 128K buffers/b", full),
                ("bash -c 'echo x >> buffers/b'", full), ("tee -a buffers/b < ../one", full),
                ("dd if=../one of=buffers/b seek=1 bs=64K conv=notrunc", full),
                ("ln buffers/b buffers/l", "Operation not permitted"),
                ("fallocate -c -l 4096 buffers/b", "Operation not supported"),
                ("fallocate -i -l 4096 buffers/b", "Operation not supported"),
            ])
        func `a fixed buffer does not grow`(_ mode: Mode, _ tool: (String, String)) throws {
            try withMount(mode) { mount in
                try mount.alloc("b 64K heap=coherent")
                try mount.bash(Self.failing(tool.0, tool.1))
                #expect(names(in: mount.path("buffers")) == ["b"])
                #expect(try mount.size("b") == 65536)
            }
        }

        @Test(
            arguments: Mode.here,
            [
                "shred -n 1 -u buffers/b", "truncate -s 0 buffers/b", "truncate -s -1 buffers/b",
                "bash -c ': > buffers/b'", "cp ../one buffers/b",
            ])
        func `a system buffer that another has open does not shrink, and keeps its name`(
            _ mode: Mode, _ tool: String
        ) throws {
            try withMount(mode) { mount in
                try mount.alloc("b 64K")
                try mount.bash("exec 3< buffers/b\n" + Self.failing(tool, Self.busy))
                #expect(names(in: mount.path("buffers")) == ["b"])
                #expect(try mount.size("b") == 65536)
            }
        }

        @Test(arguments: Mode.here, ["system", "contiguous"])
        func `shred overwrites and removes`(_ mode: Mode, _ heap: String) throws {
            try withMount(mode) { mount in
                try mount.alloc("b 64K heap=\(heap)")
                let other = heap == "system" ? "" : "exec 3< buffers/b; "
                try mount.bash(
                    "\(other)shred -n 1 buffers/b; no cmp -s buffers/b <(head -c 64K /dev/zero); shred -n 1 -u buffers/b"
                )
                #expect(names(in: mount.path("buffers")).isEmpty)
            }
        }

        /// Has to fail, and to say `why`.
        private static func failing(_ command: String, _ why: String) -> String {
            """
            printf x > ../one
            if LC_ALL=C \(command) > /dev/null 2> ../why; then echo 'not refused'; exit 1; fi
            grep -q '\(why)' ../why || { cat ../why; exit 1; }
            """
        }
    }
}
