"""libfuse's own passthrough_hp over tmpfs, and DevFS beside it: each against the bare file."""

import fio
from core import Row, Unavailable
from mounts import devfs, passthrough_hp

GROUP = "against passthrough_hp of libfuse"


def cells(quick):
    sizes = (4096,) if quick else (64, 4096, 128 << 10, 1 << 20, 4 << 20)
    for size in sizes:
        for mode in ("randread", "randwrite"):
            yield "psync", mode, size, 1


def measure(run):
    with devfs("passthrough", needs=["passthrough"]) as mount:
        path = mount.allocate("data", 64 << 20)
        directory = mount.inode("data").rsplit("/", 1)[0]
        try:
            with passthrough_hp(directory) as peer:
                for cell in cells(run.quick):
                    fio.compare(
                        run, GROUP, cell, "passthrough", "passthrough_hp",
                        (path, peer.path("data")))
                    if run.quick:
                        continue
                    fio.compare(
                        run, GROUP, cell, "(passthrough_hp)", "same inode",
                        (peer.path("data"), mount.inode("data")))
        except Unavailable as reason:
            run.add(Row(GROUP, "fio psync", "passthrough", "passthrough_hp", note=str(reason)))
