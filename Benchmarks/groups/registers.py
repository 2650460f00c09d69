"""Registers by their names: a field against `dd` of the same register, and a map of a whole chip."""

import os
import subprocess
import tempfile
import time

from core import Row, at_most
from mounts import devfs

GROUP = "registers"
MAP = """registers:
- {name: control, offset: 0, fields: [{name: start, bits: 0}, {name: mode, bits: 3:1}]}
"""
FIELDS = 10
REGISTERS = 100


def chip(path):
    """100 peripherals of 100 registers of 10 fields, as SVD."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("<device><name>chip</name><size>32</size><peripherals>\n")
        for peripheral in range(100):
            file.write(
                f"<peripheral><name>P{peripheral}</name>"
                f"<baseAddress>{peripheral * 4096:#x}</baseAddress><registers>\n")
            for register in range(REGISTERS):
                file.write(
                    f"<register><name>R{register}</name><description>Register {register} of "
                    f"unit {peripheral}</description><addressOffset>{register * 4:#x}"
                    f"</addressOffset><fields>\n")
                for field in range(FIELDS):
                    file.write(
                        f"<field><name>F{field}</name><description>Bit {field} of register "
                        f"{register} of {peripheral}</description><bitOffset>{field}</bitOffset>"
                        f"<bitWidth>1</bitWidth><access>read-write</access></field>\n")
                file.write("</fields></register>\n")
            file.write("</registers></peripheral>\n")
        file.write("</peripherals></device>\n")


def nanoseconds(path, count):
    """One open, read and close."""
    start = time.monotonic_ns()
    for _ in range(count):
        descriptor = os.open(path, os.O_RDONLY)
        os.read(descriptor, 64)
        os.close(descriptor)
    return (time.monotonic_ns() - start) / count


def command(words, count):
    start = time.monotonic_ns()
    for _ in range(count):
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.monotonic_ns() - start) / count


def mount_time(*options):
    with devfs("no_passthrough", *options) as mount:
        return (time.monotonic_ns() - mount.started) / 1e6


def measure(run):
    count = 200 if run.quick else 4000
    with tempfile.TemporaryDirectory() as folder:
        small, large = os.path.join(folder, "small.yaml"), os.path.join(folder, "chip.svd")
        with open(small, "w", encoding="utf-8") as file:
            file.write(MAP)
        with devfs("no_passthrough", f"registers={small}:memory:regs") as mount:
            mount.allocate("regs", 4096)
            field = mount.path("registers/control/mode")
            word = mount.path("buffers/regs")
            run.alternate(
                Row(GROUP, "open + read + close of a field", "its name", "4 bytes of the buffer",
                    "cost", goal=at_most(3)),
                lambda: nanoseconds(field, count), lambda: nanoseconds(word, count))
            dd = ["dd", f"if={word}", "bs=4", "count=1", "status=none"]
            run.alternate(
                Row(GROUP, "a field from the shell", "cat", "dd", "cost", goal=at_most(1.1)),
                lambda: command(["cat", field], count // 10), lambda: command(dd, count // 10))
        chip(large)
        option = f"registers={large}:memory:regs"
        run.alternate(
            Row(GROUP, "mounting with 10,000 registers, 100,000 fields", "with the map", "without",
                "more", unit="ms", goal=at_most(1000)),
            lambda: mount_time(option), lambda: mount_time())
