"""Reads and writes through the server, against a C server with the same flags."""

import fio
import pairs
from core import Row, Unavailable, at_least, short
from mounts import c_server, devfs, uring_enabled

GROUP = "through the server"
SIZES = (64, 4096, 128 << 10, 1 << 20, 4 << 20)


def cells(quick):
    if quick:
        yield "psync", "randread", 4096, 1
        yield "psync", "randwrite", 4096, 1
        yield "psync", "randread", 1 << 20, 1
        return
    for size in SIZES:
        for mode in ("read", "write", "randread", "randwrite"):
            yield "psync", mode, size, 1
    for jobs in (2, 4):
        for mode in ("randread", "randwrite"):
            yield "psync", mode, 4096, jobs
    for mode in ("randread", "randwrite"):
        yield "libaio", mode, 4096, 1


def kept_cells(quick):
    for mode in () if quick else ("randread", "randwrite"):
        yield "psync", mode, 4096, 1


def measure(run):
    with devfs("no_passthrough") as mount:
        path = mount.allocate("data", 64 << 20)
        with c_server([mount.inode("data")]) as peer:
            precise(run, "no_passthrough", "C server", mount, peer, peer.path("data"))
            for cell in cells(run.quick):
                compare(run, "no_passthrough", cell, path, peer)
        # What asking for the size costs: it can change by a descriptor that was handed out.
        with c_server([mount.inode("data")], "-k") as peer:
            for cell in kept_cells(run.quick):
                fio.compare(
                    run, GROUP, cell, "no_passthrough", "C server that keeps the size",
                    (path, peer.path("data")))
        if not run.quick:
            measure_clients_with_rings(run)
        try:
            measure_rings(run, mount)
        except Unavailable as reason:
            run.add(Row(GROUP, "FUSE over io_uring", "io_uring", "/dev/fuse", note=str(reason)))


def precise(run, subject, baseline, mount, peer, path):
    """Each size by the probe, which decides the goals; fio's rows are ten times less precise."""
    for size in (4096,) if run.quick else SIZES:
        for mode in ("read", "write"):
            pairs.compare(run, Row(
                GROUP, f"p{mode} {short(size)}, on one processor", subject, baseline,
                goal=at_least(0.95),
                keys=fio.keys("probe", mode, size, 1)),
                mode, mount.path("buffers/data"), path, size, (mount, peer))


def compare(run, subject, cell, path, peer):
    engine, _, _, jobs = cell
    is_decided = engine == "psync" and jobs == 1
    fio.compare(
        run, GROUP, cell, subject, "C server", (path, peer.path("data")),
        goal=None if is_decided else at_least(0.95))


def measure_clients_with_rings(run):
    """The C server does not know of poll, so that the kernel does not ask it."""
    with devfs("no_passthrough", "no_poll") as mount:
        path = mount.allocate("data", 64 << 20)
        with c_server([mount.inode("data")]) as peer:
            for mode in ("randread", "randwrite"):
                cell = "io_uring", mode, 4096, 1
                compare(run, "no_passthrough, no_poll", cell, path, peer)


def measure_rings(run, mount):
    """A device has one server: the one with rings serves a buffer of its own, of the same size."""
    with uring_enabled(), devfs("no_passthrough", "io_uring", needs=["io_uring"]) as ring:
        path, subject = ring.allocate("data", 64 << 20), "no_passthrough, io_uring"
        # What rings save is waking another processor.
        for size in (4096,) if run.quick else (4096, 128 << 10, 1 << 20, 4 << 20):
            for mode in ("randread",) if run.quick else ("randread", "randwrite"):
                fio.compare(
                    run, GROUP, ("psync", mode, size, 1), subject, "no_passthrough",
                    (path, mount.path("buffers/data")),
                    goal=at_least(1.35) if size == 4096 else None)
        with c_server([ring.inode("data")], "-r") as peer:
            precise(run, subject, "C server, io_uring", ring, peer, peer.path("data"))
