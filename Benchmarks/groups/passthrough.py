"""Reads and writes through a mount with passthrough, against the same inode without the mount."""

import fio
import pairs
from core import Row, at_least, at_most, short
from mounts import c_server, devfs

GROUP = "passthrough against the same inode"
SIZES = (64, 4096, 128 << 10, 1 << 20, 4 << 20)
MODES = ("read", "write", "randread", "randwrite")


def cells(quick):
    if quick:
        for size in (4096, 1 << 20):
            for mode in ("randread", "randwrite"):
                yield "psync", mode, size, 1
        yield "mmap", "randread", 4096, 1
        return
    for size in SIZES:
        for mode in MODES:
            yield "psync", mode, size, 1
    for engine in ("mmap", "libaio"):
        for size in (4096, 128 << 10, 1 << 20):
            for mode in MODES:
                yield engine, mode, size, 1
    for jobs in (2, 4):
        for size in (4096, 128 << 10, 1 << 20):
            for mode in ("randread", "randwrite"):
                yield "psync", mode, size, jobs


def ring_cells(*sizes):
    for size in sizes:
        for mode in MODES:
            yield "io_uring", mode, size, 1


def goal(engine, mode, size, jobs):
    """The view of a cell, and its goal: those of one psync or mmap are decided by the probe's rows,
    which are ten times as precise."""
    if engine == "psync" and jobs == 1 and size == 4096:
        return "more", None
    if size >= 128 << 10 and (jobs > 1 or engine in ("io_uring", "libaio")):
        return "speed", at_least(0.98)
    return "speed", None


def precise(run, mount, path):
    for size in SIZES:
        for mode in ("read", "write"):
            view, bound = "speed", at_least(0.98) if size >= 128 << 10 else None
            if size == 4096:
                view, bound = "more", at_most(300 if mode == "read" else 700)
            pairs.compare(run, Row(
                GROUP, f"p{mode} {short(size)}", "passthrough", "same inode", view, goal=bound,
                keys=fio.keys("probe", mode, size, 1)),
                mode, path, mount.inode("data"), size)


def measure(run):
    # 64 MiB: far more than a cache, and little enough to be filled in no time.
    with devfs("passthrough", needs=["passthrough"]) as mount:
        path = mount.allocate("data", 64 << 20)
        precise(run, mount, path)
        for cell in cells(run.quick):
            compare(run, mount, path, "passthrough", cell, *goal(*cell))
        if not run.quick:
            trap(run, mount)
            for cell in ring_cells(4096):
                compare(run, mount, path, "passthrough, poll (default)", cell, "speed", None)
    if not run.quick:
        with devfs("passthrough", "no_poll", needs=["passthrough"]) as mount:
            path = mount.allocate("data", 64 << 20)
            for cell in ring_cells(4096, 128 << 10, 1 << 20):
                compare(run, mount, path, "passthrough, no_poll", cell, *goal(*cell))


def compare(run, mount, path, subject, cell, view, bound):
    fio.compare(
        run, GROUP, cell, subject, "same inode", (path, mount.inode("data")), view, bound)


def trap(run, mount):
    """The kernel's question for security.capability before each write, on our C server."""
    files = [mount.inode("data")]
    with c_server(files, "-p", "-x") as asked, c_server(files, "-p") as silent:
        fio.compare(
            run, GROUP, ("psync", "randwrite", 4096, 1), "C server, getxattr handler",
            "C server without", (asked.path("data"), silent.path("data")),
            note="why DevFS has no getxattr handler")
