"""What people type: cat and dd of a large buffer."""

import subprocess
import time

from core import Row, at_least, short
from mounts import devfs

GROUP = "cat and dd"


def timed(command):
    start = time.perf_counter_ns()
    with open("/dev/null", "wb") as null:
        subprocess.run(command, check=True, stdout=null, stderr=subprocess.DEVNULL)
    return time.perf_counter_ns() - start


def measure(run):
    size = (128 << 20) if run.quick else (1 << 30)
    with devfs("passthrough", needs=["passthrough"]) as mount:
        path, inode = mount.allocate("data", size), mount.inode("data")
        commands = {
            f"cat of {short(size)}": lambda file: ["cat", file],
            f"dd bs=1M of {short(size)}, read":
                lambda file: ["dd", f"if={file}", "of=/dev/null", "bs=1M"],
            f"dd bs=1M of {short(size)}, write":
                lambda file: ["dd", "if=/dev/zero", f"of={file}", "bs=1M", "conv=notrunc",
                              f"count={size >> 20}"],
        }
        for name, command in commands.items():
            run.alternate(
                Row(GROUP, name, "passthrough", "same inode", goal=at_least(0.98)),
                lambda: timed(command(path)), lambda: timed(command(inode)), times=4)
