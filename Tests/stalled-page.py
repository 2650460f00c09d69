# Usage: stalled-page.py MOUNT
#
# As root. An ordinary user writes to his buffers, by descriptors from the mount's socket, from pages
# that never come: the kernel holds the lock of each file for as long as that lasts. All others, and
# all names, his own included, go on.
import ctypes
import errno
import mmap
import os
import signal
import socket
import struct
import sys
import tempfile
import time

GETATTR, OPEN, READ, INIT = 3, 14, 15, 26
USER = 65534
BOUND = 1

libc = ctypes.CDLL(None, use_errno=True)


class OneFile:
    """A file system that is one regular file of USER's, whose bytes never come."""

    def __init__(self):
        self.place = tempfile.NamedTemporaryFile()
        device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={device},rootmode=100000,user_id={USER},group_id={USER},allow_other"
        if libc.mount(b"stalled", self.place.name.encode(), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "mount")
        self.asked, told = os.pipe()
        self.server = os.fork()
        if not self.server:
            signal.alarm(50)
            while True:
                try:
                    self.answer(device, os.read(device, 1 << 17), told)
                except OSError:
                    os._exit(0)
        os.close(device)
        os.close(told)

    @staticmethod
    def answer(device, request, told):
        _, code, unique = struct.unpack_from("IIQ", request)
        error, body = 0, b""
        if code == INIT:
            body = struct.pack("6I2H2I2H", 7, 31, 0, 0, 0, 0, 0, 0, 1 << 16, 1, 0, 0).ljust(64, b"\0")
        elif code == READ:
            return os.write(told, b"x")
        elif code == GETATTR:
            body = struct.pack("QII6Q10I", 0, 0, 0, 1, 4096, 8, 0, 0, 0, 0, 0, 0, 0o100666, 1, USER, USER, 0, 4096, 0)
        elif code == OPEN:
            body = struct.pack("QII", 1, 0, 0)
        else:
            error = -errno.ENOSYS
        os.write(device, struct.pack("IiQ", 16 + len(body), error, unique) + body)

    def end(self):
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        libc.umount2(self.place.name.encode(), 2)


def child(body, uid=0):
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.alarm(50)
        if uid:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        body()
        os._exit(0)
    except BaseException as failure:
        print(repr(failure), file=sys.stderr, flush=True)
        os._exit(1)


def ends(pid, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, status
            return True
        time.sleep(0.002)
    return False


def put(path, text):
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, text.encode())
    os.close(descriptor)


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
        path = text.read().strip()
    data = os.path.dirname(path) + "/data/buffers"
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
        waiting = child(lambda: os.chmod(f"{data}/moved/data", 0o600))
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
    gone = os.path.dirname(data) + "/gone"
    deadline = time.monotonic() + 10
    while os.listdir(gone):
        assert time.monotonic() < deadline, os.listdir(gone)
        time.sleep(0.01)


main(os.path.realpath(sys.argv[1]))
