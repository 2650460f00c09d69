import Glibc
import Testing

extension MountTests {
    /// "`system` grows, the new bytes are zero and the memory is there on return. ... On `system`
    /// memory the tail is freed ... It is `EBUSY` while another descriptor is open on it ... The
    /// same size: nothing happens. A negative size is `EINVAL`; more than the heap's limit
    /// `ENOSPC`."
    @Suite struct Truncate {
        @Test(arguments: Mode.here)
        func `truncate grows with zeros that are allocated, and shrinks`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(1000))
                try mount.bash("truncate -s 2M buffers/rx")
                #expect(try mount.contents("rx") == pattern(1000) + zeros((2 << 20) - 1000))
                #expect(try status(of: mount.buffer("rx")).st_blocks >= 4096)
                try mount.bash("truncate -s 500 buffers/rx")
                #expect(try mount.contents("rx") == Array(pattern(1000).prefix(500)))
                try mount.bash("truncate -s 1000 buffers/rx")
                #expect(try mount.contents("rx") == Array(pattern(1000).prefix(500)) + zeros(500))
                try mount.bash("truncate -s 1000 buffers/rx; truncate -s 0 buffers/rx")
                #expect(try mount.size("rx") == 0)
            }
        }

        @Test(arguments: Mode.here)
        func `a descriptor can shrink what only it has open`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(10_000))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                try file.truncate(100)
                #expect(try file.read(10_000, at: 0) == Array(pattern(10_000).prefix(100)))
                #expect(try file.status().st_size == 100)
            }
        }

        @Test(arguments: Mode.here)
        func `shrinking what another has open is EBUSY, growing it is not`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(10_000))
                let other = try mount.open("buffers/rx", O_RDONLY)
                let file = try mount.open("buffers/rx")
                defer { [file, other].closeAll() }
                #expect(throws: Errno(EBUSY)) { try file.truncate(100) }
                #expect(throws: Errno(EBUSY)) {
                    try checked { unsafe truncate(mount.buffer("rx"), 100) }
                }
                #expect(try mount.contents("rx") == pattern(10_000))
                try file.truncate(20_000)
                #expect(try mount.contents("rx") == pattern(10_000) + zeros(10_000))
                other.close()
                try file.truncate(100)
                #expect(try mount.size("rx") == 100)
            }
        }

        /// "never `EBUSY` for a size that another one is changing: it waits for that"
        @Test(
            arguments: Mode.here,
            [
                "os.close(os.open('buffers/rx', os.O_RDONLY))", "os.chmod('buffers/rx', 0o640)",
                "os.utime('buffers/rx')", "os.close(give('buffer rx ro'))",
                "put('control/stream', 's buffer=rx period=4K source=pattern rate=4'); "
                    + "put('control/stream', 's remove')",
            ])
        func `nobody finds a buffer busy because another one cuts it in a loop`(
            _ mode: Mode, _ call: String
        ) throws {
            try withMount(mode) { mount in
                try mount.users(
                    """
                    put("control/alloc", "rx 64K")
                    def cut():
                        while True:
                            for size in 8192, 65536:
                                try: os.truncate("buffers/rx", size)
                                except OSError as error: assert error.errno == errno.EBUSY, error
                    cutters = [start(cut, uid=0) for _ in range(2)] if os.geteuid() == 0 else []
                    deadline, count = time.monotonic() + 0.7, 0
                    try:
                        while time.monotonic() < deadline:
                            \(call)
                            count += 1
                    finally:
                        for pid in cutters: end(pid)
                    assert count > 5, count
                    """)
            }
        }

        @Test(arguments: Mode.here)
        func `a size that is negative is EINVAL, one beyond the heap ENOSPC`(mode: Mode) throws {
            try withMount(mode, "size=8M") { mount in
                try mount.fill("rx", pattern(100))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                #expect(throws: Errno(EINVAL)) { try file.truncate(-1) }
                #expect(throws: Errno(ENOSPC)) { try file.truncate((8 << 20) + 1) }
                #expect(throws: Errno(ENOSPC)) { try file.truncate(1 << 50) }
                #expect(throws: (any Error).self) { try file.truncate(Int.max) }
                #expect(try mount.contents("rx") == pattern(100))
                try file.truncate(4 << 20)
                #expect(try mount.size("rx") == 4 << 20)
            }
        }

        @Test(arguments: Mode.here)
        func `memory that was freed is never shown again`(mode: Mode) throws {
            try withMount(mode, "size=4M") { mount in
                for _ in 0..<3 {
                    try mount.fill("rx", [UInt8](repeating: 0xa5, count: 3 << 20))
                    try mount.bash("truncate -s 0 buffers/rx; truncate -s 3M buffers/rx")
                    #expect(try mount.contents("rx") == zeros(3 << 20))
                    try mount.fill("rx", [UInt8](repeating: 0xa5, count: 3 << 20))
                    try mount.bash("rm buffers/rx; echo 'rx 3M heap=contiguous' > control/alloc")
                    #expect(try mount.contents("rx") == zeros(3 << 20))
                    try mount.bash("rm buffers/rx")
                }
            }
        }
    }
}
