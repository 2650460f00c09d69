"""The same at 100, 1,000 and 100,000 buffers."""

import re

import pairs
from core import Row, at_most
from mounts import devfs, on_one_processor, probe

GROUP = "with many buffers"


def fill(mount, count):
    for first in range(0, count, 1000):
        mount.put("control/alloc", "".join(
            f"b{index} 4096\n" for index in range(first, min(count, first + 1000))))


def memory(pid):
    """Resident bytes."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return int(re.search(r"^VmRSS:\s+(\d+)", status.read(), re.M)[1]) * 1024


def measure(run):
    count = 200 if run.quick else 4000
    counts = (1000,) if run.quick else (1000, 100_000)
    with devfs() as few:
        base = memory(few.pid)
        run.add(Row(
            GROUP, "RSS of the server, no buffers", "DevFS", "", "value", "bytes",
            at_most(20 << 20), [base]))
        fill(few, 100)
        for number in counts:
            run.progress(f"{GROUP}: making {number:,}")
            with devfs() as many:
                before = memory(many.pid)
                fill(many, number)
                grown = (memory(many.pid) - before) / number
                run.add(Row(
                    GROUP, f"RSS for a buffer, {number:,} buffers", "DevFS", "", "value", "bytes",
                    at_most(300) if number >= 100_000 else None, [grown],
                    keys={"buffers": number}))
                with on_one_processor(few, many):
                    compare(run, few, many, number, count)


def compare(run, few, many, number, count):
    last = at_most(1.2)

    def row(what, measure, goal=last):
        run.alternate(
            Row(GROUP, f"{what}, {number:,} buffers", "DevFS", "100 buffers", "cost", goal=goal,
                keys={"buffers": number, "what": what}),
            lambda: measure(many, number), lambda: measure(few, 100))

    row("look-up and stat", lambda mount, size: probe(
        "stat", mount.path("buffers"), "b", size, count)[0])
    pairs.compare(run, Row(
        GROUP, f"open + close, {number:,} buffers", "DevFS", "100 buffers", "cost", goal=last,
        keys={"buffers": number, "what": "open + close"}),
        "open", many.path("buffers/b7"), few.path("buffers/b7"))
    row("read 4k, passthrough", lambda mount, size: probe(
        "read", mount.path("buffers/b7"), 4096, count * 10)[0], None)

    def allocations(mount, size, index):
        costs = probe("alloc", mount.path("control"), "system", 4096, count // 4)
        return costs[index]

    row("alloc", lambda mount, size: allocations(mount, size, 0))
    row("free", lambda mount, size: allocations(mount, size, 1))
    row("readdir, an entry", lambda mount, size: probe(
        "readdir", mount.path("buffers"), max(1, 1000 // size))[0])
