# Usage: stalled-page.py MOUNT
#
# As root. An ordinary user writes to his buffers, by descriptors from the mount's socket, from pages
# that never come: the kernel holds the lock of each file for as long as that lasts. All others, and
# all names, his own included, go on.
import errno
import mmap
import os
import signal
import socket
import sys
import time

from unanswered import USER, OneFile, child, ends, put

BOUND = 1


def holder(path, name, file):
    """A process of USER's that holds the lock of a buffer's file."""

    def write():
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(path)
            peer.sendall(f"buffer {name} rw\n".encode())
            _, (descriptor,), *_ = socket.recv_fds(peer, 100, 1)
        page = mmap.mmap(os.open(file.place.name, os.O_RDONLY), 4096, prot=mmap.PROT_READ)
        try:
            os.pwrite(descriptor, page, 0)
        except OSError as failure:
            # Its file has ended.
            assert failure.errno == errno.EFAULT, failure

    pid = child(write, USER)
    os.read(file.asked, 1)
    return pid


def main(mount):
    os.chdir(mount)
    with open("control/socket") as text:
        device = os.path.dirname(text.read().strip())
    # Root's own is another one.
    path = device + "/socket"
    data = device + "/data/buffers"
    names = ["removed", "replaced", "moved"]
    for name in names:
        put("control/alloc", f"{name} 4K\n")
        os.chown(f"buffers/{name}", USER, USER)
    for name in "a", "b", "c":
        put("control/alloc", f"{name} 4K\n")
    files, holders, waiting = [], [], None
    try:
        for name in names:
            files.append(OneFile())
            holders.append(holder(path, name, files[-1]))
        # It is so: what takes the lock of the file waits.
        number = os.readlink(f"{data}/moved").split()[0]
        waiting = child(lambda: os.chmod(f"{device}/data/files/{number}/data", 0o600))
        assert not ends(waiting, 0.3), "the lock of the file is not held"

        def make(name):
            os.close(os.open(f"buffers/{name}", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

        steps = {
            "rename": lambda: os.rename("buffers/a", "buffers/a2"),
            "remove": lambda: os.unlink("buffers/a2"),
            "alloc": lambda: put("control/alloc", "d 64K\n"),
            "free": lambda: put("control/free", "d\n"),
            "create": lambda: make("e"),
            "rename of his": lambda: os.rename("buffers/moved", "buffers/moved2"),
            "chmod of his": lambda: os.chmod("buffers/moved2", 0o640),
            "chown of his": lambda: os.chown("buffers/moved2", 0, 0),
            "stat of his": lambda: os.stat("buffers/moved2"),
            "open of his": lambda: os.close(os.open("buffers/moved2", os.O_RDWR)),
            "remove his": lambda: os.unlink("buffers/removed"),
            "the name again": lambda: put("control/alloc", "removed 4K\n"),
            "replace his": lambda: os.rename("buffers/b", "buffers/replaced"),
            "rename after": lambda: os.rename("buffers/c", "buffers/c2"),
            "alloc after": lambda: put("control/alloc", "f 64K\n"),
        }
        for what, step in steps.items():
            assert ends(child(step), BOUND), f"{what} waits"
        assert sorted(os.listdir("buffers")) == ["c2", "e", "f", "moved2", "removed", "replaced"]
        assert all(not ends(pid, 0.001) for pid in holders), "the lock was let go meanwhile"
    finally:
        for file in files:
            file.end()
        for pid in holders + ([waiting] if waiting else []):
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
    # What was removed goes once the lock is free.
    files = os.path.dirname(data) + "/files"
    deadline = time.monotonic() + 10
    while len(os.listdir(files)) > len(os.listdir(data)):
        assert time.monotonic() < deadline, os.listdir(files)
        time.sleep(0.01)


main(os.path.realpath(sys.argv[1]))
