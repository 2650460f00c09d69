#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Has a buffer and a register of a mounted device open, and mapped, while the device goes, and then
looks at what became of them: ENODEV for calls, SIGBUS for the mappings.

Usage: hold.py MOUNT BUFFER; prints "held" when it holds them, and looks when standard input ends. The
Python package maps the mounted files, or those of the socket. The register is edu's number.
"""

import errno
import os
import signal
import sys

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../../python/src")
import devfs  # noqa: E402

EDU = 0x010000ED


def is_sigbus(memory):
    """Whether a read of the mapping is SIGBUS: in a child, which it ends."""
    child = os.fork()
    if child == 0:
        memory[0]
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS


def is_gone(handle):
    try:
        handle.read(0, 4)
    except devfs.GoneError as error:
        return error.errno == errno.ENODEV
    return False


def main(mount, name):
    device = devfs.Device(mount)
    buffer, region = device.buffer(name), device.region("bar0")
    memories = [buffer.memory, region.memory]
    number = region.memory.cast("I")[0]
    assert number == EDU, f"the mapping of the registers begins with {number:#x}"
    assert region.read32(0) == EDU
    print("held", flush=True)
    sys.stdin.read()
    for handle in (buffer, region):
        assert is_gone(handle), f"{handle}'s descriptor is not ENODEV"
    for handle, memory in zip((buffer, region), memories):
        assert is_sigbus(memory), f"{handle}'s mapping is not SIGBUS"


if __name__ == "__main__":
    main(*sys.argv[1:])
