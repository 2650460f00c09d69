#!/usr/bin/env python3
"""The guest's side: shared memory as a region, the doorbell as a register, its ring as a signal.

Usage: guest.py MOUNT
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from devfs import Region, Signal  # noqa: E402

IV_POSITION, DOORBELL = 8, 12
HOST = 0
ANSWER = 2048


def main(mount):
    registers, shared = Region(mount, "bar0"), Region(mount, "bar2")
    ring = Signal(mount, "irq0")
    print("this is peer", registers.read(IV_POSITION))
    registers.write(DOORBELL, HOST << 16)
    ring.wait(60)
    question = os.pread(shared.file, 1024, 0)
    os.pwrite(shared.file, bytes(byte ^ 0xFF for byte in question), ANSWER)
    registers.write(DOORBELL, HOST << 16)
    print("answered")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
