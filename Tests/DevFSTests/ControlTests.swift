import Glibc
import SystemPackage
import Testing

@testable import DevFS

@Suite("control/", .timeLimit(.minutes(1)))
struct ControlTests {
    /// "Errors of `alloc`"
    @Test(arguments: MemoryForm.available) func `refused allocations change nothing and are logged`(
        form: MemoryForm
    ) throws {
        try withTree(form) { (client) throws in
            try client.write("control/alloc", "rx 8K")
            let free = try client.tree.space().free
            let refusals: [(String, Errno)] = [
                ("x", .invalidArgument), ("x 0", .invalidArgument), ("x -1", .invalidArgument),
                ("x 9223372036854775808", .invalidArgument), (".x 1", .invalidArgument),
                ("x 1 heap=fast", .invalidArgument),
                ("x 1 heap=system heap=system", .invalidArgument),
                ("x 1 heap=user", .invalidArgument), ("x 1 heap=reserved", .invalidArgument),
                ("rx 1", .fileExists), ("x 9223372036854775807", .noSpace), ("x 1G", .noSpace),
                ("x \(free + 1)", .noSpace), ("x \(free + 1) heap=coherent", .noSpace),
                ("x 4K\ny 4K extra\n", .invalidArgument), ("", .invalidArgument),
                ("#", .invalidArgument),
            ]
            for (index, (line, errno)) in refusals.enumerated() {
                #expect(try client.refusal("control/alloc", line) == errno, "\(line)")
                #expect(try client.log().count == index + 1)
            }
            #expect(try client.list("buffers") == ["rx"])
            #expect(try client.tree.space().free == free)
            // "and the log names the limit"
            let spaces = try client.log().filter { $0.contains("errno=ENOSPC") }
            #expect(spaces.count == 4 && spaces.allSatisfy { $0.contains("size=4M") })
        }
    }

    @Test func `several commands in one write are carried out in order, until one is refused`()
        throws
    {
        try withTree { (client) throws in
            let text = "a 4K\nb 4K\na 4K\nc 4K\n"
            #expect(try client.write("control/alloc", text) == 10)
            #expect(try client.list("buffers") == ["a", "b"])
            #expect(try client.log().count == 1)
        }
    }

    @Test func `a line that waits is charged to the opener, until it ends or the file is closed`()
        throws
    {
        try withTree { (client) throws in
            var charged: UInt64 {
                client.tree.quotas.use.compactMap { $0.used[.text] }.reduce(0, +)
            }
            var file: (any OpenFile)? = try client.open("control/alloc", O_WRONLY)
            try file?.write(Array("a 4K\nb".utf8))
            #expect(charged == UInt64(CommandText.longest))
            try file?.write(Array(" 4K\n".utf8))
            #expect(charged == 0)
            try file?.write(Array("c".utf8))
            #expect(charged == UInt64(CommandText.longest))
            file?.close()
            file = nil
            #expect(charged == 0)
            #expect(try client.list("buffers") == ["a", "b"])
            #expect(try client.log().last?.contains("command=\"c\" errno=EINVAL") == true)
        }
    }

    /// "no such buffer `ENOENT`; a range beyond the size `EINVAL`"
    @Test func `free and sync refuse what is not there`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 8K")
            for line in ["rx for_cpu", "rx for_device 0 8K", "rx for_cpu 4K 0", "rx for_cpu 8K 0"] {
                #expect(try client.refusal("control/sync", line) == nil, "\(line)")
            }
            for line in [
                "rx for_cpu 0 8193", "rx for_cpu 8193 0", "rx for_cpu 8K 1",
                "rx for_device 9223372036854775807 9223372036854775807",
            ] {
                #expect(try client.refusal("control/sync", line) == .invalidArgument, "\(line)")
            }
            #expect(try client.refusal("control/sync", "x for_cpu") == .noSuchFileOrDirectory)
            #expect(try client.refusal("control/free", "x") == .noSuchFileOrDirectory)
            #expect(try client.write("control/free", "rx\nrx\n") == 3)
            #expect(try client.list("buffers").isEmpty)
        }
    }

    /// "Errors of `stream`"
    @Test func `refused streams change nothing`() throws {
        try withTree { (client) throws in
            try client.write("control/alloc", "rx 16K\nempty 0x1\n")
            try client.write("control/signal", "go software")
            let refusals: [(String, Errno)] = [
                ("s buffer=no period=4K source=go", .noSuchFileOrDirectory),
                ("s buffer=rx period=4K source=no", .noSuchFileOrDirectory),
                ("s buffer=rx period=0 source=go", .invalidArgument),
                ("s buffer=rx period=6 source=go", .invalidArgument),
                ("s buffer=rx period=16K source=go", .invalidArgument),
                ("s buffer=rx period=12K source=go", .invalidArgument),
                ("s buffer=rx period=1G source=go", .invalidArgument),
                ("s buffer=empty period=4 source=go", .invalidArgument),
                ("s buffer=rx period=4K source=go watermark=0", .invalidArgument),
                ("s buffer=rx period=4K source=go watermark=12289", .invalidArgument),
                ("s buffer=rx period=4K source=go rate=1000", .invalidArgument),
                ("s remove", .noSuchFileOrDirectory),
            ]
            for (line, errno) in refusals {
                #expect(try client.refusal("control/stream", line) == errno, "\(line)")
            }
            #expect(try client.list("streams").isEmpty)
            #expect(try client.read("attributes/rx/refs") == "0\n")
            try client.write("control/stream", "s buffer=rx period=4K source=go watermark=12288")
            #expect(
                try client.refusal("control/stream", "s buffer=empty period=4 source=go")
                    == .fileExists)
            #expect(
                try client.refusal("control/stream", "t buffer=rx period=4K source=go")
                    == .resourceBusy)
            try client.write("control/stream", "s remove")
            try client.write("control/signal", "go remove")
        }
    }

    @Test func `a text is made anew when it is read at offset 0, and is one whole until then`()
        throws
    {
        try withTree { (client) throws in
            try client.write("control/alloc", "a 1")
            let file = try client.open("control/alloc")
            defer { file.close() }
            let first = try file.bytes()
            try client.write("control/alloc", "b 1")
            #expect(try file.bytes(at: 2) == Array(first[2...]))
            #expect(try file.bytes(at: UInt64(first.count)) == [])
            #expect(try file.bytes().count == 2 * first.count)
            #expect(try file.bytes(count: 3) == Array(first[..<3]))
        }
    }
}
