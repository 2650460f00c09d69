"""From the command to a mount that answers."""

import subprocess
import time

from core import Row, at_most
from mounts import DEVFS, DevFS, c_server, devfs

GROUP = "start"


def measure(run):
    with devfs() as files:
        files.allocate("data", 4096)

        def ours():
            mount = DevFS()
            try:
                mount.wait_until_mounted()
                return (time.monotonic_ns() - mount.started) / 1e6
            finally:
                mount.stop()

        def theirs():
            start = time.monotonic_ns()
            with c_server([files.inode("data")]):
                return (time.monotonic_ns() - start) / 1e6

        run.alternate(
            Row(GROUP, "mount answers, after", "DevFS", "", "value", "ms", at_most(50)), ours)
        run.alternate(
            Row(GROUP, "mount answers", "DevFS", "C server", "cost", "ms"), ours, theirs)
        run.alternate(
            Row(GROUP, "devfs --version", "DevFS", "", "value", "ms"), version)


def version():
    start = time.monotonic_ns()
    subprocess.run([DEVFS, "--version"], check=True, stdout=subprocess.DEVNULL)
    return (time.monotonic_ns() - start) / 1e6
