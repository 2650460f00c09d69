#!/usr/bin/env python3
"""The same as edu.sh in Python: registers, an interrupt, DMA there and back.

Usage: edu.py MOUNT
"""

import os
import sys

# In a checkout; elsewhere the package is installed.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../python/src"))
import devfs  # noqa: E402

IDENTIFICATION, LIVENESS, FACTORIAL, STATUS = 0x00, 0x04, 0x08, 0x20
INTERRUPT_STATUS, INTERRUPT_ACKNOWLEDGE = 0x24, 0x64
DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND = 0x80, 0x88, 0x90, 0x98
RUN, FROM_DEVICE, WITH_INTERRUPT = 1, 2, 4
DEVICE_MEMORY = 0x40000
SIZE = 4088


def main(mount):
    device = devfs.Device(mount)
    registers = device.region("bar0")
    interrupt = device.signal("irq0")

    def await_interrupt():
        interrupt.wait(timeout=10)
        reasons = registers.read32(INTERRUPT_STATUS)
        registers.write32(INTERRUPT_ACKNOWLEDGE, reasons)
        interrupt.enable()
        return reasons

    assert registers.read32(IDENTIFICATION) & 0xFF0000FF == 0x010000ED
    registers.write32(LIVENESS, 0x12345678)
    assert registers.read32(LIVENESS) == ~0x12345678 & 0xFFFFFFFF

    registers.write32(STATUS, 0x80)
    registers.write32(FACTORIAL, 12)
    assert await_interrupt() == 1
    print("12! =", registers.read32(FACTORIAL))
    assert registers.read32(FACTORIAL) == 479001600

    def transfer(source, destination, command):
        registers.write64(DMA_SOURCE, source)
        registers.write64(DMA_DESTINATION, destination)
        registers.write64(DMA_COUNT, SIZE)
        registers.write64(DMA_COMMAND, command | RUN | WITH_INTERRUPT)
        assert await_interrupt() == 0x100

    # A run that was killed may have left it at work.
    registers.wait32(DMA_COMMAND, RUN, 0)
    shape = {"size": 4096, "heap": "coherent", "reclaim": True}
    with device.alloc("edu-out", **shape) as out, device.alloc("edu-in", **shape) as back:
        out.memory[:SIZE] = os.urandom(SIZE)
        transfer(out.dma_addr, DEVICE_MEMORY, 0)
        transfer(DEVICE_MEMORY, back.dma_addr, FROM_DEVICE)
        assert back.memory[:SIZE] == out.memory[:SIZE]
        print(SIZE, "bytes went to the device and came back the same")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except devfs.DevFSError as error:
        sys.exit(f"edu.py: {error}")
