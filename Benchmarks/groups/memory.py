"""Mapped memory, plain copies, and huge pages."""

import pairs
from core import Row, at_least, at_most, short
from mounts import devfs, probe

GROUP = "memory"


def measure(run):
    with devfs("passthrough", needs=["passthrough"]) as mount:
        path, inode = mount.allocate("data", 64 << 20), mount.inode("data")
        pairs.compare(run, Row(
            GROUP, "mmap copy of 1M", "passthrough", "same inode", goal=at_least(0.98)),
            "copy", path, inode, 1 << 20)
        pairs.compare(run, Row(
            GROUP, "mmap and first touch of 64M", "passthrough", "same inode", "cost",
            goal=at_most(1.10)), "touch", path, inode)
        for size in (4096, 128 << 10, 1 << 20):
            count = max(64, (64 << 20) // size // (4 if run.quick else 1))
            run.alternate(
                Row(GROUP, f"read {short(size)}", "passthrough", "memcpy",
                    keys={"size": size}),
                lambda: probe("read", path, size, count)[0],
                lambda: probe("memcpy", size, 64 << 20, count)[0])
    huge(run)


def huge(run):
    """The default of the memory device against one of pages of 4 KiB alone."""
    with devfs("passthrough") as large, devfs("passthrough", "huge=never") as small:
        paths = large.allocate("data", 64 << 20), small.allocate("data", 64 << 20)
        for workload, size, goal in (("write", 1 << 20, 1.5), ("write", 4096, None),
                                     ("read", 1 << 20, 1.1), ("read", 4096, 1.1)):
            pairs.compare(run, Row(
                GROUP, f"{workload} {short(size)}", "huge pages (default)", "huge=never",
                goal=at_least(goal) if goal else None, keys={"size": size}),
                workload, *paths, size)
