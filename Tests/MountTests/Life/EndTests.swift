import Glibc
import Testing

extension MountTests {
    /// A clean end by SIGTERM, SIGINT and umount(8).
    @Suite struct Ends {
        @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
        func `a signal unmounts and ends the server with 0`(number: Int32) throws {
            try withMount { mount in
                try mount.fill("rx", pattern(10_000))
                let output = try mount.stop(number)
                #expect(output.status == 0, "\(output.error)")
                #expect(!mount.isMounted && !exists(mount.path("version")))
                try mount.start()
                #expect(try mount.contents("rx") == pattern(10_000))
            }
        }

        @Test(arguments: ["umount", "fusermount3 -u", "devfs unmount"])
        func `unmounting ends the server with 0`(how: String) throws {
            if how == "umount" && !Machine.isRoot { return }
            try withMount { mount in
                try mount.fill("rx", pattern(10_000))
                var words = how.split(separator: " ").map(String.init)
                if words[0] == "devfs" { words[0] = Machine.devfs }
                let output = try Child(words + [mount.root]).wait()
                #expect(output.status == 0, "\(output.error)")
                #expect(try mount.server.wait(within: .seconds(5)).status == 0)
                #expect(!mount.isMounted)
                try mount.start()
                #expect(try mount.contents("rx") == pattern(10_000))
            }
        }

        @Test func `a SIGTERM while readers wait wakes them, and ends`() throws {
            try withMount { mount in
                try mount.put("go software\n", "control/signal")
                let cats = try (0..<3).map { _ in try mount.start("cat", "signals/go/wait") }
                for cat in cats { #expect(cat.waitsOn("signals/go/wait")) }
                #expect(try mount.stop().status == 0)
                for cat in cats { #expect(try cat.wait(within: .seconds(5)).status != 0) }
                try mount.start()
            }
        }

        @Test func `a mount that is in use is not unmounted by devfs unmount, unless --lazy`()
            throws
        {
            try withMount { mount in
                try mount.fill("rx", [1])
                let held = try mount.open("buffers/rx")
                defer { held.close() }
                let refused = try Child([Machine.devfs, "unmount", mount.root]).wait()
                #expect(refused.status != 0 && refused.error.contains("busy"), "\(refused)")
                #expect(mount.isMounted && mount.server.runs)
                let lazy = try Child([Machine.devfs, "unmount", "--lazy", mount.root]).wait()
                #expect(lazy.status == 0, "\(lazy.error)")
                #expect(!mount.isMounted)
                held.close()
                #expect(try mount.server.wait(within: .seconds(5)).status == 0)
            }
        }

        @Test func `an unmounted device is listed, kept, and removed once it is not mounted`()
            throws
        {
            try withMount { mount in
                try mount.fill("rx", pattern(5000))
                let remove = [Machine.devfs, "device", "remove", mount.device]
                let refused = try Child(remove).wait()
                #expect(refused.status != 0 && refused.error.contains("busy"), "\(refused)")
                #expect(try mount.contents("rx") == pattern(5000))
                try mount.stop()
                let name = String(mount.device.dropFirst("memory:".count))
                let list = [Machine.devfs, "device", "list"]
                #expect(try Child(list).wait().text.contains(name))
                #expect(try Child(remove).wait().status == 0)
                #expect(try !Child(list).wait().text.contains(name))
                #expect(try Child(remove).wait().status != 0)
                try mount.start()
                #expect(names(in: mount.path("buffers")).isEmpty)
            }
        }

        @Test func `size= of a device that exists changes its limit, EBUSY below what is in use`()
            throws
        {
            try withMount(.best) { mount in
                try mount.fill("rx", pattern(5 << 20))
                try mount.stop()
                let command = { (size: String) in
                    Mount.command(mount.device, mount.root, ["-o", "size=\(size)"])
                }
                let refused = try Child(command("4M")).wait()
                #expect(refused.status != 0 && refused.error.contains("busy"), "\(refused)")
                let server = try Child(command("8M"))
                #expect(holds { exists(mount.path("version")) || !server.runs })
                #expect(try mount.number("control/heaps/system/size") == 8 << 20)
                #expect(try mount.contents("rx") == pattern(5 << 20))
                #expect(throws: Errno(ENOSPC)) { try mount.alloc("more 4M") }
                server.signal(SIGTERM)
                #expect(try server.wait().status == 0)
            }
        }

        /// "`EBUSY` while it is mounted, and while a program has one of its buffers open or mapped"
        @Test(arguments: ["ro", "rw"])
        func `a device is not removed while a descriptor of its socket is open`(
            _ access: String
        ) throws {
            try withMount { mount in
                try mount.alloc("rx 4K")
                let holder = try mount.startPython(
                    Users.prelude
                        + """
                        held = give("buffer rx \(access)")
                        os.chdir("/")
                        print("ready", flush=True)
                        signal.pause()
                        """)
                #expect(holds { holder.textSoFar.contains("ready") || !holder.runs })
                try mount.stop()
                let refused = try Child([Machine.devfs, "device", "remove", mount.device]).wait()
                #expect(refused.status != 0 && refused.error.contains("end that program"))
                holder.signal(SIGKILL)
                _ = try holder.wait()
                try mount.start()
                #expect(try mount.size("rx") == 4096)
            }
        }
    }
}
