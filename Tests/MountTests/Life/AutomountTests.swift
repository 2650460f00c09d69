import Glibc
import Testing

extension MountTests {
    /// "`x-systemd.automount`": who looks waits until the mount is there, and it alone may go on.
    ///
    /// The script is systemd's part (src/core/automount.c): a direct autofs of its own process group,
    /// within a mount namespace of its own.
    @Suite(
        .enabled(
            if: Machine.canBeOthers && Machine.hasAutofs,
            "needs root in a mount namespace, and a kernel with autofs"))
    struct Automount {
        private static let script = """
            directory, *mount = sys.argv[1:]
            os.setpgid(0, 0)
            reader, writer = os.pipe()
            options = f"fd={writer},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
            checked(lib.mount(b"test", directory.encode(), b"autofs", 0, options.encode()))
            os.close(writer)
            root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)

            client = os.fork()
            if client == 0:
                os.setpgid(0, 0)
                os.close(reader)
                print(get(directory + "/version"), end="", flush=True)
                os._exit(0)

            packet = os.read(reader, 304)
            version, kind, token = struct.unpack_from("iiI", packet)
            assert kind == 5, "no direct mount is missing"
            child = os.spawnvp(os.P_NOWAIT, mount[0], mount)
            ended = False
            def has_ended():
                return os.waitpid(child, os.WNOHANG) != (0, 0)
            try:
                within(has_ended, 10)
                ended = True
            finally:
                # AUTOFS_IOC_READY and AUTOFS_IOC_FAIL: who waits goes on, however it went.
                fcntl.ioctl(root, 0x9360 if ended else 0x9361, token)
            assert os.waitpid(client, 0)[1] == 0
            # The server is in the namespace, and keeps it.
            assert os.spawnvp(os.P_WAIT, mount[0], [mount[0], "unmount", directory]) == 0
            """

        @Test func `a mount that an automount asks for comes, and who waits sees it`() throws {
            try withMount { mount in
                try mount.stop()
                let command =
                    ["unshare", "-m"]
                    + Python.command(
                        Self.script,
                        [mount.root, Machine.devfs, "mount", mount.device, mount.root])
                let output = try Child(command).wait(within: .seconds(40))
                #expect(output.status == 0, "\(output)")
                #expect(output.text.hasPrefix("devfs "), "\(output)")
            }
        }
    }
}
