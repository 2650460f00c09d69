import Glibc
import Testing

extension MountTests {
    /// "A mount point is found once, by descriptor; no symbolic link is followed that somebody
    /// other than root and the server's user can change."; what strangers have mounted neither
    /// hides data nor holds tools up.
    @Suite(.enabled(if: Machine.canBeOthers, "\(Machine.whyNotOthers)"))
    struct HostileMounts {
        @Test func `a directory that its owner swaps for a link leads nowhere else`() throws {
            try withMount { mount in
                try mount.stop()
                let home = mount.directory + "/home"
                let script = """
                    mkdir -m 755 \(home) \(home)/real \(mount.directory)/victim
                    chown 65534:65534 \(home) \(home)/real
                    """
                #expect(Machine.shell(script) != nil)
                let swap = """
                    import os, time
                    os.chdir("\(home)")
                    end = time.monotonic() + 25
                    while time.monotonic() < end:
                        os.rename("real", "aside"), os.symlink("\(mount.directory)/victim", "real")
                        os.unlink("real"), os.rename("aside", "real")
                    """
                let swapper = try Child(
                    "setpriv --reuid 65534 --regid 65534 --clear-groups --".split(separator: " ")
                        .map(String.init) + [Machine.python, "-c", swap])
                for _ in 0..<12 {
                    let output = try Child(
                        [Machine.devfs, "mount", mount.device, home + "/real"]).wait()
                    let table = try text(of: "/proc/self/mounts")
                    #expect(!table.contains("/victim fuse.devfs"), "\(output.error)")
                    for line in table.split(separator: "\n")
                    where line.contains("\(home)/") && line.contains("fuse.devfs") {
                        let place = line.split(separator: " ")[1]
                        _ = try Child(["fusermount3", "-u", "-z", String(place)]).wait()
                    }
                }
                swapper.signal(SIGKILL)
            }
        }

        @Test func `a link in a directory of another user is refused, with a reason`() throws {
            try withMount { mount in
                try mount.stop()
                let script = """
                    mkdir -m 755 \(mount.directory)/home \(mount.directory)/victim
                    ln -s \(mount.directory)/victim \(mount.directory)/home/link
                    chown -h 65534:65534 \(mount.directory)/home \(mount.directory)/home/link
                    """
                #expect(Machine.shell(script) != nil)
                let output = try Child(
                    [Machine.devfs, "mount", mount.device, mount.directory + "/home/link"]).wait()
                #expect(output.status != 0)
                #expect(output.error.contains("link"), "\(output.error)")
            }
        }

        /// No list of mounts is too long.
        @Test(.enabled(if: Machine.shell("unshare -m true") != nil, "no mount namespaces"))
        func `a table of mounts of over a megabyte hides no data`() throws {
            try withMount { mount in
                try mount.fill("rx", pattern(5000))
                try mount.stop()
                let script = """
                    import os, subprocess, sys
                    top = sys.argv[1] + "/long"
                    os.mkdir(top)
                    subprocess.run(["mount", "-t", "tmpfs", "none", top], check=True)
                    path = top
                    for _ in range(15):
                        path += "/" + " " * 250
                        os.mkdir(path)
                    for _ in range(80):
                        subprocess.run(["mount", "--bind", path, path], check=True)
                    assert os.path.getsize("/proc/self/mountinfo") == 0
                    assert len(open("/proc/self/mountinfo").read()) > 1 << 20
                    devfs, device, place = sys.argv[2:]
                    subprocess.run([devfs, "mount", device, place], check=True)
                    data = open(place + "/buffers/rx", "rb").read()
                    assert len(data) == 5000, len(data)
                    subprocess.run([devfs, "unmount", place], check=True)
                    """
                let output = try Child([
                    "unshare", "-m", "--propagation", "private", Machine.python, "-c", script,
                    mount.directory, Machine.devfs, mount.device, mount.root,
                ]).wait(within: .seconds(40))
                #expect(output.status == 0, "\(output.text)\(output.error)")
                try mount.start()
                #expect(try mount.contents("rx") == pattern(5000))
            }
        }

        /// "Tools do not touch mounts of strangers, and escape and quote what these are called."
        @Test func `doctor neither hangs on a stranger's mount nor prints what he wrote`() throws {
            try withMount { mount in
                let script = """
                    import ctypes, os, socket, struct, subprocess, sys
                    libc = ctypes.CDLL(None, use_errno=True)
                    place = sys.argv[1] + "/$(touch x)\\x1b[31m"
                    os.mkdir(place)
                    device = os.open("/dev/fuse", os.O_RDWR)
                    options = f"fd={device},rootmode=40000,user_id=65534,group_id=65534,subtype=devfs,allow_other"
                    assert not libc.mount(b"memory:evil", place.encode(), b"fuse", 0, options.encode())
                    for words in ["doctor"], ["list", "--devices"], ["device", "list"]:
                        result = subprocess.run(
                            [sys.argv[2]] + words, capture_output=True, timeout=20)
                        text = result.stdout + result.stderr
                        assert b"\\x1b" not in text, text
                    libc.umount2(place.encode(), 2)
                    """
                let output = try Child([
                    "unshare", "-m", "--propagation", "private", Machine.python, "-c", script,
                    mount.directory, Machine.devfs,
                ]).wait(within: .seconds(90))
                #expect(output.status == 0, "\(output.text)\(output.error)")
            }
        }
    }
}
