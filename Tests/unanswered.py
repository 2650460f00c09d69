"""What tests of stalled writes share: a file whose bytes never come, and children that are other users."""
import ctypes
import errno
import os
import signal
import struct
import sys
import tempfile
import time

GETATTR, OPEN, READ, INIT = 3, 14, 15, 26
USER = 65534

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
