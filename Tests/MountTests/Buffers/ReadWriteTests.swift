import Glibc
import Testing

extension MountTests {
    /// "Reads what the device wrote ... At or past the end: 0." "`system`: past the end the buffer
    /// grows, and what is skipped reads as zero".
    @Suite struct ReadWrite {
        @Test(arguments: Mode.here)
        func `a read at or past the end gives nothing, one across the end what is there`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(5000))
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                #expect(try file.read(10, at: 5000).isEmpty)
                #expect(try file.read(10, at: 1 << 40).isEmpty)
                #expect(try file.read(4096, at: 4990) == Array(pattern(5000).suffix(10)))
                #expect(try file.read(0, at: 0).isEmpty)
            }
        }

        @Test(arguments: Mode.here)
        func `every offset and length reads back what was written there`(mode: Mode) throws {
            try withMount(mode) { mount in
                var model = pattern(3 * 4096 + 7)
                try mount.fill("rx", model)
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                for (index, offset) in [0, 1, 4095, 4096, 4097, 8191, 12_000].enumerated() {
                    let new = pattern(200 + index * 37, seed: UInt64(index))
                    #expect(try file.write(new, at: offset) == new.count)
                    if model.count < offset + new.count {
                        model += zeros(offset + new.count - model.count)
                    }
                    model.replaceSubrange(offset..<offset + new.count, with: new)
                    #expect(try file.read(new.count, at: offset) == new)
                    #expect(try mount.contents("rx") == model)
                }
            }
        }

        @Test(arguments: Mode.here)
        func `a write past the end grows a system buffer, and the gap reads as zero`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", [1, 2, 3])
                try mount.fill("rx", [9], at: 1_000_000)
                #expect(try mount.size("rx") == 1_000_001)
                #expect(try mount.contents("rx") == [1, 2, 3] + zeros(999_997) + [9])
                #expect(try mount.number("attributes/rx/size") == 1_000_001)
            }
        }

        @Test(arguments: Mode.here)
        func `O_APPEND writes at the end, of two writers too`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    "echo one >> buffers/a; echo two >> buffers/a; (echo x; echo y) >> buffers/a")
                #expect(try mount.contents("a") == Array("one\ntwo\nx\ny\n".utf8))
            }
        }

        @Test(arguments: Mode.here)
        func `a descriptor opened for one thing does not do the other`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", pattern(100))
                let reader = try mount.open("buffers/rx", O_RDONLY)
                let writer = try mount.open("buffers/rx", O_WRONLY)
                defer { [reader, writer].closeAll() }
                #expect(throws: Errno(EBADF)) { try reader.write([1]) }
                #expect(throws: Errno(EBADF)) { try writer.read(1) }
                #expect(throws: Errno(EINVAL)) { try reader.truncate(1) }
            }
        }

        @Test(arguments: Mode.here)
        func `two descriptors see each other's writes at once`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", zeros(8192))
                let one = try mount.open("buffers/rx")
                let other = try mount.open("buffers/rx")
                defer { [one, other].closeAll() }
                for round in 0..<50 {
                    let data = pattern(100, seed: UInt64(round))
                    try one.write(data, at: round * 150)
                    #expect(try other.read(100, at: round * 150) == data)
                }
            }
        }

        @Test(arguments: Mode.here)
        func `fsync, fdatasync and sync succeed, on a reader too`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.bash(
                    """
                    dd if=/dev/zero of=buffers/rx bs=4k count=4 conv=fsync status=none
                    dd if=/dev/zero of=buffers/rx bs=4k count=4 conv=fdatasync status=none
                    sync buffers/rx
                    """)
            }
        }

        @Test(arguments: Mode.here)
        func `writes of zero bytes and at negative offsets change nothing`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.fill("rx", [1])
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                #expect(try file.write([]) == 0)
                #expect(throws: Errno(EINVAL)) { try file.write([1], at: -1) }
                #expect(throws: Errno(EINVAL)) { try file.read(1, at: -1) }
                #expect(try mount.contents("rx") == [1])
            }
        }
    }
}
