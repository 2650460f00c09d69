#!/usr/bin/env python3
"""The guest's side: shared memory as a region, the doorbell as a register, its ring as a signal.

Usage: guest.py MOUNT
"""

import os
import sys

# In a checkout; elsewhere the package is installed.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../python/src"))
import devfs  # noqa: E402

IV_POSITION, DOORBELL = 8, 12
HOST = 0
ANSWER = 2048


def main(mount):
    device = devfs.Device(mount)
    registers, shared = device.region("bar0"), device.region("bar2")
    ring = device.signal("irq0")
    print("this is peer", registers.read32(IV_POSITION))
    registers.write32(DOORBELL, HOST << 16)
    ring.wait(timeout=60)
    question = shared.read(0, 1024)
    shared.write(bytes(byte ^ 0xFF for byte in question), ANSWER)
    registers.write32(DOORBELL, HOST << 16)
    print("answered")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except devfs.DevFSError as error:
        sys.exit(f"guest.py: {error}")
