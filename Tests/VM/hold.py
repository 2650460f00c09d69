#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Has a buffer and a register of a mounted device open, and mapped, while the device goes, and then
looks at what became of them: ENODEV for calls, SIGBUS for the mappings.

Usage: hold.py MOUNT BUFFER [open]; prints "held" when it holds them, and looks when standard input
ends. With "open" nothing is mapped.
"""

import errno
import mmap
import os
import signal
import sys


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


def main(mount, buffer, how="mapped"):
    files = [os.open(f"{mount}/{path}", os.O_RDWR) for path in (f"buffers/{buffer}", "regions/bar0")]
    maps = [mmap.mmap(file, 4096) for file in files if how == "mapped"]
    print("held", flush=True)
    sys.stdin.read()
    for name, file in zip(("buffer", "region"), files):
        assert is_gone(file), f"the {name}'s descriptor is not ENODEV"
    for name, memory in zip(("buffer", "region"), maps):
        assert is_sigbus(memory), f"the {name}'s mapping is not SIGBUS"


if __name__ == "__main__":
    main(*sys.argv[1:])
