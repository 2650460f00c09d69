import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("attributes/NAME", .timeLimit(.minutes(1)))
struct AttributeTests {
    private func withBuffer(_ options: String = "", _ body: (Client) throws -> Void) throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 8K \(options)")
            try body(client)
        }
    }

    @Test func `a new buffer's values are those of its allocation`() throws {
        try withBuffer("heap=contiguous direction=to_device") { (client) throws in
            let values = [
                ("size", "8192"), ("heap", "contiguous"), ("direction", "to_device"),
                ("numa_node", "-1"), ("dma_coherent", "1"), ("sync_offset", "0"),
                ("sync_size", "0"), ("sync_direction", "1"), ("sync_owner", "0"),
                ("owner", "\(getpid())"), ("refs", "0"), ("name", "rx"), ("lease", "none"),
            ]
            for (name, value) in values {
                let text = try client.read("attributes/rx/\(name)")
                #expect(text == value + "\n", "\(name)")
            }
        }
    }

    /// "`ENODATA` where there is none: always on the memory backend"
    @Test(arguments: ["dma_addr", "phys_addr", "nents", "sg_table"])
    func `what only a bus has is ENODATA`(name: String) throws {
        try withBuffer { (client) throws in
            #expect(throws: Errno.noData) { try client.read("attributes/rx/\(name)") }
        }
    }

    /// "Writing a number is `ftruncate`."
    @Test func `writing the size resizes the buffer`() throws {
        try withBuffer { (client) throws in
            for (text, size) in [("4K", 4096), ("0x10", 16), ("1M\n", 1 << 20)]
                as [(String, UInt64)]
            {
                try client.write("attributes/rx/size", text)
                #expect(try client.status("buffers/rx").size == size)
            }
            for bad in ["", "-1", "x", "1 2", "9223372036854775808", "1\n-1\n"] {
                #expect(try client.refusal("attributes/rx/size", bad) == .invalidArgument)
            }
            #expect(try client.refusal("attributes/rx/size", "1G") == .noSpace)
            #expect(try client.status("buffers/rx").size == 1 << 20)
            #expect(try client.log().last?.contains("file=attributes/rx/size") == true)
        }
    }

    @Test func `writing the name renames, and is EEXIST where it is taken`() throws {
        try withBuffer { (client) throws in
            try client.write("control/alloc", "tx 1")
            let inode = try client.inode("buffers/rx")
            #expect(try client.refusal("attributes/rx/name", "tx") == .fileExists)
            for bad in ["", ".x", "a/b", "a b"] {
                #expect(try client.refusal("attributes/rx/name", bad) == .invalidArgument)
            }
            try client.write("attributes/rx/name", "adc\n")
            #expect(try client.inode("buffers/adc") == inode)
            #expect(try client.list("buffers").sorted() == ["adc", "tx"])
            #expect(try client.read("attributes/adc/name") == "adc\n")
        }
    }

    /// "`0` bidirectional, `1` to_device, `2` from_device; the names are accepted too"
    @Test func `sync settings take numbers and names`() throws {
        try withBuffer { (client) throws in
            for (text, value) in [
                ("0", "0"), ("1", "1"), ("2", "2"), ("from_device", "2"),
                ("bidirectional", "0"), ("to_device\n", "1"),
            ] {
                try client.write("attributes/rx/sync_direction", text)
                #expect(try client.read("attributes/rx/sync_direction") == value + "\n")
            }
            for bad in ["3", "-1", "", "both", "18446744073709551615"] {
                #expect(try client.refusal("attributes/rx/sync_direction", bad) == .invalidArgument)
            }
            try client.write("attributes/rx/sync_offset", "4K")
            try client.write("attributes/rx/sync_size", "0x10")
            #expect(try client.read("attributes/rx/sync_offset") == "4096\n")
            #expect(try client.read("attributes/rx/sync_size") == "16\n")
        }
    }

    /// "Both together beyond the size: `EINVAL` at the sync."
    @Test func `a sync beyond the size is EINVAL, and sync_owner tells of the last that was done`()
        throws
    {
        try withBuffer { (client) throws in
            #expect(try client.refusal("attributes/rx/sync_for_device", "1") == nil)
            #expect(try client.read("attributes/rx/sync_owner") == "1\n")
            #expect(try client.refusal("attributes/rx/sync_for_cpu", "0") == nil)
            #expect(try client.read("attributes/rx/sync_owner") == "1\n")
            try client.write("attributes/rx/sync_size", "8K")
            #expect(try client.refusal("attributes/rx/sync_for_cpu", "1") == nil)
            #expect(try client.read("attributes/rx/sync_owner") == "0\n")
            for (offset, size) in [
                ("1", "8K"), ("8193", "0"), ("0", "8193"),
                ("9223372036854775807", "9223372036854775807"),
            ] {
                try client.write("attributes/rx/sync_offset", offset)
                try client.write("attributes/rx/sync_size", size)
                #expect(
                    try client.refusal("attributes/rx/sync_for_device", "1") == .invalidArgument)
            }
            try client.write("attributes/rx/sync_offset", "8K")
            try client.write("attributes/rx/sync_size", "0")
            #expect(try client.refusal("attributes/rx/sync_for_device", "1") == nil)
        }
    }

    /// "u-dma-buf's packed 64-bit form is accepted as well: bits 63:32 offset, 31:4 size (a
    /// multiple of 16), 3:2 direction, 0 must be 1."
    @Test func `the packed form syncs its own range and leaves the settings`() throws {
        try withBuffer { (client) throws in
            func packed(_ offset: UInt64, _ size: UInt64, _ rest: UInt64) -> String {
                "\(offset << 32 | size | rest)"
            }
            for good in [
                packed(0, 8192, 1), packed(4096, 4096, 5), packed(16, 16, 9), "0x1000000011",
            ] {
                #expect(try client.refusal("attributes/rx/sync_for_device", good) == nil, "\(good)")
            }
            #expect(try client.read("attributes/rx/sync_owner") == "1\n")
            for bad in [
                packed(0, 8192, 0), packed(0, 8192, 2), packed(0, 8192, 3), packed(0, 16, 13),
                packed(0, 8208, 1), packed(8192, 16, 1), packed(0xffff_ffff, 0, 1), "2", "4", "-1",
                "", "1 1", "18446744073709551616", "18446744073709551615",
            ] {
                #expect(
                    try client.refusal("attributes/rx/sync_for_cpu", bad) == .invalidArgument,
                    "\(bad)")
            }
            #expect(try client.read("attributes/rx/sync_owner") == "1\n")
            #expect(try client.read("attributes/rx/sync_offset") == "0\n")
            #expect(try client.read("attributes/rx/sync_size") == "0\n")
        }
    }

    @Test func `refs counts descriptors and streams`() throws {
        try withBuffer { (client) throws in
            let files = try (0..<3).map { _ in try client.open("buffers/rx") }
            #expect(try client.read("attributes/rx/refs") == "3\n")
            try client.write("control/stream", "s buffer=rx period=4K source=pattern")
            #expect(try client.read("attributes/rx/refs") == "4\n")
            for file in files {
                file.close()
                file.close()
            }
            #expect(try client.read("attributes/rx/refs") == "1\n")
            try client.write("control/stream", "s remove")
            #expect(try client.read("attributes/rx/refs") == "0\n")
        }
    }
}
