import Testing

/// Scripts of an ordinary user, in a mount namespace of their own: there `/dev/fuse` is open to all,
/// as on any distribution, and nothing is left when the last process has ended.
enum UserSession {
    /// Why there can't be one; nil where there can.
    static let whyNot: String? = {
        if !Machine.canBeOthers { return Machine.whyNotOthers }
        let check = "command -v fusermount3 && \(user) \(Machine.devfs) --version"
        if Machine.shell(check) == nil {
            return "needs fusermount3, and a devfs that an ordinary user can start"
        }
        return nil
    }()

    private static let user = "setpriv --reuid 65534 --regid 65534 --clear-groups --"

    /// Runs as root: `$1` an empty directory, `$2` the script, `$3` devfs, `$4` options of `/dev/shm`.
    private static let setUp = """
        mount -t tmpfs -o mode=755 devfs-test "$1"
        mount -t tmpfs -o mode=1777"$4" devfs-test /dev/shm
        mknod -m 666 "$1/fuse" c 10 229
        mount --bind "$1/fuse" /dev/fuse
        mkdir -m 700 "$1/run" "$1/home" "$1/mnt"
        chown 65534:65534 "$1/run" "$1/home" "$1/mnt"
        cd "$1/mnt"
        exec \(user) env -i PATH="$PATH" HOME="$1/home" XDG_RUNTIME_DIR="$1/run" DEVFS="$3" \\
            TOP="$1" MNT="$1/mnt" bash -euo pipefail -c "$2"
        """

    private static let prelude = """
        start() {
            "$DEVFS" mount -f "$@" memory:user "$MNT" 2> "$HOME/log" & server=$!
            for try in {1..1000}; do
                [ ! -e "$MNT/version" ] || break
                kill -0 $server || { cat "$HOME/log"; exit 1; }
                read -t 0.01 < <(:) || :
            done
            cd "$MNT"
        }
        finish() {
            cd /
            kill ${server:-} 2> /dev/null && wait $server || :
            fusermount3 -u -z -q "$MNT" || :
            "$DEVFS" device remove memory:user 2> /dev/null || :
        }
        refused() {
            local why=$1; shift
            if LC_ALL=C "$@" 2> "$HOME/error"; then echo "not refused: $*"; exit 1; fi
            grep -q "$why" "$HOME/error" || { cat "$HOME/error"; exit 1; }
        }
        trap finish EXIT
        trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR

        """

    /// Runs `script` as uid 65534 with `start OPTIONS` and `refused TEXT COMMAND` to use.
    /// - Parameter sharedMemory: options of the tmpfs on `/dev/shm`.
    static func run(
        _ script: String, sharedMemory: String = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let directory = try #require(Machine.shell("mktemp -d \(Janitor.prefix)user-XXXXXX"))
            .split(separator: "\n").joined()
        defer { _ = Machine.shell("rmdir \(directory)") }
        let command = [
            "unshare", "-m", "--propagation", "private", "bash", "-euc", setUp, "setup",
            directory, prelude + script, Machine.devfs, sharedMemory,
        ]
        let output = try Child(command).wait(within: .seconds(30))
        #expect(
            output.status == 0, "\(output.text)\(output.error)", sourceLocation: sourceLocation)
    }
}
