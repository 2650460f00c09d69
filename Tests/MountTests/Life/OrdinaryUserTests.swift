import Testing

extension MountTests {
    /// "Where the server is an ordinary user they are in a directory of that user's on a tmpfs
    /// (`$XDG_RUNTIME_DIR`, else `/dev/shm`); there is no passthrough then, and the server keeps the
    /// limit."
    @Suite(.enabled(if: UserSession.whyNot == nil, "\(UserSession.whyNot ?? "")"))
    struct OrdinaryUser {
        @Test func `he mounts, allocates, and dd gives back what it was given`() throws {
            try UserSession.run(
                """
                start -o size=8M
                [ -e "$XDG_RUNTIME_DIR/devfs/user" ]
                grep -q '^passthrough no .' features
                grep -q '^private_tmpfs no .' features
                head -c 2M /dev/urandom > "$HOME/image"
                echo 'a 2M' > control/alloc; truncate -s 1M buffers/b; fallocate -l 4k buffers/c
                dd if="$HOME/image" of=buffers/a bs=64k conv=notrunc status=none
                cmp "$HOME/image" buffers/a
                cp "$HOME/image" buffers/d; cmp "$HOME/image" buffers/d
                [ "$(stat -c %u:%g buffers/a version | uniq)" = 65534:65534 ]
                echo 'go software' > control/signal
                head -1 signals/go/wait > "$HOME/line" & reader=$!
                until [ -s "$HOME/line" ]; do echo 1 > signals/go/trigger; done
                wait $reader
                mv buffers/a buffers/e; rm buffers/b; chmod 600 buffers/e
                refused 'Operation not permitted' chown 0 buffers/e
                """)
        }

        @Test func `the server keeps the limit`() throws {
            try UserSession.run(
                """
                start -o size=4M
                head -c 1M /dev/urandom > "$HOME/image"; cp "$HOME/image" buffers/other
                refused 'No space left' dd if=/dev/zero of=buffers/rx bs=64k
                [ "$(stat -c %s buffers/rx)" -le 3145728 ]
                [ "$(stat -c %s buffers/rx)" -ge 3000000 ]
                refused 'No space left' truncate -s 4M buffers/rx
                refused 'No space left' fallocate -l 4M buffers/more
                refused 'No space left' bash -c 'echo "new 2M heap=coherent" > control/alloc'
                grep -q 'errno=ENOSPC' control/log
                cmp "$HOME/image" buffers/other
                [ "$(df -B1 --output=size . | tail -1)" -eq 4194304 ]
                rm buffers/rx; echo 'new 2M' > control/alloc
                """)
        }

        @Test func `the next mount adopts the buffers after a kill`() throws {
            try UserSession.run(
                """
                start -o size=8M
                head -c 2M /dev/urandom > "$HOME/image"; cp "$HOME/image" buffers/rx
                echo 'fixed 64K heap=contiguous direction=to_device' > control/alloc
                chmod 640 buffers/rx; touch -d '2001-02-03 UTC' buffers/rx
                before=$(stat -c '%n %i %a %u %g %s %Y' buffers/*)
                cd /; kill -KILL $server; wait $server || :
                refused 'not connected' cat "$MNT/version"
                start
                [ "$(stat -c '%n %i %a %u %g %s %Y' buffers/*)" = "$before" ]
                cmp "$HOME/image" buffers/rx
                [ "$(cat attributes/fixed/direction)" = to_device ]
                [ "$(cat control/heaps/system/size)" = 8388608 ]
                """)
        }

        @Test func `mounting in the background, unmounting and removing are his as well`() throws {
            try UserSession.run(
                """
                cd /
                # Whoever reads its output has the end of it as soon as the command has ended.
                said=$(timeout 20 "$DEVFS" mount memory:user "$MNT" 2>&1)
                [ -z "$said" ] && [ -s "$MNT/version" ]
                echo 'rx 4k' > "$MNT/control/alloc"
                refused 'busy' "$DEVFS" device remove memory:user
                "$DEVFS" unmount "$MNT"
                [ ! -e "$MNT/version" ]
                "$DEVFS" device remove memory:user
                refused 'passthrough' "$DEVFS" mount memory:user "$MNT" -o passthrough
                """)
        }

        @Test func `without XDG_RUNTIME_DIR the data are in a directory of his in dev shm`() throws
        {
            try UserSession.run(
                """
                unset XDG_RUNTIME_DIR
                start
                echo 'rx 4k' > control/alloc
                [ "$(find /dev/shm -user 65534 -type f -size 4096c | wc -l)" = 1 ]
                [ -z "$(find /dev/shm -mindepth 1 -perm /022 ! -type l ! -name socket)" ]
                """)
        }

        @Test func `mmap is ENODEV, and the log says what is missing`() throws {
            try UserSession.run(
                """
                start
                echo 'rx 4k' > control/alloc
                /usr/bin/python3 - << 'END'
                import errno, mmap, os
                try:
                    mmap.mmap(os.open("buffers/rx", os.O_RDWR), 4096)
                    raise SystemExit("it was mapped")
                except OSError as error:
                    assert error.errno == errno.ENODEV, error
                END
                grep -q 'errno=ENODEV' control/log
                """)
        }

