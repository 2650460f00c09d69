#!/usr/bin/env python3
"""The same as edu.sh in Python: registers, an interrupt, DMA there and back.

Usage: edu.py MOUNT
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from devfs import Buffer, Region, Signal  # noqa: E402

IDENTIFICATION, LIVENESS, FACTORIAL, STATUS = 0x00, 0x04, 0x08, 0x20
INTERRUPT_STATUS, INTERRUPT_ACKNOWLEDGE = 0x24, 0x64
DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND = 0x80, 0x88, 0x90, 0x98
RUN, FROM_DEVICE, WITH_INTERRUPT = 1, 2, 4
DEVICE_MEMORY = 0x40000
SIZE = 4088


def main(mount):
    registers = Region(mount, "bar0")
    interrupt = Signal(mount, "irq0")

    def await_interrupt():
        interrupt.wait()
        reasons = registers.read(INTERRUPT_STATUS)
        registers.write(INTERRUPT_ACKNOWLEDGE, reasons)
        interrupt.enable()
        return reasons

    assert registers.read(IDENTIFICATION) & 0xFF0000FF == 0x010000ED
    registers.write(LIVENESS, 0x12345678)
    assert registers.read(LIVENESS) == ~0x12345678 & 0xFFFFFFFF

    registers.write(STATUS, 0x80)
    registers.write(FACTORIAL, 12)
    assert await_interrupt() == 1
    print("12! =", registers.read(FACTORIAL))
    assert registers.read(FACTORIAL) == 479001600

    def transfer(source, destination, command):
        registers.write(DMA_SOURCE, source, 8)
        registers.write(DMA_DESTINATION, destination, 8)
        registers.write(DMA_COUNT, SIZE, 8)
        registers.write(DMA_COMMAND, command | RUN | WITH_INTERRUPT, 8)
        assert await_interrupt() == 0x100

    # A run that was killed may have left it at work.
    registers.wait(DMA_COMMAND, RUN, 0)
    out, back = Buffer(mount, "edu-out", 4096), Buffer(mount, "edu-in", 4096)
    try:
        out.memory[:SIZE] = os.urandom(SIZE)
        transfer(out.address, DEVICE_MEMORY, 0)
        transfer(DEVICE_MEMORY, back.address, FROM_DEVICE)
        assert back.memory[:SIZE] == out.memory[:SIZE]
        print(SIZE, "bytes went to the device and came back the same")
    finally:
        out.close()
        back.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
