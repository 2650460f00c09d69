import Glibc
import Testing

extension MountTests {
    /// "`unlink` always works; the memory lives until its last user (descriptor, mapping, stream, fd
    /// handed out) is gone. The name is free at once."
    @Suite struct Unlink {
        @Test(arguments: Mode.here)
        func `an unlinked buffer stays with who has it open, and its name is free`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(100_000))
                let held = try mount.open("buffers/rx")
                defer { held.close() }
                try mount.bash("rm buffers/rx")
                #expect(!exists(mount.buffer("rx")) && !exists(mount.path("attributes/rx")))
                try mount.fill("rx", [1, 2, 3])
                #expect(try held.read(100_000, at: 0) == pattern(100_000))
                try held.write([9], at: 0)
                #expect(try held.read(2, at: 0) == [9, pattern(2)[1]])
                #expect(try mount.contents("rx") == [1, 2, 3])
                #expect(try held.status().st_nlink == 0)
            }
        }

        @Test(.enabled(if: Mode.hasPassthrough, "\(Mode.whyNoPassthrough)"))
        func `a mapping keeps the memory after unlink and close`() throws {
            try withMount(.passthrough, "size=4M") { mount in
                try mount.fill("rx", pattern(3 << 20))
                let file = try mount.open("buffers/rx")
                var mapping: Mapping? = try Mapping(file, count: 3 << 20)
                file.close()
                try mount.bash("rm buffers/rx")
                #expect(mapping?.load(3 << 20, at: 0) == pattern(3 << 20))
                mapping?.store([42], at: 1 << 20)
                #expect(mapping?.load(1, at: 1 << 20) == [42])
                #expect(throws: Errno(ENOSPC)) { try mount.alloc("new 3M") }
                mapping = nil
                #expect(holds { (try? mount.alloc("new 3M")) != nil })
            }
        }

        @Test(arguments: Mode.here, ["rm buffers/rx", "echo rx > control/free"])
        func `rm and control slash free are the same`(mode: Mode, command: String) throws {
            try withMount(mode) { mount in
                let used = try mount.number("control/heaps/system/used")
                try mount.alloc("rx 1M")
                #expect(try mount.number("control/heaps/system/used") == used + (1 << 20))
                try mount.bash(command)
                #expect(throws: Errno(ENOENT)) { try mount.open("buffers/rx") }
                #expect(throws: Errno(ENOENT)) { try mount.put("rx\n", "control/free") }
                #expect(holds { (try? mount.number("control/heaps/system/used")) == used })
            }
        }

        /// "A bind mount of one buffer is of that buffer, not of its name"
        @Test(.enabled(if: Machine.canBeOthers, "needs root to make a mount namespace"))
        func `a bind mount of a buffer is ESTALE after rm, though the name is there anew`() throws {
            try withMount { mount in
                let script = """
                    set -eu
                    echo one > buffers/b; touch ../place; mount --bind buffers/b ../place
                    [ "$(cat ../place)" = one ]
                    mv buffers/b buffers/c; echo two > buffers/b
                    [ "$(cat ../place)" = one ]
                    rm buffers/c; echo three > buffers/c
                    if LC_ALL=C cat ../place 2> ../why; then exit 3; fi
                    grep -q 'Stale file handle' ../why
                    umount ../place
                    mkdir ../directory; mount --bind buffers ../directory
                    rm buffers/b; echo four > buffers/b
                    [ "$(cat ../directory/b)" = four ]
                    """
                let output = try mount.run(
                    "unshare", "-m", "--propagation", "private", "bash", "-c", script)
                #expect(output.status == 0, "\(output.text)\(output.error)")
            }
        }
    }
}