        /// "more than the heap has | `ENOSPC` ... the log names the limit."
        @Test func `what dev shm has not got is not said to be the heap's limit`() throws {
            try UserSession.run(
                """
                unset XDG_RUNTIME_DIR
                start -o size=64M
                said() { tail -n 1 control/log | grep -q -- "$1" || { tail -n 1 control/log; exit 1; }; }
                echo 'a 6M' > control/alloc
                [ "$(cat control/heaps/system/max)" -le 2097152 ]
                [ "$(df -B1 --output=avail . | tail -n 1)" -le 2097152 ]
                refused 'No space left' bash -c 'echo "b 4M" > control/alloc'
                free=$(df -B1 --output=avail /dev/shm | tail -n 1)
                said "4194304 bytes are more than the file system of /dev/shm/devfs-65534/user/data has"
                said "has: 8388608 bytes, free $free; the heap limit is not met: size=64M, free 60817408"
                refused 'No space left' truncate -s 10M buffers/a
                said "10485760 bytes are more than the file system of /dev/shm"
                refused 'No space left' bash -c 'echo "b 100M" > control/alloc'
                rm buffers/a; echo 'b 1M' > control/alloc
                cd /; kill $server; wait $server; start -o size=2M
                refused 'No space left' bash -c 'echo "c 2M" > control/alloc'
                said '2097152 bytes are more than the heap limit leaves: size=2M, free 1048576 bytes'
                """, sharedMemory: ",size=8M")
        }

        @Test func `where no file is left, the log says so`() throws {
            try UserSession.run(
                """
                unset XDG_RUNTIME_DIR
                start
                for name in {1..20}; do echo "b$name 4K" > control/alloc || break; done 2> /dev/null
                tail -n 1 control/log |
                    grep -q 'no file is left on the file system of /dev/shm/devfs-65534/user/data, which has 40'
                """, sharedMemory: ",nr_inodes=40")
        }

        /// "With `allow_other` what another user makes on it belongs to him, and its mode keeps
        /// everybody else out of the file"
        @Test func `what another user makes on his mount is the other's, over a restart too`()
            throws
        {
            let script = """
                set -eu
                DEVFS=$1 dir=$(mktemp -d \(Janitor.prefix)other-XXXXXX)
                mount -t tmpfs -o mode=755 devfs-test $dir
                mount -t tmpfs -o mode=1777 devfs-test /dev/shm
                mknod -m 666 $dir/fuse c 10 229; mount --bind $dir/fuse /dev/fuse
                echo user_allow_other > $dir/fuse.conf; mount --bind $dir/fuse.conf /etc/fuse.conf
                mkdir -m 700 $dir/run $dir/home; mkdir $dir/mnt
                chown 65534:65534 $dir/run $dir/home $dir/mnt
                as() { setpriv --reuid $1 --regid $1 --clear-groups -- \
                    env HOME=$dir/home XDG_RUNTIME_DIR=$dir/run "${@:2}"; }
                end() {
                    status=$?
                    set +e
                    cd /
                    umount -l $dir/mnt 2> /dev/null
                    as 65534 $DEVFS device remove memory:user
                    umount -l $dir; rmdir $dir
                    exit $status
                }
                trap end EXIT
                look() {
                    cd $dir/mnt
                    [ "$(stat -c '%u:%g %a' buffers/z)" = '65533:65533 600' ]
                    [ "$(as 65533 cat buffers/z)" = secret ]
                    as 65533 chmod 640 buffers/z; as 65533 chown 65533:65533 buffers/z
                    as 65533 chmod 600 buffers/z
                    if as 65534 cat buffers/z 2> /dev/null; then exit 3; fi
                    if as 65534 chown 65534 buffers/z 2> /dev/null; then exit 4; fi
                    cd /
                }
                as 65534 $DEVFS mount -o allow_other,umask=000 memory:user $dir/mnt
                as 65533 bash -c "umask 077; echo secret > $dir/mnt/buffers/z"
                as 65533 bash -c "echo 'y 4K' > $dir/mnt/control/alloc"
                [ "$(stat -c %u $dir/mnt/buffers/y)" = 65533 ]
                look
                as 65534 kill -KILL $(sed -n 's/^server.* pid //p' $dir/mnt/status)
                as 65534 $DEVFS mount -o allow_other,umask=000 memory:user $dir/mnt
                look
                chown 65532 $dir/mnt/buffers/y
                [ "$(stat -c %u $dir/mnt/buffers/y)" = 65532 ]
                as 65533 rm -f $dir/mnt/buffers/z
                as 65534 $DEVFS unmount $dir/mnt
                """
            let output = try Child([
                "unshare", "-m", "--propagation", "private", "bash", "-c", script, "test",
                Machine.devfs,
            ]).wait(within: .seconds(40))
            #expect(output.status == 0, "\(output.text)\(output.error)")
        }
    }
}
