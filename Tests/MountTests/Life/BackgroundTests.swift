import Glibc
import Testing

extension MountTests {
    /// "Foreground (`-f`) and background; background returns only when the mount answers, and with
    /// the error if it does not."
    @Suite struct Background {
        @Test func `a mount in the background answers at once when the command returns`() throws {
            try withMount { mount in
                try mount.stop()
                for _ in 0..<3 {
                    let start = try Child([Machine.devfs, "mount", mount.device, mount.root]).wait()
                    #expect(start.status == 0 && start.text == "", "\(start)")
                    #expect(try mount.value("version").hasPrefix("devfs "))
                    try mount.bash("echo 'rx 4k' > control/alloc; rm buffers/rx")
                    let end = try Child([Machine.devfs, "unmount", mount.root]).wait()
                    #expect(end.status == 0, "\(end)")
                    #expect(!mount.isMounted)
                }
            }
        }

        @Test(arguments: [
            ["-o", "nonsense"], ["-o", "size=0"], ["-o", "size=abc"], ["-o", "size=-1"],
            ["-o", "uid=nobody-here"], ["-o", "umask=999"], ["-o", "heap=none"],
            ["-o", "size=9223372036854775808"], ["-o", "size"],
        ])
        func `a bad option is an error, in the background and in the foreground`(
            options: [String]
        ) throws {
            try withMount { mount in
                try mount.stop()
                for words in [["mount"], ["mount", "-f"]] {
                    let command = [Machine.devfs] + words + options + [mount.device, mount.root]
                    let output = try Child(command).wait(within: .seconds(10))
                    #expect(output.status != 0 && output.status < 128, "\(output)")
                    #expect(output.error.contains(options[1].prefix { $0 != "=" }), "\(output)")
                    #expect(!mount.isMounted)
                }
            }
        }

        @Test func `a mount point that is missing or a file is an error`() throws {
            try withMount { mount in
                try mount.stop()
                _ = try OpenFile(mount.directory + "/file", O_RDWR | O_CREAT)
                for (place, why) in [("none", "No such file"), ("file", "Not a directory")] {
                    for words in [["mount"], ["mount", "-f"]] {
                        let path = "\(mount.directory)/\(place)"
                        let command = [Machine.devfs] + words + [mount.device, path]
                        let output = try Child(command).wait(within: .seconds(10))
                        #expect(output.status != 0 && output.error.contains(why), "\(output)")
                    }
                }
            }
        }

        @Test(arguments: [
            "memory:", "memory:.x", "memory:a/b", "nothing:x", "/dev/null", "memory:a b",
        ])
        func `a bad device is an error`(device: String) throws {
            try withMount { mount in
                try mount.stop()
                let output = try Child([Machine.devfs, "mount", device, mount.root])
                    .wait(within: .seconds(10))
                #expect(output.status != 0 && !output.error.isEmpty)
                #expect(!mount.isMounted)
            }
        }

        @Test func `mounting a device that is mounted is EBUSY, and the first goes on`() throws {
            try withMount { mount in
                try mount.fill("rx", pattern(5000))
                let second = mount.directory + "/mnt2"
                _ = try checked { unsafe mkdir(second, 0o755) }
                for words in [["mount"], ["mount", "-f"]] {
                    let output = try Child([Machine.devfs] + words + [mount.device, second]).wait()
                    #expect(output.status != 0 && output.error.contains("busy"), "\(output)")
                    let again = try Child([Machine.devfs] + words + [mount.device, mount.root])
                        .wait()
                    #expect(again.status != 0, "\(again)")
                }
                #expect(names(in: second).isEmpty)
                #expect(try mount.contents("rx") == pattern(5000))
                #expect(mount.server.runs && exists(mount.path("control/alloc")))
            }
        }

        @Test func `several mounts at once each have their own device`() throws {
            try withMount(.best, "size=8M") { one in
                try withMount(.served, "size=4M") { two in
                    try one.fill("rx", pattern(5000, seed: 1))
                    try two.fill("rx", pattern(7000, seed: 2))
                    #expect(try one.contents("rx") == pattern(5000, seed: 1))
                    #expect(try two.contents("rx") == pattern(7000, seed: 2))
                    #expect(try one.number("control/heaps/system/size") == 8 << 20)
                    #expect(try two.number("control/heaps/system/size") == 4 << 20)
                    #expect(try one.value("control/socket") != two.value("control/socket"))
                    try one.put("go software\n", "control/signal")
                    #expect(names(in: two.path("signals")).isEmpty)
                    try two.stop(SIGKILL)
                    #expect(try one.contents("rx") == pattern(5000, seed: 1))
                    let copy = try one.run("cp", "buffers/rx", "../copy")
                    #expect(copy.status == 0)
                }
                #expect(try one.contents("rx") == pattern(5000, seed: 1))
            }
        }
    }
}
