import Glibc

/// Cleans up behind a test run that was killed: its servers, mounts, devices and directories.
///
/// A run that ends by itself has taken everything away already, and then it finds nothing to do.
enum Janitor {
    /// Where the mounts of this process are made; each run has names of its own.
    static let prefix = "/tmp/devfs-test-\(getpid())-"

    /// The janitor's process, started at first use; it ends after this process.
    static let pid: pid_t? = {
        let child = try? Child(["bash", "-c", script, "janitor", "\(getpid())", Machine.devfs])
        guard let child else { return nil }
        // Its deinit would end it.
        return unsafe Unmanaged.passRetained(child).takeUnretainedValue().pid
    }()

    /// `remove_device NAME` in bash: a server that was just told to end may have it for a moment.
    static let removeDevice = """
        remove_device() {
            for try in $(seq 50); do
                \(Machine.devfs) device remove memory:$1 2> /dev/null && break
                [ -e /run/devfs/$1 ] || break
                sleep 0.1
            done
        }
        """

    private static let script = """
        for fd in /proc/$$/fd/*; do
            n=${fd##*/}; [ "$n" -le 2 ] || [ "$n" -ge 255 ] || eval "exec $n>&-"
        done
        tail --pid="$1" -f /dev/null
        rm -f /tmp/devfs-test-"$1"-allocations.so
        for directory in /tmp/devfs-test-"$1"-*; do
            [ -d "$directory" ] || continue
            for file in "$directory"/*.pid; do
                [ -e "$file" ] || continue
                pid=$(cat "$file")
                grep -qa "$directory" "/proc/$pid/cmdline" && kill -KILL "$pid"
            done
            for mount in "$directory"/mnt*; do
                fusermount3 -u -z "$mount" 2>/dev/null || umount -l "$mount"
            done
            "$2" device remove "memory:t-$1-${directory##*-}"
            rmdir "$directory"/mnt*
            rm -rf --one-file-system "$directory"
        done
        """
}
