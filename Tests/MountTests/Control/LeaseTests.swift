import Glibc
import Testing

extension MountTests {
    /// "`none`, or `process`: freed when its `owner` ends. Writing `process` makes the writer the
    /// owner."
    @Suite struct Leases {
        @Test(arguments: Mode.here)
        func `lease=process frees the buffer with its process, killed or not`(mode: Mode) throws {
            try withMount(mode) { mount in
                try mount.alloc("stays 4k")
                let child = try mount.startPython(
                    """
                    put("control/alloc", "mine 1M lease=process\\n")
                    put("attributes/stays/name", "kept\\n")
                    os.close(os.open("buffers/own", os.O_CREAT | os.O_RDWR))
                    put("attributes/own/lease", "process\\n")
                    print("ready", flush=True)
                    signal.pause()
                    """)
                #expect(holds { child.textSoFar.contains("ready") })
                #expect(try mount.value("attributes/mine/lease") == "process")
                #expect(try mount.number("attributes/own/owner") == Int(child.pid))
                child.signal(SIGKILL)
                try child.wait()
                #expect(holds { names(in: mount.path("buffers")) == ["kept"] })
            }
        }

        @Test func `a lease that is taken back keeps the buffer`() throws {
            try withMount { mount in
                try mount.bash(
                    "echo 'rx 4k lease=process' > control/alloc; echo none > attributes/rx/lease")
                try mount.bash("echo 'gone 4k lease=process' > control/alloc")
                #expect(holds { !exists(mount.buffer("gone")) })
                #expect(exists(mount.buffer("rx")))
            }
        }

        @Test func `writing process makes the writer the owner`() throws {
            try withMount { mount in
                try mount.bash("echo 'rx 4k' > control/alloc")
                try mount.put("process\n", "attributes/rx/lease")
                #expect(try mount.number("attributes/rx/owner") == Int(getpid()))
                #expect(try mount.value("attributes/rx/lease") == "process")
            }
        }
    }
}
