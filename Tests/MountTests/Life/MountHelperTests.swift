import Glibc
import Testing

extension MountTests {
    /// "mount(8) and `mount -a` call this helper for the type `devfs`."
    ///
    /// In a mount namespace of its own, where the helper lies over /usr/sbin and the line over
    /// /etc/fstab: the machine's own files are not touched.
    @Suite(
        .enabled(
            if: Machine.canBeOthers && Machine.hasOverlays,
            "needs root, and overlayfs to put the helper where mount(8) looks"))
    struct MountHelper {
        /// Runs bash lines there; `$DIR` is a directory of their own, `memory:$NAME` a device.
        private func run(_ lines: String) throws -> Output {
            let name = "t-helper-\(getpid())"
            let script = """
                set -eu
                NAME=\(name)
                DIR=$(mktemp -d /tmp/devfs-test-helper-XXXXXX)
                mkdir $DIR/sbin $DIR/dma $DIR/two
                cp \(Machine.package)/mount-helpers/mount.devfs $DIR/sbin
                ln -s mount.devfs $DIR/sbin/mount.fuse.devfs
                ln -s \(Machine.devfs) $DIR/sbin/devfs
                mount -t overlay overlay -o lowerdir=$DIR/sbin:/usr/sbin /usr/sbin
                \(Janitor.removeDevice)
                end() {
                    status=$?
                    set +e
                    cd /
                    umount -l $DIR/dma $DIR/two 2> /dev/null
                    remove_device $NAME
                    umount /usr/sbin /etc/fstab 2> /dev/null
                    rm -rf $DIR
                    exit $status
                }
                trap end EXIT
                \(lines)
                """
            return try Child(["unshare", "-m", "bash", "-c", script]).wait(within: .seconds(40))
        }

        @Test func `mount -t devfs takes the options and prints nothing`() throws {
            let output = try run(
                """
                mount -t devfs memory:$NAME $DIR/dma \
                    -o size=64M,uid=1000,gid=1000,umask=007,allow_other,heap=system
                stat -c '%u %g %a' $DIR/dma/buffers
                stat -f -c '%b' $DIR/dma
                truncate -s 1M $DIR/dma/buffers/a
                stat -c '%u %g %a' $DIR/dma/buffers/a
                umount $DIR/dma
                """)
            #expect(output.status == 0, "\(output)")
            #expect(output.text == "1000 1000 770\n16384\n1000 1000 640\n", "\(output)")
            #expect(output.error == "")
        }

        /// docs/man/mount.devfs.8.md: "changes `ro` and the other options of mount(8). It is for
        /// root."
        @Test func `remount changes ro and the like with the line in fstab`() throws {
            let output = try run(
                """
                echo "memory:$NAME $DIR/dma devfs size=64M,umask=0,allow_other,noauto,nofail 0 0" \
                    > $DIR/fstab
                mount --bind $DIR/fstab /etc/fstab
                mount $DIR/dma
                echo bytes > $DIR/dma/buffers/a
                ask() {
                    python3 -c "
                import socket, sys
                peer = socket.socket(socket.AF_UNIX)
                peer.connect(open('$DIR/dma/control/socket').read().strip())
                peer.sendall(b'buffer a $1\\n')
                print(socket.recv_fds(peer, 99, 1)[0].decode().split()[:2])"
                }
                ask rw
                mount -o remount,ro,noexec $DIR/dma
                ! { echo more > $DIR/dma/buffers/a; } 2> $DIR/why
                grep -o 'Read-only file system' $DIR/why
                ask rw; ask ro
                grep -o "$DIR/dma ro,nosuid,nodev,noexec," /proc/self/mountinfo | cut -d' ' -f2
                mount -o remount,rw,exec $DIR/dma
                echo more > $DIR/dma/buffers/a
                ask rw
                grep -o "$DIR/dma rw,[^ ]*" /proc/self/mountinfo | cut -d" " -f2
                exec 3>> $DIR/dma/buffers/a
                ! mount -o remount,ro $DIR/dma 2> $DIR/why
                grep -o 'a file is open for writing' $DIR/why
                exec 3>&-
                umount $DIR/dma
                ! mount -o remount,ro $DIR/dma 2> /dev/null
                """)
            #expect(output.status == 0, "\(output)")
            #expect(
                output.text == """
                    ['ok']
                    Read-only file system
                    ['error', 'EROFS']
                    ['ok']
                    ro,nosuid,nodev,noexec,
                    ['ok']
                    rw,nosuid,nodev,relatime
                    a file is open for writing

                    """, "\(output)")
        }

        @Test func `an fstab line works, with the options that are not for us`() throws {
            let output = try run(
                """
                echo "memory:$NAME $DIR/two devfs \
                size=32M,nofail,_netdev,x-systemd.automount,noatime,noexec,ro 0 0" > $DIR/fstab
                mount --bind $DIR/fstab /etc/fstab
                mount $DIR/two
                grep " $DIR/two " /proc/mounts | cut -d' ' -f3,4
                touch $DIR/two/buffers/x 2> /dev/null || echo refused
                umount $DIR/two
                mount -a
                cat $DIR/two/version
                umount $DIR/two
                """)
            #expect(output.status == 0, "\(output)")
            let lines = output.text.split(separator: "\n")
            #expect(lines.count == 3 && lines[1] == "refused", "\(output)")
            for option in ["fuse.devfs ro", "noexec", "noatime"] {
                #expect(lines.first?.contains(option) == true, "\(option): \(output)")
            }
        }

        @Test func `what /proc/mounts says of a mount mounts it again`() throws {
            let output = try run(
                """
                mount -t fuse.devfs memory:$NAME $DIR/dma -o size=8M,allow_other
                read -r source place type options rest < <(grep " $DIR/dma " /proc/mounts)
                umount $DIR/dma
                mount -t $type -o $options $source $place
                cat $DIR/dma/version
                umount $DIR/dma
                echo "$source $place $type $options,rootmode=40000,nonempty,fsname=x 0 0" \
                    > $DIR/fstab
                mount --bind $DIR/fstab /etc/fstab
                mount $DIR/dma
                grep -c "^memory:$NAME $DIR/dma fuse.devfs" /proc/mounts
                umount $DIR/dma
                """)
            #expect(output.status == 0, "\(output)")
            #expect(output.text.hasPrefix("devfs ") && output.text.hasSuffix("\n1\n"), "\(output)")
        }

        @Test func `an unknown option is mount's failure, 32, and named`() throws {
            let output = try run(
                """
                mount -t devfs memory:$NAME $DIR/dma -o frobnicate || echo "status $?"
                mount -s -t devfs memory:$NAME $DIR/dma -o frobnicate && cat $DIR/dma/version
                umount $DIR/dma
                """)
            #expect(output.text.hasPrefix("status 32\ndevfs "), "\(output)")
            #expect(output.error.contains("frobnicate"))
        }
    }
}
