#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""direct-io.py MOUNT file|socket DISK

Maps the buffer `sg` of a mounted device, by its file or by a descriptor of the socket, and moves
its bytes to and from a block device with O_DIRECT: the pages that the disk's driver gets are the
buffer's own.
"""
import array
import mmap
import os
import random
import socket
import sys

SIZE = 1 << 20

mount, how, disk_path = sys.argv[1:]


def descriptor_of_socket():
    with open(f"{mount}/control/socket") as file, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(file.read().strip())
        peer.sendall(b"buffer sg\n")
        answer, ancillary, _, _ = peer.recvmsg(256, socket.CMSG_LEN(4))
        assert answer == b"ok\n", answer
        return array.array("i", ancillary[0][2])[0]


path = f"{mount}/buffers/sg"
buffer = os.open(path, os.O_RDWR) if how == "file" else descriptor_of_socket()
memory = memoryview(mmap.mmap(buffer, SIZE))
disk = os.open(disk_path, os.O_RDWR | os.O_DIRECT)

ours = random.Random(1).randbytes(SIZE)
memory[:] = ours
assert os.pwritev(disk, [memory], 0) == SIZE, "short write from the mapping"

theirs = random.Random(2).randbytes(SIZE)
page = mmap.mmap(-1, SIZE)
assert os.preadv(disk, [page], 0) == SIZE
assert page[:] == ours, "the disk has not got what was in the buffer"

page[:] = theirs
assert os.pwritev(disk, [page], 0) == SIZE
assert os.preadv(disk, [memory], 0) == SIZE, "short read into the mapping"
assert bytes(memory) == theirs, "the mapping has not got what was on the disk"
with open(path, "rb") as file:
    assert file.read(SIZE) == theirs, "the file has not got what was on the disk"

# A part of it, not at the start of a page of the disk's.
assert os.pwritev(disk, [memory[4096:8192]], 512) == 4096
assert os.preadv(disk, [page], 0) == SIZE
assert page[512 : 512 + 4096] == theirs[4096:8192], "the wrong page went out"
print("equal")
