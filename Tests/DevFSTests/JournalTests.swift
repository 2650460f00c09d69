import SystemPackage
import Testing

@testable import DevFS

/// Entries of the journal, and what a remount can't change, as values.
@Suite struct JournalTests {
    @Test func `a value with a newline has its length before it`() {
        let bytes = JournalSocket.entry([("MESSAGE", "two\nlines"), ("PRIORITY", "5")])
        let length: [UInt8] = [9, 0, 0, 0, 0, 0, 0, 0]
        #expect(
            bytes == Array("MESSAGE\n".utf8) + length + Array("two\nlines\nPRIORITY=5\n".utf8))
    }

    @Test func `no value ends its field early`() {
        let bytes = JournalSocket.entry([("DEVFS_FILE", "a\nPRIORITY=0")])
        #expect(!String(decoding: bytes, as: UTF8.self).hasPrefix("DEVFS_FILE=a\n"))
    }

    private func unchangeable(
        _ text: String, from running: String, source: String = "memory:a"
    ) throws -> [String] {
        try MountOptions.parse([text]).unchangeable(
            from: MountOptions.parse([running]), source: source)
    }

    @Test func `what is as it was is no change`() throws {
        let line = "size=8M,uid=1,gid=2,umask=7,heap=coherent,allow_other,no_poll,quota_files=9"
        #expect(try unchangeable(line, from: line).isEmpty)
        #expect(try unchangeable("ro,noexec", from: line).isEmpty)
        #expect(try unchangeable("size=9M,huge=never", from: line).isEmpty)
    }

    @Test func `what differs is named`() throws {
        #expect(
            try unchangeable("uid=3,umask=7,allow_other,io_uring", from: "uid=1,umask=7")
                == ["allow_other", "io_uring", "uid"])
        #expect(try unchangeable("no_passthrough", from: "") == ["no_passthrough"])
        #expect(try unchangeable("quota_files=8", from: "quota_files=9") == ["quota_files"])
        #expect(try unchangeable("size=8M", from: "", source: "/dev/devfs/host") == ["size"])
    }
}
