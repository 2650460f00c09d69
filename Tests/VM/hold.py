#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Has a buffer and a register of a mounted device open, and mapped, while the device goes, and then
looks at what became of them: ENODEV for calls, SIGBUS for the mappings.

Usage: hold.py MOUNT BUFFER [socket]; prints "held" when it holds them, and looks when standard input
ends. What is mapped are the mounted files, or those of the socket. The register is edu's number.
"""

import errno
import mmap
import os
import signal
import sys

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../../examples")
from devfs import handed_out  # noqa: E402

EDU = 0x010000ED


def is_sigbus(memory):
    """Whether a read of the mapping is SIGBUS: in a child, which it ends."""
    child = os.fork()
    if child == 0:
        memory[0]
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS


def is_gone(descriptor):
    try:
        os.pread(descriptor, 4, 0)
    except OSError as error:
        return error.errno == errno.ENODEV
    return False


def main(mount, buffer, how="file"):
    files = [os.open(f"{mount}/{path}", os.O_RDWR) for path in (f"buffers/{buffer}", "regions/bar0")]
    mapped = files
    if how == "socket":
        mapped = [handed_out(mount, request) for request in (f"buffer {buffer}", "region bar0")]
    maps = [mmap.mmap(file, 4096) for file in mapped]
    registers = memoryview(maps[1]).cast("I")
    assert registers[0] == EDU, f"the mapping of the registers begins with {registers[0]:#x}"
    assert int.from_bytes(os.pread(files[1], 4, 0), "little") == EDU
    print("held", flush=True)
    sys.stdin.read()
    for name, file in zip(("buffer", "region"), files):
        assert is_gone(file), f"the {name}'s descriptor is not ENODEV"
    for name, memory in zip(("buffer", "region"), maps):
        assert is_sigbus(memory), f"the {name}'s mapping is not SIGBUS"


if __name__ == "__main__":
    main(*sys.argv[1:])
