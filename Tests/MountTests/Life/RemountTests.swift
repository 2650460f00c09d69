import Glibc
import Testing

extension MountTests {
    /// "A server of the same device that is ending is waited for", and a bind mount of a dead tree
    /// is not taken away: docs/man/devfs-mount.1.md.
    @Suite struct Remount {
        private func devfs(_ words: String...) throws -> Output {
            try Child([Machine.devfs] + words).wait(within: .seconds(40))
        }

        /// Kills the server of a mount in the background, and does not wait for its end.
        private func kill(_ mount: Mount) throws {
            let line = try mount.value("status").split(separator: "\n")
                .first { $0.hasPrefix("server") }
            let pid = try #require(line?.split(separator: " ").last.flatMap { pid_t($0) })
            _ = try checked { Glibc.kill(pid, SIGKILL) }
        }

        @Test func `a mount at once after a kill waits for the server that is ending`() throws {
            try withMount(.best, "size=512M") { mount in
                try mount.stop()
                #expect(try devfs("mount", mount.device, mount.root).status == 0)
                for round in 0..<25 {
                    try mount.bash("echo 'b\(round) 4k' > control/alloc")
                    try kill(mount)
                    let output = try devfs("mount", mount.device, mount.root)
                    #expect(output.status == 0, "round \(round): \(output.error)")
                }
                #expect(names(in: mount.path("buffers")).count == 25)
                #expect(try devfs("unmount", mount.root).status == 0)
            }
        }

        @Test func `a mount at once after a kill works with 10,000 buffers, too`() throws {
            try withMount(.best, "size=512M") { mount in
                try mount.stop()
                #expect(try devfs("mount", mount.device, mount.root).status == 0)
                try mount.bash(
                    "for n in {1..10000}; do echo \"b$n 4k\"; done | split -l 100 --filter="
                        + "'cat > control/alloc'")
                for round in 0..<3 {
                    try kill(mount)
                    let output = try devfs("mount", mount.device, mount.root)
                    #expect(output.status == 0, "round \(round): \(output.error)")
                }
                #expect(names(in: mount.path("buffers")).count == 10000)
                #expect(try devfs("unmount", mount.root).status == 0)
            }
        }

        /// All threads of it are: any of them could answer. `proc_pid_stat(5)`
        private func isStopped(_ pid: pid_t) -> Bool {
            names(in: "/proc/\(pid)/task").allSatisfy { thread in
                let stat = try? text(of: "/proc/\(pid)/task/\(thread)/stat")
                return stat?.split(separator: ")").last?.first { $0 != " " } == "T"
            }
        }

        /// A process that has the device's lock as a server has it, was killed, and ends no sooner
        /// than the server of another mount, which is stopped, answers its read.
        @Test(.enabled(if: Machine.isRoot, "another user's devices are elsewhere"))
        func `a killed process that has the lock is waited for until it has ended`() throws {
            try withMount { mount in
                try mount.stop()
                try withMount(.served) { other in
                    try other.put("go software\n", "control/signal")
                    let name = mount.device.split(separator: ":")[1]
                    let holder = try other.startPython(
                        """
                        import fcntl
                        fd = os.open("/run/devfs/\(name)/lock", os.O_RDWR)
                        whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1 << 62, 0)
                        fcntl.fcntl(fd, 37, whole)  # F_OFD_SETLK
                        fcntl.lockf(fd, fcntl.LOCK_EX, 1, 1 << 62)
                        open("signals/go/wait", "rb", buffering=0).read(100)
                        """)
                    #expect(holder.waitsOn("signals/go/wait"), "\(holder.errorSoFar)")
                    other.server.signal(SIGSTOP)
                    defer { other.server.signal(SIGCONT) }
                    #expect(holds { isStopped(other.server.pid) })
                    holder.signal(SIGKILL)
                    #expect(holds { holder.state == "D" })
                    let next = try Child([Machine.devfs, "mount", mount.device, mount.root])
                    // It has looked more often than at a living one.
                    #expect(!holds(within: .milliseconds(800)) { !next.runs })
                    other.server.signal(SIGCONT)
                    _ = try holder.wait()
                    let output = try next.wait()
                    #expect(output.status == 0, "\(output.error)")
                    #expect(try devfs("unmount", mount.root).status == 0)
                }
            }
        }

        @Test func `a mount of a device that is served is EBUSY at once`() throws {
            try withMount { mount in
                let start = ContinuousClock.now
                let output = try devfs("mount", mount.device, mount.directory)
                #expect(output.status == 1 && output.error.contains("it is mounted at"))
                #expect(ContinuousClock.now - start < .seconds(5))
            }
        }

        /// Runs bash lines in a mount namespace of their own, `$DEVFS` on `memory:$NAME`.
        private func run(_ lines: String) throws -> Output {
            let script = """
                set -eu
                DEVFS=\(Machine.devfs) NAME=t-remount-\(getpid())
                DIR=$(mktemp -d \(Janitor.prefix)remount-XXXXXX)
                mkdir $DIR/dma $DIR/bind
                \(Janitor.removeDevice)
                end() {
                    status=$?
                    set +e
                    cd /
                    umount -l $DIR/bind $DIR/dma 2> /dev/null
                    remove_device $NAME
                    rm -rf --one-file-system $DIR
                    exit $status
                }
                trap end EXIT
                serving() { sed -n 's/^server.* pid //p' $DIR/dma/status; }
                $DEVFS mount memory:$NAME $DIR/dma
                \(lines)
                """
            return try Child(["unshare", "-m", "bash", "-c", script]).wait(within: .seconds(45))
        }

