# Usage: stalled-file.py MOUNT PROGRAM
#
# Gives a DevFS mount descriptors of a file that nobody answers for: this process serves it by FUSE,
# and lets the requests of others wait. The mount must go on, and have the descriptors closed once
# the file's server is gone. A server that is told to end meanwhile, one of PROGRAM's on a device of
# its own, leaves that to the next one.
import ctypes
import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

GETATTR, OPEN, INIT = 3, 14, 26

libc = ctypes.CDLL(None, use_errno=True)


class OneFile:
    """A file system that is one regular file, served by a child: when that ends, nobody waits any more."""

    def __init__(self, path):
        self.path = path
        device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={device},rootmode=100000,user_id=0,group_id=0,allow_other"
        if libc.mount(b"stalled", path.encode(), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "mount")
        self.stalled, self.told = os.pipe()
        self.server = os.fork()
        if not self.server:
            signal.signal(signal.SIGUSR1, self.stall)
            signal.alarm(50)
            self.stalls = False
            self.serve(device)
        os.close(device)

    def stall(self, *_):
        self.stalls = True
        os.write(self.told, b"x")

    def stall_now(self):
        os.kill(self.server, signal.SIGUSR1)
        os.read(self.stalled, 1)

    def serve(self, device):
        while True:
            try:
                request = os.read(device, 1 << 17)
            except OSError:
                os._exit(0)
            _, code, unique = struct.unpack_from("IIQ", request)
            if code == INIT:
                body = struct.pack("6I2H2I2H", 7, 31, 0, 0, 0, 0, 0, 0, 1 << 16, 1, 0, 0)
                answer(device, unique, body + bytes(64 - len(body)))
            elif self.stalls:
                pass
            elif code == GETATTR:
                attributes = [1, 4096, 8, 0, 0, 0], [0, 0, 0, 0o100666, 1, 0, 0, 0, 4096, 0]
                answer(device, unique, struct.pack("QII6Q10I", 0, 0, 0, *attributes[0], *attributes[1]))
            elif code == OPEN:
                answer(device, unique, struct.pack("QII", 1, 0, 0))
            else:
                answer(device, unique, b"", -errno.ENOSYS)

    def end(self):
        os.kill(self.server, signal.SIGKILL)
        os.waitpid(self.server, 0)
        libc.umount2(self.path.encode(), 2)


def answer(device, unique, body, error=0):
    os.write(device, struct.pack("IiQ", 16 + len(body), error, unique) + body)


def main(mount):
    path = open(f"{mount}/control/socket").read().strip()
    server = server_of(mount)

    def ask(line, descriptors=()):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            peer.connect(path)
            socket.send_fds(peer, [line.encode()], descriptors)
            return peer.recv(1000).decode()

    def name(thread):
        try:
            return open(f"/proc/{server}/task/{thread}/comm").read()
        except OSError:
            # It has ended meanwhile.
            return ""

    def closing():
        return sum(name(thread) == "devfs-close\n" for thread in os.listdir(f"/proc/{server}/task"))

    with tempfile.NamedTemporaryFile() as place:
        file = OneFile(place.name)
        try:
            stalled = os.open(place.name, os.O_RDWR)
            file.stall_now()
            # More of them than the server is willing to wait for.
            for number in range(10):
                for request in "import a", "pin a 0 4096", "buffer none", "nonsense":
                    answer = ask(request + "\n", [stalled])
                    assert answer.startswith("error "), (request, answer)
                    # All others are served.
                    answer = ask("buffer none\n")
                    assert answer.startswith("error ENOENT "), answer
            with open(f"{mount}/control/signal", "w") as control:
                control.write("stalled timer period=10ms\n")
            with open(f"{mount}/signals/stalled/wait") as events:
                events.readline()
            with open(f"{mount}/control/signal", "w") as control:
                control.write("stalled remove\n")
            assert 10 < closing() < 20, closing()
        finally:
            file.end()
        for _ in range(100):
            if not closing():
                break
            time.sleep(0.1)
        assert not closing(), closing()


def give_and_wait(path, mount, file):
    """In a child: whoever has the file open can't start a program, which would close it."""
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(50)
        stalled = os.open(path, os.O_RDWR)
        file.stall_now()
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            peer.connect(open(f"{mount}/control/socket").read().strip())
            socket.send_fds(peer, [b"import a\n"], [stalled])
            os.write(told, peer.recv(1000))
        signal.pause()
    os.close(told)
    answer = os.read(ready, 1000)
    assert answer.startswith(b"error "), answer
    return child


def end_and_mount_again(program, directory, place):
    device = f"memory:stalled-{os.getpid()}"

    def mount():
        return subprocess.run([program, "mount", device, directory], timeout=20, stderr=subprocess.PIPE)

    file = giver = None
    servers = []
    try:
        assert not mount().returncode
        servers.append(server_of(directory))
        with open(f"{directory}/control/alloc", "w") as control:
            control.write("kept 4K\n")
        with open(f"{directory}/buffers/kept", "r+") as buffer:
            buffer.write("as it was")
        file = OneFile(place)
        giver = give_and_wait(place, directory, file)
        os.kill(servers[0], signal.SIGTERM)
        until = time.monotonic() + 10
        while (mounted := mount()).returncode:
            assert time.monotonic() < until, mounted.stderr
            time.sleep(0.05)
        # A thread of it closes the file still.
        assert os.path.exists(f"/proc/{servers[0]}")
        servers.append(server_of(directory))
        assert open(f"{directory}/buffers/kept").read().startswith("as it was")
    finally:
        if file:
            file.end()
        if giver:
            os.kill(giver, signal.SIGKILL), os.waitpid(giver, 0)
        for server in servers[-1:]:
            os.kill(server, signal.SIGTERM)
        until = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{server}") for server in servers):
            assert time.monotonic() < until, servers
            time.sleep(0.05)
        subprocess.run([program, "device", "remove", device], check=True, timeout=20)


def server_of(mount):
    with open(f"{mount}/status") as status:
        return next(int(line.split()[-1]) for line in status if line.startswith("server"))


main(os.path.realpath(sys.argv[1]))
with tempfile.TemporaryDirectory(prefix="devfs-test-") as own, tempfile.NamedTemporaryFile() as file:
    end_and_mount_again(sys.argv[2], own, file.name)
