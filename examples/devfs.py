"""What the Python examples share: a device that is mounted with DevFS, in plain file calls.

A region is read and written with os.pread and os.pwrite: one call of 1, 2, 4 or 8 bytes is one bus
access of that width. A buffer is mapped. A signal is waited for with select.
"""

import mmap
import os
import select
import socket
import sys
import time


def handed_out(mount, request):
    """The descriptor that `control/socket` gives for `buffer NAME`, `region NAME` or `signal NAME`."""
    with open(f"{mount}/control/socket") as file:
        path = file.read().strip()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        connection.sendall(f"{request}\n".encode())
        answer, descriptors, _, _ = socket.recv_fds(connection, 256, 1)
    if not descriptors:
        raise OSError(answer.decode().strip())
    return descriptors[0]


class Region:
    """The registers of a device: `regions/NAME`."""

    def __init__(self, mount, name, writes=True):
        flags = os.O_RDWR if writes else os.O_RDONLY
        self.file = os.open(f"{mount}/regions/{name}", flags)
        self.size = os.fstat(self.file).st_size

    def read(self, offset, width=4):
        """The register of `width` bytes at `offset`."""
        return int.from_bytes(os.pread(self.file, width, offset), "little")

    def write(self, offset, value, width=4):
        """Sets a register in one bus access."""
        os.pwrite(self.file, value.to_bytes(width, "little"), offset)

    def wait(self, offset, mask, wanted, seconds=10.0):
        """Reads a register until its bits of `mask` are `wanted`."""
        end = time.monotonic() + seconds
        while self.read(offset) & mask != wanted:
            if time.monotonic() > end:
                raise TimeoutError(f"register {offset:#x} is {self.read(offset):#x}")
            time.sleep(0.001)


class Buffer:
    """A DMA buffer: made by `control/alloc`, mapped, freed by `close`.

    `memory` is the mapping, `address` what the device is given. What a run that was killed left
    under this name is freed first, so whoever makes one has stopped the device before.
    """

    def __init__(self, mount, name, size, heap="coherent"):
        self.path = f"{mount}/buffers/{name}"
        self.free_leftover(mount, name)
        with open(f"{mount}/control/alloc", "w") as alloc:
            alloc.write(f"{name} {size} heap={heap}\n")
        with open(f"{mount}/attributes/{name}/dma_addr") as file:
            self.address = int(file.read(), 16)
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            self.memory = mmap.mmap(descriptor, size)
        except OSError:
            # Kernels before 6.9 have no passthrough: what the socket hands out is the memory, too.
            os.close(descriptor)
            descriptor = handed_out(mount, f"buffer {name}")
            self.memory = mmap.mmap(descriptor, size)
        os.close(descriptor)

    def free_leftover(self, mount, name):
        """Frees a buffer whose process has ended. It has no `lease=process`, which would free it at
        once, while the device may still write there."""
        try:
            with open(f"{mount}/attributes/{name}/owner") as file:
                owner = int(file.read())
        except FileNotFoundError:
            return
        if owner:
            sys.exit(f"{self.path} is process {owner}'s: the device is in use")
        os.unlink(self.path)

    def close(self):
        """Gives the memory back."""
        self.memory.close()
        os.unlink(self.path)


class Signal:
    """The events of `signals/NAME` from now on."""

    def __init__(self, mount, name):
        self.file = os.open(f"{mount}/signals/{name}/wait", os.O_RDONLY | os.O_NONBLOCK)
        self.enable_path = f"{mount}/signals/{name}/enable"

    def wait(self, seconds=10.0):
        """The next event: its number, the count so far, how many were missed, its time in ns."""
        end = time.monotonic() + seconds
        while True:
            try:
                return [int(word) for word in os.read(self.file, 256).split()]
            except BlockingIOError:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no event within {seconds} s") from None
                poll = select.poll()
                poll.register(self.file, select.POLLIN)
                poll.poll(left * 1000)

    def enable(self):
        """Unmasks it: a shared interrupt line masks itself at each event."""
        with open(self.enable_path, "w") as file:
            file.write("1\n")
