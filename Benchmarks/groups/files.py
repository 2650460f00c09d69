"""Names and descriptors: what one call costs."""

import pairs
from core import Row, at_most
from mounts import c_server, devfs, probe

GROUP = "names and descriptors"


def measure(run):
    count = 200 if run.quick else 4000
    with devfs("passthrough", needs=["passthrough"]) as mount, devfs("no_passthrough") as served:
        for each in (mount, served):
            each.allocate("data0", 1 << 20)
        with c_server([served.inode("data0")]) as peer:
            path = served.path("buffers/data0")
            pairs.compare(run, Row(
                GROUP, "open + close, on one processor", "passthrough", "no_passthrough", "cost",
                goal=at_most(1.1)),
                "open", mount.path("buffers/data0"), path, servers=(mount, served))
            pairs.compare(run, Row(
                GROUP, "open + close, on one processor", "no_passthrough", "C server", "cost"),
                "open", path, peer.path("data0"), servers=(served, peer))
            run.alternate(
                Row(GROUP, "stat", "DevFS", "C server", "cost"),
                lambda: probe("stat", served.path("buffers"), "data", 1, count)[0],
                lambda: probe("stat", peer.root, "data", 1, count)[0])
        run.alternate(
            Row(GROUP, "open(O_CREAT) + close + unlink", "DevFS", "tmpfs", "cost"),
            lambda: probe("create", mount.path("buffers"), count // 4)[0],
            lambda: probe("create", mount.inode(""), count // 4)[0])
        for heap in ("system",) if run.quick else ("system", "contiguous", "coherent"):
            for size in (4096, 1 << 20):
                text = f"alloc and free {size >> 10}k heap={heap}"
                run.alternate(
                    Row(GROUP, text, "DevFS", "", "value", unit="ns",
                        keys={"heap": heap, "size": size}),
                    lambda: sum(probe("alloc", mount.path("control"), heap, size, count // 16)))
        for index in range(1000):
            mount.put("control/alloc", f"many{index} 4096\n")
        run.alternate(
            Row(GROUP, "readdir of 1,000, an entry", "DevFS", "tmpfs", "cost", unit="ns/entry"),
            lambda: probe("readdir", mount.path("buffers"), 10)[0],
            lambda: probe("readdir", mount.inode(""), 10)[0])
