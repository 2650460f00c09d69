import Glibc
import Testing

extension MountTests {
    /// "Writing `1` to `sync_for_cpu` or `sync_for_device` syncs ... `0` does nothing. ...
    /// u-dma-buf's packed 64-bit form is accepted as well: bits 63:32 offset, 31:4 size (a
    /// multiple of 16), 3:2 direction, 0 must be 1."
    @Suite struct AttributeSync {
        @Test func `1 syncs, and sync_owner says who has the buffer`() throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                try mount.put("1\n", "attributes/rx/sync_for_device")
                #expect(try mount.value("attributes/rx/sync_owner") == "1")
                try mount.put("0\n", "attributes/rx/sync_for_cpu")
                #expect(try mount.value("attributes/rx/sync_owner") == "1")
                try mount.put("1", "attributes/rx/sync_for_cpu")
                #expect(try mount.value("attributes/rx/sync_owner") == "0")
                try mount.put("0", "attributes/rx/sync_for_device")
                #expect(try mount.value("attributes/rx/sync_owner") == "0")
            }
        }

        @Test func `a range beyond the size is EINVAL at the sync`() throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                for (offset, size) in [("0", "65537"), ("65536", "1"), ("60000", "6000")] {
                    try mount.put(offset, "attributes/rx/sync_offset")
                    try mount.put(size, "attributes/rx/sync_size")
                    for file in ["sync_for_cpu", "sync_for_device"] {
                        #expect(throws: Errno(EINVAL), "\(offset) \(size)") {
                            try mount.put("1\n", "attributes/rx/" + file)
                        }
                    }
                    #expect(try mount.value("attributes/rx/sync_owner") == "0")
                }
                try mount.put("60000", "attributes/rx/sync_offset")
                try mount.put("0", "attributes/rx/sync_size")
                try mount.put("1\n", "attributes/rx/sync_for_device")
                #expect(try mount.value("attributes/rx/sync_owner") == "1")
                #expect(try mount.value("attributes/rx/sync_offset") == "60000")
            }
        }

        @Test func `the packed form syncs its own range and direction`() throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                let good: [UInt64] = [
                    0x0000_0000_0000_1001, 0x0000_1000_0000_1001, 0x0000_0000_0001_0001,
                    0x0000_0000_0000_1005, 0x0000_f000_0000_1009,
                ]
                let size = "attributes/rx/sync_size"
                try mount.put("16", size)
                for value in good {
                    try mount.put("0x" + String(value, radix: 16), "attributes/rx/sync_for_device")
                    #expect(try mount.value("attributes/rx/sync_owner") == "1")
                    try mount.put("\(value)\n", "attributes/rx/sync_for_cpu")
                    #expect(try mount.value("attributes/rx/sync_owner") == "0")
                }
                #expect(try mount.value(size) == "16")
                let bad: [UInt64] = [
                    0x0000_0000_0000_1000,  // bit 0 is not 1
                    0x0000_0000_0001_0011,  // beyond the end
                    0x0001_0000_0000_0011,  // begins at the end
                    0x0000_0000_0000_100d,  // direction 3
                    0x0000_0000_0000_1003,  // bit 1
                ]
                for value in bad {
                    for file in ["sync_for_device", "sync_for_cpu"] {
                        #expect(throws: Errno(EINVAL), "\(String(value, radix: 16))") {
                            try mount.put("0x" + String(value, radix: 16), "attributes/rx/" + file)
                        }
                    }
                }
                #expect(try mount.value("attributes/rx/sync_owner") == "0")
            }
        }

        @Test func `sync_direction takes numbers and names`() throws {
            try withMount { mount in
                try mount.alloc("rx 64K")
                let values = ["to_device", "from_device", "bidirectional"]
                for (value, number) in zip(values, ["1", "2", "0"]) {
                    try mount.put(value + "\n", "attributes/rx/sync_direction")
                    #expect(try mount.value("attributes/rx/sync_direction") == number)
                }
                for number in ["1", "2", "0"] {
                    try mount.put(number, "attributes/rx/sync_direction")
                    #expect(try mount.value("attributes/rx/sync_direction") == number)
                }
                #expect(throws: Errno(EINVAL)) {
                    try mount.put("3\n", "attributes/rx/sync_direction")
                }
                #expect(try mount.value("attributes/rx/sync_direction") == "0")
            }
        }
    }
}
