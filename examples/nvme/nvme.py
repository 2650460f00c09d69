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

# In a checkout; elsewhere the package is installed.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../python/src"))
import devfs  # noqa: E402

CAP, CC, CSTS, AQA, ASQ, ACQ, DOORBELLS = 0x00, 0x14, 0x1C, 0x24, 0x28, 0x30, 0x1000
CREATE_SQ, CREATE_CQ, IDENTIFY = 0x01, 0x05, 0x06
WRITE, READ = 0x01, 0x02
PAGE = 4096
ENTRIES = 16


class QueuePair:
    """A submission and a completion queue of 16 entries, one page each."""

    def __init__(self, controller, number, vector):
        self.controller, self.number = controller, number
        self.submissions = controller.alloc(f"sq{number}")
        self.completions = controller.alloc(f"cq{number}")
        self.commands, self.results = self.submissions.memory, self.completions.memory
        self.interrupt = controller.device.signal(f"irq{vector}")
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
        self.commands[64 * self.tail : 64 * self.tail + 64] = entry
        self.tail = (self.tail + 1) % ENTRIES
        self.controller.registers.write32(self.doorbell(0), self.tail)
        return self.complete()

    def complete(self):
        offset = 16 * self.head
        while True:
            result, _, _, _, command, status = struct.unpack(
                "<IIHHHH", self.results[offset : offset + 16])
            if status & 1 == self.phase:
                break
            self.interrupt.wait(timeout=10)
            self.interrupt.enable()
        self.head = (self.head + 1) % ENTRIES
        if self.head == 0:
            self.phase ^= 1
        self.controller.registers.write32(self.doorbell(1), self.head)
        if command != self.command or status >> 1:
            raise ValueError(f"command {command} ended with status {status >> 1:#x}")
        return result

    def close(self):
        self.submissions.free()
        self.completions.free()


class Controller:
    """An NVMe controller whose registers are `regions/bar0`."""

    def __init__(self, mount):
        self.device = devfs.Device(mount)
        self.registers = registers = self.device.region("bar0")
        self.stride = 4 << (registers.read64(CAP) >> 32 & 0xF)
        registers.write32(CC, 0)
        registers.wait32(CSTS, 1, 0)
        self.admin = QueuePair(self, 0, 0)
        self.queues = [self.admin]
        self.data = self.alloc("nvme-data")
        registers.write32(AQA, (ENTRIES - 1) << 16 | ENTRIES - 1)
        registers.write64(ASQ, self.admin.submissions.dma_addr)
        registers.write64(ACQ, self.admin.completions.dma_addr)
        # Entries of 64 and 16 bytes, pages of 4 KiB, on.
        registers.write32(CC, 6 << 16 | 4 << 20 | 1)
        registers.wait32(CSTS, 1, 1)

    def alloc(self, name):
        """A page. What a killed run left of that name is freed, as the controller is off."""
        return self.device.alloc(name, PAGE, heap="coherent", reclaim=True)

    def identify(self):
        """Serial number, model and firmware; then size in blocks and bytes a block."""
        self.admin.submit(IDENTIFY, 0, self.data.dma_addr, 1)
        page = bytes(self.data.memory)
        names = [page[a:b].decode().strip() for a, b in ((4, 24), (24, 64), (64, 72))]
        self.admin.submit(IDENTIFY, 1, self.data.dma_addr, 0)
        page = bytes(self.data.memory)
        (blocks,) = struct.unpack("<Q", page[:8])
        (form,) = struct.unpack_from("<I", page, 128 + 4 * (page[26] & 0xF))
        return names, blocks, 1 << (form >> 16 & 0xFF)

    def make_queue(self):
        """I/O queue 1, with an interrupt of its own where there is one."""
        vector = 1 if "irq1" in self.device.signals else 0
        queue = QueuePair(self, 1, vector)
        self.queues.append(queue)
        size = (ENTRIES - 1) << 16 | 1
        self.admin.submit(CREATE_CQ, 0, queue.completions.dma_addr, size, vector << 16 | 3)
        self.admin.submit(CREATE_SQ, 0, queue.submissions.dma_addr, size, 1 << 16 | 1)
        return queue

    def close(self):
        self.registers.write32(CC, 0)
        self.registers.wait32(CSTS, 1, 0)
        for queue in self.queues:
            queue.close()
        self.data.free()


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
                    READ, 1, controller.data.dma_addr, block & 0xFFFFFFFF, block >> 32, part - 1)
                sys.stdout.buffer.write(controller.data.memory[: part * size])
                block, count = block + part, count - part
        elif action == "write":
            while data := sys.stdin.buffer.read(at_once * size):
                part, rest = divmod(len(data), size)
                if rest:
                    raise ValueError(f"{rest} bytes are no whole block of {size}")
                controller.data.memory[: len(data)] = data
                queue.submit(
                    WRITE, 1, controller.data.dma_addr, block & 0xFFFFFFFF, block >> 32, part - 1)
                block += part
        else:
            raise ValueError(f"{action} is none of identify, read, write")
    finally:
        controller.close()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except devfs.DevFSError as error:
        sys.exit(f"nvme.py: {error}")
