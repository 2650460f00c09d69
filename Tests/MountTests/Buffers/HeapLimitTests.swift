import Glibc
import Testing

extension MountTests {
    /// "more than the heap has | `ENOSPC` ... the log names the limit": other buffers are
    /// untouched.
    @Suite struct HeapLimit {
        @Test(arguments: Mode.here)
        func `dd into a full heap writes what fits and is ENOSPC, and others are untouched`(
            mode: Mode
        ) throws {
            try withMount(mode, "size=4M") { mount in
                try mount.fill("other", pattern(1 << 20))
                let dd = try mount.run("dd", "if=/dev/zero", "of=buffers/rx", "bs=64k")
                #expect(dd.status == 1 && dd.error.contains("No space left on device"))
                let size = try mount.size("rx")
                #expect(size > 2 << 20 && size <= 3 << 20)
                #expect(try mount.contents("other") == pattern(1 << 20))
                #expect(throws: Errno(ENOSPC)) { try mount.alloc("more 1M") }
                let line = try #require(try mount.lastRefusal)
                #expect(line.errno == "ENOSPC" && line.command == "more 1M")
                #expect(line.why.contains("4194304") || line.why.contains("4M"), "\(line.why)")
                #expect(!exists(mount.buffer("more")))
                try mount.bash("rm buffers/rx; echo 'more 1M' > control/alloc")
                #expect(try mount.contents("other") == pattern(1 << 20))
            }
        }

        @Test(arguments: Mode.here, ["system", "contiguous", "coherent"])
        func `an allocation beyond the heap is ENOSPC and takes nothing`(
            mode: Mode, heap: String
        ) throws {
            try withMount(mode, "size=4M") { mount in
                let used = try mount.number("control/heaps/\(heap)/used")
                for size in ["5M", "4194305", "1G", "0x7fffffffffffffff"] {
                    #expect(throws: Errno(ENOSPC)) { try mount.alloc("rx \(size) heap=\(heap)") }
                    #expect(!exists(mount.buffer("rx")))
                }
                #expect(try mount.number("control/heaps/\(heap)/used") == used)
                let largest = try mount.number("control/heaps/\(heap)/max")
                try mount.alloc("rx \(largest) heap=\(heap)")
                #expect(try mount.size("rx") == largest)
            }
        }

        @Test(arguments: Mode.here)
        func `an unlinked buffer counts until its last user is gone`(mode: Mode) throws {
            try withMount(mode, "size=4M") { mount in
                try mount.alloc("rx 3M")
                let held = try mount.open("buffers/rx")
                defer { held.close() }
                try mount.bash("rm buffers/rx")
                #expect(throws: Errno(ENOSPC)) { try mount.alloc("new 3M") }
                held.close()
                #expect(holds { (try? mount.alloc("new 3M")) != nil })
            }
        }
    }
}
