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
                "$DEVFS" mount memory:user "$MNT"
                [ -s "$MNT/version" ]
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
    }
}
