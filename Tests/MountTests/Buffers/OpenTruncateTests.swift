import Glibc
import Testing

extension MountTests {
    /// "On `system` memory `O_TRUNC` empties the buffer: `EBUSY` where it is in use ... On a fixed
    /// heap it fills the buffer with zeros and the size stays"
    @Suite struct OpenTruncate {
        @Test(arguments: Mode.here)
        func `O_TRUNC empties a system buffer`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(10_000))
                let file = try mount.open("buffers/rx", O_RDWR | O_TRUNC)
                defer { file.close() }
                #expect(try mount.size("rx") == 0)
                #expect(try file.read(1).isEmpty)
                try file.write([7])
                #expect(try mount.contents("rx") == [7])
            }
        }

        @Test(arguments: Mode.here)
        func `O_TRUNC of a buffer that is open elsewhere is EBUSY and changes nothing`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(10_000))
                let reader = try mount.open("buffers/rx", O_RDONLY)
                defer { reader.close() }
                #expect(throws: Errno(EBUSY)) { try mount.open("buffers/rx", O_WRONLY | O_TRUNC) }
                #expect(try mount.contents("rx") == pattern(10_000))
            }
        }

        @Test(arguments: Mode.here, ["contiguous", "coherent"])
        func `O_TRUNC of a fixed buffer makes it zero, and its size stays`(mode: Mode, heap: String)
            throws
        {
            try withMount(mode) { mount in
                try mount.alloc("rx 64K heap=\(heap)")
                try mount.fill("rx", pattern(65536))
                try mount.bash("printf new > buffers/rx")
                #expect(try mount.contents("rx") == Array("new".utf8) + zeros(65533))
                try mount.bash("head -c 65536 /dev/zero > ../z; cp ../z buffers/rx")
                #expect(try mount.contents("rx") == zeros(65536))
                #expect(try mount.size("rx") == 65536)
            }
        }
    }
}