        /// docs/man/mount.devfs.8.md: "A remount changes `size=` and `huge=` of a memory device"
        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `a remount gives a memory device another size, and its users another limit`() throws {
            let output = try run(
                """
                $DEVFS mount -o remount,size=8M memory:$NAME $DIR/dma
                stat -f -c %b $DIR/dma
                ! truncate -s 9M $DIR/dma/buffers/a 2> /dev/null
                $DEVFS mount -o remount,size=128M,ro memory:$NAME $DIR/dma
                stat -f -c %b $DIR/dma
                # The files that it can have follow.
                [ $(stat -f -c %c /run/devfs/$NAME/data) = 398304 ]
                ! touch $DIR/dma/buffers/b 2> /dev/null
                $DEVFS mount -o remount,rw memory:$NAME $DIR/dma
                rm -f $DIR/dma/buffers/a
                truncate -s 100M $DIR/dma/buffers/a
                fallocate -l 100M $DIR/dma/buffers/a
                $DEVFS mount -o remount,size=8M memory:$NAME $DIR/dma 2>&1 && exit 3
                stat -f -c %b $DIR/dma
                $DEVFS unmount $DIR/dma
                """)
            #expect(output.status == 0, "\(output)")
            let lines = output.text.split(separator: "\n")
            #expect(lines.count == 4 && lines[2].contains("more than that is in use"), "\(output)")
            #expect([lines[0], lines[1], lines[3]] == ["2048", "32768", "32768"], "\(output)")
        }

        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `a remount names what it can't change, and changes nothing`() throws {
            let output = try run(
                """
                $DEVFS unmount $DIR/dma
                $DEVFS mount memory:$NAME $DIR/dma -o uid=12,umask=027,allow_other
                $DEVFS mount -o remount,ro,uid=12,umask=027,allow_other memory:$NAME $DIR/dma
                $DEVFS mount -o remount,rw,uid=13,gid=5,umask=027 memory:$NAME $DIR/dma 2>&1 && exit 3
                grep -o " $DIR/dma fuse.devfs r[ow]" /proc/mounts | grep -o 'r.$'
                $DEVFS unmount $DIR/dma
                """)
            #expect(output.status == 0, "\(output)")
            #expect(output.text.contains("(gid, uid can't be changed while it is"), "\(output)")
            #expect(output.text.hasSuffix("\nro\n"), "\(output)")
        }

        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `a bind mount of a dead tree is named, and nothing reaches the disk below it`() throws
        {
            let output = try run(
                """
                mount --bind $DIR/dma/buffers $DIR/bind
                kill -KILL $(serving)
                $DEVFS mount memory:$NAME $DIR/dma 2>&1 && exit 3
                ! touch $DIR/bind/x 2> /dev/null
                umount $DIR/bind
                $DEVFS mount memory:$NAME $DIR/dma
                [ -s $DIR/dma/version ]
                $DEVFS unmount $DIR/dma
                """)
            #expect(output.status == 0, "\(output)")
            #expect(output.text.contains("run umount \(Janitor.prefix)remount-"), "\(output)")
        }

        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `what is mounted on a dead tree is named, with what takes it away`() throws {
            let output = try run(
                """
                mount -t tmpfs tmpfs $DIR/dma/control/heaps
                kill -KILL $(serving)
                why=$($DEVFS mount memory:$NAME $DIR/dma 2>&1) && exit 3
                remedy=$(grep -o "devfs unmount --lazy [^,]*" <<< "$why")
                [ "$remedy" = "devfs unmount --lazy $DIR/dma" ]
                $DEVFS ${remedy#devfs }
                ! grep -q $DIR/dma /proc/self/mountinfo
                $DEVFS mount memory:$NAME $DIR/dma
                [ -s $DIR/dma/version ]
                $DEVFS unmount $DIR/dma
                """)
            #expect(output.status == 0, "\(output)")
        }

        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `unmount --force ends the server of a mount that another namespace holds`() throws {
            let output = try run(
                """
                echo kept > $DIR/dma/buffers/a
                exec 3> >(exec unshare -m --propagation private cat)
                holder=$!
                until [ "$(cat /proc/$holder/comm)" = cat ]; do sleep 0.05; done
                server=$(serving)
                $DEVFS unmount --force $DIR/dma
                ! kill -0 $server 2> /dev/null
                grep -q $DIR/dma /proc/$holder/mountinfo
                $DEVFS mount memory:$NAME $DIR/dma
                [ "$(cat $DIR/dma/buffers/a)" = kept ]
                $DEVFS unmount -f $DIR/dma
                exec 3>&-
                """)
            #expect(output.status == 0, "\(output)")
        }

        @Test(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
        func `who holds a mount in another namespace is named`() throws {
            let output = try run(
                """
                exec 3> >(exec unshare -m --propagation private cat)
                for try in $(seq 100); do
                    holder=$!
                    own=$(readlink /proc/self/ns/mnt)
                    [ "$(readlink /proc/$holder/ns/mnt)" = "$own" ] || break
                    sleep 0.05
                done
                until [ "$(cat /proc/$holder/comm)" = cat ]; do sleep 0.05; done
                server=$(serving)
                $DEVFS unmount $DIR/dma 2>&1 && exit 3
                $DEVFS mount memory:$NAME $DIR/dma 2>&1 && exit 4
                echo "holder $holder"
                nsenter -t $holder -m umount $DIR/dma
                exec 3>&-
                while kill -0 $server 2> /dev/null; do sleep 0.05; done
                """)
            let holder = output.text.split(separator: "\n").last?.split(separator: " ").last ?? "?"
            let named = "process \(holder) (cat), on /tmp/devfs-test-"
            #expect(output.status == 0, "\(output)")
            #expect(output.text.ranges(of: named).count == 2, "\(output)")
            #expect(output.text.contains("; `kill "), "\(output)")
        }
    }
}
