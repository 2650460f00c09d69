import Glibc
import Testing

extension MountTests {
    /// "The kernel's dma-buf call on the file itself: `START` syncs for the cpu, `END` for the
    /// device ... Undefined flags, or none of READ and WRITE: `EINVAL`."
    @Suite struct SyncIoctl {
        private static let sync: UInt = 0x4008_6200
        private static let (read, write, rw, end) = (
            1 as UInt64, 2 as UInt64, 3 as UInt64, 4 as UInt64
        )

        @Test(arguments: Mode.here, ["system", "coherent"])
        func `START gives the buffer to the cpu and END to the device`(
            mode: Mode, heap: String
        ) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 8k heap=\(heap)")
                let file = try mount.open("buffers/rx")
                defer { file.close() }
                for direction in [Self.read, Self.write, Self.rw] {
                    try file.ioctl(Self.sync, direction | Self.end)
                    #expect(try mount.value("attributes/rx/sync_owner") == "1")
                    try file.ioctl(Self.sync, direction)
                    #expect(try mount.value("attributes/rx/sync_owner") == "0")
                }
                for flags in [0, Self.end, 8, 8 | Self.rw, 1 << 32 | Self.rw, UInt64.max] {
                    #expect(throws: Errno(EINVAL)) { try file.ioctl(Self.sync, flags) }
                }
            }
        }

        @Test(arguments: Mode.here)
        func `every other ioctl is ENOTTY, on text files this one too`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("rx 8k")
                let file = try mount.open("buffers/rx")
                let text = try mount.open("version", O_RDONLY)
                defer { [file, text].closeAll() }
                for request: UInt in [0x4008_6201, 0x4008_6100, 0x8008_6200, 0x4004_6200] {
                    #expect(throws: Errno(ENOTTY), "\(String(request, radix: 16))") {
                        try file.ioctl(request, 3)
                    }
                }
                #expect(throws: Errno(ENOTTY)) { try text.ioctl(Self.sync, 3) }
            }
        }

        @Test(arguments: Mode.here)
        func `python's fcntl.ioctl drives it as any dma-buf program does`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.python(
                    """
                    put("control/alloc", "rx 64K\\n")
                    fd = os.open("buffers/rx", os.O_RDWR)
                    for flags in 1, 2, 3, 5, 6, 7:
                        fcntl.ioctl(fd, 0x40086200, struct.pack("Q", flags))
                    for flags in 0, 4, 8, 11, 1 << 63:
                        refused(errno.EINVAL, fcntl.ioctl, fd, 0x40086200, struct.pack("Q", flags))
                    """)
            }
        }
    }
}
