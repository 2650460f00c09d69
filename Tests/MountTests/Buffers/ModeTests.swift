import Glibc
import Testing

extension MountTests {
    /// Each mode does to its owner what it does on any file system, and can be undone: the server
    /// reaches the memory whatever the mode is. "kept with the buffer, over a restart"
    @Suite struct Modes {
        /// As an ordinary user, in the root of a mount: `make` the buffers, and `look` at them.
        private static let script = #"""
            denied() { if "$@" 2> "$work/why"; then echo "not denied: $*"; exit 1; fi
                grep -q 'Permission denied' "$work/why" || { cat "$work/why"; exit 1; }; }
            modes='000 200 400 444 600 644 777'
            make() {
                for mode in $modes; do printf "bytes$mode" > buffers/m$mode; chmod $mode buffers/m$mode; done
                (umask 777; printf made > buffers/umask777)
                python3 - << 'END'
            import os
            fd = os.open("buffers/create0", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0)
            os.write(fd, b"made")
            assert os.pread(fd, 4, 0) == b"made"
            os.ftruncate(fd, 5000)
            os.ftruncate(fd, 4)
            END
                (umask 777; install -m 0 /dev/null buffers/install0; echo 'alloc0 4K heap=coherent' > control/alloc)
                chmod 0 buffers/alloc0
            }
            look() {
                for mode in $modes; do
                    file=buffers/m$mode
                    [ "$(stat -c %03a $file)" = $mode ]
                    case $mode in 0*|2*) denied cat $file ;; *) [ "$(cat $file)" = bytes$mode ] ;; esac
                    case $mode in 0*|4*) denied dd of=$file conv=notrunc status=none ;;
                        *) printf B | dd of=$file conv=notrunc status=none; printf b | dd of=$file conv=notrunc status=none ;; esac
                    case $mode in 0*|4*) denied truncate -s 10 $file ;; *) truncate -s 10 $file; truncate -s 8 $file ;; esac
                    chmod 644 $file; [ "$(cat $file)" = bytes$mode ]; echo 8 > attributes/m$mode/size
                    chmod $mode $file
                done
                for name in umask777 create0; do
                    [ "$(stat -c %a buffers/$name)" = 0 ]; denied cat buffers/$name
                    chmod 400 buffers/$name; [ "$(cat buffers/$name)" = made ]; chmod 0 buffers/$name
                done
                [ "$(stat -c %a%s buffers/install0 buffers/alloc0 | tr '\n' ' ')" = '00 04096 ' ]
                chmod 600 buffers/alloc0; printf x > buffers/alloc0; chmod 0 buffers/alloc0
            }
            gone() { rm -f buffers/*; [ -z "$(ls buffers)" ]; }

            """#

        @Test(.enabled(if: UserSession.whyNot == nil, "\(UserSession.whyNot ?? "")"))
        func `on the mount of an ordinary user`() throws {
            try UserSession.run(
                Self.script
                    + """
                    work=$HOME
                    start; make; look
                    cd /; kill $server; wait $server; start; look
                    cd /; kill -KILL $server; wait $server || :; start; look; gone
                    """)
        }

        @Test(
            .enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"), arguments: Mode.here
        )
        func `on root's mount that others use`(mode: Mode) throws {
            try withMount(mode, "umask=000,allow_other") { mount in
                func user(_ what: String) throws {
                    try mount.bash(
                        """
                        work=$(mktemp -d /tmp/devfs-test-XXXXXX); chmod 777 $work
                        trap 'rm -rf "$work"' EXIT
                        setpriv --reuid 65534 --regid 65534 --clear-groups -- \\
                            env work=$work bash -euo pipefail -c "$(cat << 'SCRIPT'
                        \(Self.script)\(what)
                        SCRIPT
                        )"
                        """)
                }
                try user("make; look")
                try mount.stop()
                try mount.start()
                try user("look")
                try mount.stop(SIGKILL)
                try mount.start()
                try user("look; gone")
            }
        }

        @Test(.enabled(if: Machine.isRoot, "needs root"), arguments: Mode.here)
        func `on root's own mount, where no mode keeps root out`(mode: Mode) throws {
            try withMount(mode) { mount in
                let look = "denied() { :; }; dd() { cat > /dev/null; }; truncate() { :; }; look"
                try mount.bash("work=$PWD/..\n\(Self.script)make; \(look)")
                for signal in [SIGTERM, SIGKILL] {
                    try mount.stop(signal)
                    try mount.start()
                    try mount.bash("work=$PWD/..\n\(Self.script)\(look)")
                    try mount.bash(
                        "for m in 000 200 444; do [ \"$(cat buffers/m$m)\" = bytes$m ]; done")
                }
            }
        }
    }
}
