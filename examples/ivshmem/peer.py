#!/usr/bin/env python3
"""The host's side: serves QEMU's ivshmem protocol to one guest and is the other peer itself.

Usage: peer.py SOCKET [SIZE]

Start it, then QEMU with
    -chardev socket,path=SOCKET,id=peer -device ivshmem-doorbell,vectors=1,chardev=peer
It puts a question into the shared memory and rings; the guest (guest.py) answers there and rings
back. The protocol is QEMU's docs/specs/ivshmem-spec: 8-byte little-endian messages, some with a
descriptor.
"""

import array
import errno
import os
import select
import socket
import sys

HOST, GUEST = 0, 1
ANSWER = 2048


def send(connection, number, descriptor=None):
    """One message."""
    rights = []
    if descriptor is not None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
    connection.sendmsg([number.to_bytes(8, "little", signed=True)], rights)


def wait(descriptor, seconds, what):
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(seconds * 1000):
        raise TimeoutError(f"no {what} within {seconds} s")


def listen(path):
    """A server's socket there, in the place of one that was left behind and nobody has any more."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        # EPROTOTYPE where it is somebody's, who does not notice.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            if other.connect_ex(path) != errno.ECONNREFUSED:
                sys.exit(f"{path} is in use, or no socket")
        os.unlink(path)
        server.bind(path)
    server.listen(1)
    return server


def main(path, size="1048576"):
    memory = os.memfd_create("ivshmem")
    os.ftruncate(memory, int(size))
    to_host, to_guest = os.eventfd(0), os.eventfd(0)
    with listen(path) as server:
        wait(server, 600, "guest")
        connection, _ = server.accept()
    with connection:
        send(connection, 0)  # protocol version
        send(connection, GUEST)  # who the other side is
        send(connection, -1, memory)
        send(connection, HOST, to_host)
        send(connection, GUEST, to_guest)

        # The guest rings once when it listens, and once more when it has answered.
        wait(to_host, 600, "guest that listens")
        os.eventfd_read(to_host)
        question = os.urandom(1024)
        os.pwrite(memory, question, 0)
        os.eventfd_write(to_guest, 1)
        wait(to_host, 60, "answer")
        answer = os.pread(memory, 1024, ANSWER)
        if answer != bytes(byte ^ 0xFF for byte in question):
            raise ValueError("the answer is wrong")
        print("the guest read the question and answered it", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
