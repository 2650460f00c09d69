import Glibc
import Testing

extension MountTests {
    /// What systemd and its journal are told, with a listener in the place of each.
    @Suite(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
    struct Service {
        /// Keeps what comes to a datagram socket as lines of Python's `repr`.
        private static let listener = """
            import os, socket, sys
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener.bind(sys.argv[1] + ".new")
            os.rename(sys.argv[1] + ".new", sys.argv[1])
            with open(sys.argv[2], "w", buffering=1) as lines:
                while True:
                    print(repr(listener.recv(65536).decode()), file=lines)
            """

        /// Runs bash lines with a /run of their own; `listen SOCKET FILE` starts a listener.
        private func run(_ lines: String) throws -> Output {
            let script = """
                set -eu
                mount -t tmpfs tmpfs /run
                mkdir -p /run/systemd/journal /run/mnt
                listen() {
                    \(Machine.python) -c "$listener" $1 $2 &
                    listeners+=($!)
                    until [ -S $1 ]; do sleep 0.02; done
                }
                come() { until grep -q "$1" $2; do sleep 0.02; done; }
                listeners=()
                end() {
                    status=$?
                    kill "${listeners[@]}" || :
                    umount -l /run/mnt || :
                    exit $status
                }
                trap end EXIT
                \(lines)
                """
            return try Child([
                "env", "listener=\(Self.listener)", "unshare", "-m", "timeout", "40", "bash", "-c",
                script,
            ]).wait(within: .seconds(45))
        }

        @Test func `a server in the foreground tells the manager of services`() throws {
            let output = try run(
                """
                listen /run/notify /run/said
                NOTIFY_SOCKET=/run/notify \(Machine.devfs) mount -f memory:s /run/mnt 2> /dev/null &
                come READY=1 /run/said
                [ -s /run/mnt/version ]
                kill $!
                wait $!
                come STOPPING=1 /run/said
                export NOTIFY_SOCKET=/run/notify
                \(Machine.devfs) mount -f memory:s /run/none 2> /dev/null || :
                come ERRNO /run/said
                cat /run/said
                """)
            #expect(output.status == 0, "\(output)")
            let lines = output.text.split(separator: "\n")
            #expect(lines.count == 3, "\(output)")
            let ready = "READY=1\\nSTATUS=Serving memory:s on /run/mnt, "
            #expect(lines[0].contains(ready), "\(lines)")
            #expect(lines[1].contains("STOPPING=1"), "\(lines)")
            #expect(lines[2].contains("STATUS=mounting on /run/none: No such file"), "\(lines)")
            #expect(lines[2].contains("ERRNO=2"), "\(lines)")
        }

        @Test func `the name of an abstract socket is one`() throws {
            let output = try run(
                """
                exec 3< <(\(Machine.python) -uc '
                import socket
                listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                listener.bind("\\0devfs-test-\(getpid())")
                print("listens")
                print(listener.recv(65536).decode().split()[0])')
                read -r word <&3
                NOTIFY_SOCKET=@devfs-test-\(getpid()) \(Machine.devfs) mount -f memory:s /run/mnt \
                    2> /dev/null &
                read -r word <&3
                kill $!
                wait $!
                echo $word
                """)
            #expect(output.text == "READY=1\n", "\(output)")
        }

        /// docs/man/devfs-mount.1.md: "entries of systemd's journal, with a priority and these
        /// fields"
        @Test func `refused commands are entries of the journal with fields`() throws {
            let output = try run(
                """
                listen /run/systemd/journal/socket /run/entries
                \(Machine.python) -c '
                import os, socket
                listener = socket.socket(socket.AF_UNIX)
                listener.bind("/run/systemd/journal/stdout")
                listener.listen()
                open("/run/listens", "w").close()
                while listener.accept()[0].recv(65536):
                    pass' &
                listeners+=($!)
                until [ -e /run/listens ]; do sleep 0.02; done
                \(Machine.devfs) mount memory:s /run/mnt
                ! echo "so what" > /run/mnt/control/alloc
                come refused /run/entries
                cat /run/entries
                \(Machine.devfs) unmount /run/mnt
                """)
            #expect(output.status == 0, "\(output)")
            for field in [
                "MESSAGE=refused: pid=", "PRIORITY=5", "SYSLOG_IDENTIFIER=devfs",
                "DEVFS_DEVICE=memory:s", "DEVFS_MOUNTPOINT=/run/mnt", "DEVFS_UID=0",
                "DEVFS_FILE=control/alloc", "DEVFS_COMMAND=so what", "DEVFS_ERRNO=EINVAL",
            ] {
                #expect(output.text.contains(field), "no \(field): \(output)")
            }
        }

        @Test func `a strict umask of who mounts shuts nobody out of the socket`() throws {
            let output = try run(
                """
                (umask 077; \(Machine.devfs) mount memory:s /run/mnt -o allow_other)
                stat -c %a /run/devfs /run/devfs/s
                \(Machine.devfs) unmount /run/mnt
                """)
            #expect(output.text == "755\n755\n", "\(output)")
        }
    }
}
