import Glibc
import Testing

@testable import DevFS

/// docs/man/mount.devfs.8.md, "Remount".
@Suite struct MountFlagTests {
    @Test func `a later option takes an earlier one back, and the rest is as of a new mount`() {
        let new: Set = ["nosuid", "nodev", "relatime"]
        #expect(MountFlags.applying([]) == new)
        #expect(MountFlags.applying(["ro", "rw", "noexec"]) == new.union(["noexec"]))
        #expect(MountFlags.applying(["rw", "ro", "suid"]) == ["ro", "nodev", "relatime"])
        #expect(MountFlags.applying(["nofail", "x"]) == new)
        #expect(MountFlags.bits(["ro", "noexec"]) == 1 | 8)
    }

    @Test func `flags are those of the mount and of its file system`() throws {
        let line =
            "36 35 0:42 / /mnt rw,nosuid,relatime shared:1 - fuse.devfs memory ro,user_id=0,sync\n"
        let entry = try #require(MountEntry.parse(Array(line.utf8)).first)
        #expect(entry.flags == ["nosuid", "relatime", "ro", "sync"])
    }
}
