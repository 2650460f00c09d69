#!/usr/bin/env python3
"""An NVMe driver in user space, in files: resets the controller, identifies it, makes a pair of I/O
queues in DMA buffers and reads or writes blocks, each completion by its interrupt.

Usage: nvme.py MOUNT identify
       nvme.py MOUNT read BLOCK COUNT > FILE
       nvme.py MOUNT write BLOCK < FILE        (whole blocks)

Registers and commands are those of the NVM Express base specification 1.4, sections 3 and 5.
"""

import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from devfs import Buffer, Region, Signal  # noqa: E402

CAP, CC, CSTS, AQA, ASQ, ACQ, DOORBELLS = 0x00, 0x14, 0x1C, 0x24, 0x28, 0x30, 0x1000
CREATE_SQ, CREATE_CQ, IDENTIFY = 0x01, 0x05, 0x06
WRITE, READ = 0x01, 0x02
PAGE = 4096
ENTRIES = 16


class QueuePair:
    """A submission and a completion queue of 16 entries, one page each."""

    def __init__(self, controller, number, vector):
        self.controller, self.number = controller, number
        self.submissions = Buffer(controller.mount, f"sq{number}", PAGE)
        self.completions = Buffer(controller.mount, f"cq{number}", PAGE)
        self.interrupt = Signal(controller.mount, f"irq{vector}")
        self.tail = self.head = self.command = 0
        self.phase = 1

    def doorbell(self, kind):
        """Offset of the tail (0) or head (1) doorbell."""
        return DOORBELLS + (2 * self.number + kind) * self.controller.stride

    def submit(self, opcode, namespace, address, *words):
        """Runs one command to its end and returns dword 0 of the completion."""
        self.command = (self.command + 1) & 0xFFFF
        words += (0,) * (6 - len(words))
        entry = struct.pack(
            "<BBHIQQQQ6I", opcode, 0, self.command, namespace, 0, 0, address, 0, *words)
        self.submissions.memory[64 * self.tail : 64 * self.tail + 64] = entry
        self.tail = (self.tail + 1) % ENTRIES
        self.controller.registers.write(self.doorbell(0), self.tail)
        return self.complete()

    def complete(self):
        offset = 16 * self.head
        while True:
            result, _, _, _, command, status = struct.unpack(
                "<IIHHHH", self.completions.memory[offset : offset + 16])
            if status & 1 == self.phase:
                break
            self.interrupt.wait()
            self.interrupt.enable()
        self.head = (self.head + 1) % ENTRIES
        if self.head == 0:
            self.phase ^= 1
        self.controller.registers.write(self.doorbell(1), self.head)
        if command != self.command or status >> 1:
            raise OSError(f"command {command} ended with status {status >> 1:#x}")
        return result

    def close(self):
        self.submissions.close()
        self.completions.close()


class Controller:
    """An NVMe controller whose registers are `regions/bar0`."""

    def __init__(self, mount):
        self.mount = mount
        self.registers = registers = Region(mount, "bar0")
        self.stride = 4 << (registers.read(CAP, 8) >> 32 & 0xF)
        registers.write(CC, 0)
        registers.wait(CSTS, 1, 0)
        self.admin = QueuePair(self, 0, 0)
        self.queues = [self.admin]
        self.data = Buffer(mount, "nvme-data", PAGE)
        registers.write(AQA, (ENTRIES - 1) << 16 | ENTRIES - 1)
        registers.write(ASQ, self.admin.submissions.address, 8)
        registers.write(ACQ, self.admin.completions.address, 8)
        # Entries of 64 and 16 bytes, pages of 4 KiB, on.
        registers.write(CC, 6 << 16 | 4 << 20 | 1)
        registers.wait(CSTS, 1, 1)

    def identify(self):
        """Serial number, model and firmware; then size in blocks and bytes a block."""
        self.admin.submit(IDENTIFY, 0, self.data.address, 1)
        page = bytes(self.data.memory)
        names = [page[a:b].decode().strip() for a, b in ((4, 24), (24, 64), (64, 72))]
        self.admin.submit(IDENTIFY, 1, self.data.address, 0)
        page = bytes(self.data.memory)
        (blocks,) = struct.unpack("<Q", page[:8])
        (form,) = struct.unpack_from("<I", page, 128 + 4 * (page[26] & 0xF))
        return names, blocks, 1 << (form >> 16 & 0xFF)

    def make_queue(self):
        """I/O queue 1, with an interrupt of its own where there is one."""
        vector = 1 if os.path.exists(f"{self.mount}/signals/irq1") else 0
        queue = QueuePair(self, 1, vector)
        self.queues.append(queue)
        size = (ENTRIES - 1) << 16 | 1
        self.admin.submit(CREATE_CQ, 0, queue.completions.address, size, vector << 16 | 3)
        self.admin.submit(CREATE_SQ, 0, queue.submissions.address, size, 1 << 16 | 1)
        return queue

    def close(self):
        self.registers.write(CC, 0)
        self.registers.wait(CSTS, 1, 0)
        for queue in self.queues:
            queue.close()
        self.data.close()


def main(mount, action, *arguments):
    controller = Controller(mount)
    try:
        names, blocks, size = controller.identify()
        if action == "identify":
            print("serial %s, model %s, firmware %s" % tuple(names))
            print(f"{blocks} blocks of {size} bytes")
            return
        queue = controller.make_queue()
        at_once = PAGE // size
        block = int(arguments[0])
        if action == "read":
            count = int(arguments[1])
            while count:
                part = min(count, at_once)
                queue.submit(
                    READ, 1, controller.data.address, block & 0xFFFFFFFF, block >> 32, part - 1)
                sys.stdout.buffer.write(controller.data.memory[: part * size])
                block, count = block + part, count - part
        elif action == "write":
            while data := sys.stdin.buffer.read(at_once * size):
                part, rest = divmod(len(data), size)
                if rest:
                    raise ValueError(f"{rest} bytes are no whole block of {size}")
                controller.data.memory[: len(data)] = data
                queue.submit(
                    WRITE, 1, controller.data.address, block & 0xFFFFFFFF, block >> 32, part - 1)
                block += part
        else:
            raise ValueError(f"{action} is none of identify, read, write")
    finally:
        controller.close()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
