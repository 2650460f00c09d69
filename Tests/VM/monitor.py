#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Does on QEMU's monitor what the guest asks for on its console: "host: unplug ID" takes a device
away, "host: plug DRIVER ID" puts one in.

Usage: monitor.py SOCKET CONSOLE, until it is ended. QMP: QEMU's docs/interop/qmp-spec.
"""

import json
import socket
import sys
import time


class Monitor:
    """A connection to QMP."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r")
        self.lines.readline()
        self.run("qmp_capabilities")

    def run(self, command, **arguments):
        """Gives a command and returns its answer; events in between are passed over."""
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            answer = json.loads(self.lines.readline())
            if "return" in answer or "error" in answer:
                return answer


def follow(path):
    """The lines of a file that grows."""
    with open(path, errors="replace") as file:
        line = ""
        while True:
            line += file.readline()
            if line.endswith("\n"):
                yield line.strip()
                line = ""
            else:
                time.sleep(0.1)


def main(path, console):
    monitor = Monitor(path)
    for line in follow(console):
        match line.split():
            case ["host:", "unplug", device]:
                print(line, monitor.run("device_del", id=device), flush=True)
            case ["host:", "plug", driver, device]:
                print(line, monitor.run("device_add", driver=driver, id=device), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
