import Glibc
import Testing

extension MountTests {
    /// "The command returns when the mount answers, with the server's error if it does not."
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

        /// docs/man/devfs-mount.1.md: "It sends its errors to systemd's journal where there is
        /// one". A listener plays journald, in a mount namespace with a /run of its own.
        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `a server in the background tells the journal`() throws {
            let listener = """
                import os, socket
                listener = socket.socket(socket.AF_UNIX)
                listener.bind("/run/listener")
                listener.listen()
                os.rename("/run/listener", "/run/systemd/journal/stdout")
                peer = listener.accept()[0]
                with open("/run/lines", "wb", buffering=0) as lines:
                    while data := peer.recv(65536):
                        lines.write(data)
                """
            let output = try Child([
                "unshare", "-m", "bash", "-c",
                """
                set -eu
                mount -t tmpfs tmpfs /run
                mkdir -p /run/systemd/journal /run/mnt
                python3 -c "$1" &
                until [ -S /run/systemd/journal/stdout ]; do sleep 0.02; done
                \(Machine.devfs) mount memory:journal /run/mnt
                ! echo nonsense > /run/mnt/control/alloc
                for number in $(seq 50); do
                    ! echo "noise $number" > /run/mnt/control/alloc
                done
                sync_lines() { until grep -q "$1" /run/lines; do sleep 0.02; done; }
                sync_lines 'for a minute'
                kill -ABRT $(sed -n 's/^server.* pid //p' /run/mnt/status)
                umount -l /run/mnt
                cat /run/lines
                """, "test", listener,
            ]).wait(within: .seconds(30))
            #expect(output.status == 0, "\(output.text)\(output.error)")
            let lines = output.text.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.prefix(7) == ["devfs", "", "5", "0", "0", "0", "0"], "\(output.text)")
            let refused = lines.filter { $0.contains(" refused: pid=") }
            #expect(refused.count == 10, "\(output.text)")
            #expect(
                refused.first?.contains("file=control/alloc command=\"nonsense\" errno=EINVAL")
                    == true)
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

        @Test(arguments: [["mount"], ["mount", "-f"]])
        func `a mount that fails leaves no device behind, and an old one as it was`(
            words: [String]
        ) throws {
            try withMount { mount in
                let new = "\(mount.device)-oops"
                let busy = [mount.root, mount.directory + "/none", "/proc/self/status"]
                for place in busy {
                    let output = try Child([Machine.devfs] + words + [new, place]).wait()
                    #expect(output.status == 1, "\(output)")
                    let list = try Child([Machine.devfs, "device", "list"]).wait().text
                    #expect(!list.contains("-oops"), "\(place): \(list)")
                }
                try mount.fill("rx", pattern(5000))
                try mount.stop()
                let output = try Child([Machine.devfs] + words + [mount.device, busy[1]]).wait()
                #expect(output.status == 1)
                try mount.start()
                #expect(try mount.contents("rx") == pattern(5000))
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
