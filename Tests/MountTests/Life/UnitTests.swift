import Glibc
import Testing

extension MountTests {
    /// `devfs@.service` under a real systemd: a user manager as root, in namespaces and a cgroup of its
    /// own. It has its own /run, and with it its own memory devices.
    @Suite(.enabled(if: Machine.whyNoSystemd == nil, "\(Machine.whyNoSystemd ?? "")"))
    struct Unit {
        /// Runs bash lines there; `$M` is where devfs@lab mounts, `state` what systemd says of it.
        private func run(_ lines: String) throws -> Output {
            let inner = """
                set -eu
                mount -t tmpfs tmpfs /run
                mount -t tmpfs tmpfs /mnt
                mkdir -p /run/user/0/systemd/user /run/home /run/systemd/system
                export XDG_RUNTIME_DIR=/run/user/0 HOME=/run/home
                sed 's,/usr/local/bin/devfs,\(Machine.devfs),; s,=-/etc/,=-/run/,' \
                    \(Machine.package)/mount-helpers/devfs@.service \
                    > /run/user/0/systemd/user/devfs@.service
                if [ -e /sys/fs/cgroup/cgroup.procs ]; then
                    mount -t cgroup2 cgroup2 /sys/fs/cgroup
                else
                    mount -t tmpfs tmpfs /sys/fs/cgroup
                    mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
                    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
                    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
                fi
                systemd --user > /run/log 2>&1 &
                trap 'status=$?; [ $status = 0 ] || cat /run/log >&2; exit $status' EXIT
                eventually() {
                    for try in {1..1000}; do
                        ! "$@" 2> /dev/null || return 0
                        read -t 0.01 < <(:) || :
                    done
                    echo "never: $*" >&2
                    return 1
                }
                unit() { systemctl --user "$@"; }
                state() { unit show -P "$1" devfs@lab; }
                # Its own files may differ, `degraded` is up as well.
                is_up() { [[ $(unit is-system-running) =~ running|degraded ]]; }
                eventually is_up
                M=/mnt/devfs/lab
                \(lines)
                """
            let outer = """
                set -eu
                groups=()
                for root in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
                    [ -e $root/cgroup.procs ] || continue
                    mkdir $root/devfs-test-$$
                    groups+=($root/devfs-test-$$)
                    echo $BASHPID > $root/devfs-test-$$/cgroup.procs
                done
                end() {
                    for group in "${groups[@]}"; do
                        echo $BASHPID > ${group%/*}/cgroup.procs
                        for try in {1..100}; do
                            find $group -depth -type d -exec rmdir {} + 2> /dev/null && break
                            sleep 0.02
                        done
                    done
                }
                trap end EXIT
                unshare --mount --pid --fork --kill-child --cgroup --mount-proc bash -c "$1"
                """
            return try Child(["bash", "-c", outer, "bash", inner]).wait(within: .seconds(45))
        }

        @Test func `a server that is killed comes back by itself, with the same bytes`() throws {
            let output = try run(
                """
                echo OPTIONS=size=8M > /run/devfs.conf
                mkdir -p /run/devfs
                mv /run/devfs.conf /run/devfs/lab.conf
                unit start devfs@lab
                stat -f -c %b $M
                echo "rx 4K" > $M/control/alloc
                echo bytes | dd of=$M/buffers/rx conv=notrunc status=none
                for kill in 1 2 3; do
                    server=$(state MainPID)
                    kill -KILL $server
                    eventually grep -q bytes $M/buffers/rx
                    is_another() { [ $(state MainPID) -gt $server ]; }
                    eventually is_another
                    state ActiveState
                done
                """)
            #expect(output.status == 0, "\(output)")
            #expect(output.text == "2048\nactive\nactive\nactive\n", "\(output)")
        }

        @Test func `a service whose mount is in use ends well when it is stopped`() throws {
            let output = try run(
                """
                unit start devfs@lab
                echo "rx 4K" > $M/control/alloc
                exec 5< $M/buffers/rx
                unit stop devfs@lab
                state ActiveState
                state Result
                ! grep " $M " /proc/mounts
                """)
            #expect(output.status == 0, "\(output)")
            #expect(output.text == "inactive\nsuccess\n", "\(output)")
        }

        @Test func `systemctl status tells what is served, and reload gives it another size`()
            throws
        {
            let output = try run(
                """
                mkdir -p /run/devfs
                echo 'OPTIONS=size=8M,umask=007' > /run/devfs/lab.conf
                unit start devfs@lab
                state StatusText
                echo 'OPTIONS=size=16M,umask=007' > /run/devfs/lab.conf
                unit reload devfs@lab
                stat -f -c %b $M
                echo 'OPTIONS=size=16M,umask=000' > /run/devfs/lab.conf
                ! unit reload devfs@lab 2> /dev/null
                state ActiveState
                unit stop devfs@lab
                """)
            #expect(output.status == 0, "\(output)")
            let lines = output.text.split(separator: "\n")
            #expect(lines.first?.hasPrefix("Serving memory:lab on /mnt/devfs/lab, ") == true)
            #expect(lines.dropFirst() == ["4096", "active"], "\(output)")
        }

        /// Whatever is in OPTIONS is one word: neither a space nor a quotation mark begins another.
        @Test(arguments: ["size=8M, uid=0", "size=8M -f", "size=8M;true", "\\\"size=8M\\\" uid=0"])
        func `options that are none end the service at once, with the reason`(options: String)
            throws
        {
            let output = try run(
                """
                mkdir -p /run/devfs
                echo "OPTIONS=\(options)" > /run/devfs/lab.conf
                ! unit start devfs@lab 2> /dev/null
                state ActiveState
                state NRestarts
                state ExecMainStatus
                state StatusErrno
                ! grep " $M " /proc/mounts
                """)
            #expect(output.status == 0, "\(output)")
            #expect(output.text == "failed\n0\n78\n0\n", "\(output)")
        }

        @Test func `an option in quotation marks is the option`() throws {
            let output = try run(
                """
                mkdir -p /run/devfs
                echo 'OPTIONS="size=8M,umask=007"' > /run/devfs/lab.conf
                unit start devfs@lab
                stat -f -c %b $M
                unit stop devfs@lab
                """)
            #expect(output.status == 0 && output.text == "2048\n", "\(output)")
        }
    }
}
