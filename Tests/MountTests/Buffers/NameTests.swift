import Glibc
import Testing

extension MountTests {
    /// The kernel may take a name for true that it has just looked up, until a command takes it away.
    @Suite struct Names {
        @Test(arguments: Mode.here)
        func `a name that was just found is gone with the command that takes it`(
            mode: Mode
        ) throws {
            try withMount(mode) { mount in
                func look(_ name: String) -> [Bool] {
                    ["buffers", "attributes"].map { exists(mount.path("\($0)/\(name)")) }
                }
                try mount.alloc("a 4K")
                for round in 0..<100 {
                    #expect(look("a") == [true, true] && look("a") == [true, true], "\(round)")
                    let before = try status(of: mount.buffer("a")).st_ino
                    switch round % 4 {
                    case 0:
                        try mount.put("a\n", "control/free")
                        #expect(look("a") == [false, false], "\(round)")
                        try mount.alloc("a 4K")
                    case 1:
                        try mount.put("b\n", "attributes/a/name")
                        #expect(look("a") == [false, false] && look("b") == [true, true])
                        try mount.alloc("a 8K")
                        try mount.put("b\n", "control/free")
                        #expect(look("b") == [false, false], "\(round)")
                    case 2:
                        #expect(unsafe unlink(mount.buffer("a")) == 0)
                        #expect(look("a") == [false, false], "\(round)")
                        try mount.alloc("a 4K")
                    default:
                        try mount.alloc("c 4K")
                        #expect(look("c") == [true, true])
                        #expect(unsafe rename(mount.buffer("c"), mount.buffer("a")) == 0)
                        #expect(look("c") == [false, false], "\(round)")
                    }
                    #expect(look("a") == [true, true], "\(round)")
                    #expect(try status(of: mount.buffer("a")).st_ino != before, "\(round)")
                }
            }
        }

        @Test func `a name is gone with the lease that ends`() throws {
            try withMount(.best) { mount in
                try mount.bash(
                    """
                    echo 'a 4K lease=process' > control/alloc
                    stat buffers/a attributes/a > /dev/null
                    """)
                // The owner has ended.
                #expect(
                    holds {
                        !exists(mount.buffer("a")) && !exists(mount.path("attributes/a"))
                    })
            }
        }

        @Test(
            .enabled(
                if: Mode.hasPassthrough && Machine.kernelIsAtLeast(6, 16),
                "the kernel can't forget names without a lock before 6.16"))
        func `who asks for a name thrice in a row asks the server once`() throws {
            try withMount(.best) { mount in
                for number in 0..<50 { try mount.alloc("b\(number) 4K") }
                var last: [String: Int] = [:]
                let isSo = try holds {
                    last = try mount.requests {
                        for number in 0..<50 {
                            for directory in ["buffers", "attributes"] {
                                let path = mount.path("\(directory)/b\(number)")
                                for _ in 0..<3 { _ = try status(of: path) }
                            }
                        }
                    }
                    return last["lookup", default: 0] <= 110 && last["getattr", default: 0] <= 20
                }
                #expect(isSo, "\(last)")
            }
        }
    }
}
