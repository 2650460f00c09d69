"""What an operation costs the server: wake-ups, time, context switches, instructions."""

import os
import re
import tempfile

from core import Row, Unavailable, at_most
from mounts import c_server, devfs, on_one_processor, probe, strip

GROUP = "cost to the server, an operation"


def usage(pid):
    """CPU time in ns and voluntary context switches of all threads of a process."""
    time = switches = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="utf-8") as file:
            time += int(file.read().split()[0])
        with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8") as file:
            switches += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[1])
    return time, switches


def per_operation(pid, words, count):
    before = usage(pid)
    probe(*words, count)
    after = usage(pid)
    return [(b - a) / count for a, b in zip(before, after)]


def instructions(make, path_of, words, few=200, many=1200):
    """Instructions of a server in user space an operation, by callgrind: exact, on any machine."""
    totals = []
    for count in (few, many):
        with tempfile.NamedTemporaryFile(suffix=".callgrind") as file:
            wrapper = [
                "valgrind", "--tool=callgrind", f"--callgrind-out-file={file.name}",
                "--log-file=/dev/null"]
            with make(wrapper) as served:
                workload, *rest = words
                probe(workload, path_of(served), *rest, count, timeout=300)
            with open(file.name, encoding="utf-8", errors="replace") as report:
                found = re.search(r"^(?:summary|totals): (\d+)", report.read(), re.M)
            if not found:
                raise Unavailable("callgrind wrote no total")
            totals.append(int(found[1]))
    return (totals[1] - totals[0]) / (many - few)


def measure(run):
    count = 1000 if run.quick else 20000
    with devfs("no_passthrough") as mount, devfs("passthrough") as direct:
        path = mount.allocate("data", 1 << 20)
        zero_copy = direct.allocate("data", 1 << 20)
        for workload in ("read", "write"):
            row = Row(
                GROUP, f"{workload} 4k: wake-ups of the server", "passthrough", "", "value",
                unit="", goal=at_most(0.001), note="open and close vary by some")
            run.alternate(row, lambda: wakeups(direct.pid, (workload, zero_copy, 4096), count))
        with c_server([mount.inode("data")]) as peer, on_one_processor(mount, peer):
            for workload in ("read", "write"):
                for size in (4096,) if run.quick else (4096, 1 << 20):
                    words = (workload, path, size)
                    peers = (workload, peer.path("data"), size)
                    number = count if size == 4096 else count // 20
                    samples = []
                    for round in range(run.rounds + 1):
                        run.progress(f"{GROUP}: {workload} {size}")
                        sample = (
                            per_operation(mount.pid, words, number),
                            per_operation(peer.pid, peers, number))
                        if round:
                            samples.append(sample)
                    label = f"{workload} {'4k' if size == 4096 else '1M'}"
                    for index, (what, unit) in enumerate(
                            (("CPU time", "ns"), ("context switches", ""))):
                        run.add(Row(
                            GROUP, f"{label}: {what}, on one processor", "no_passthrough",
                            "C server", "cost", unit,
                            at_most(1 / 0.95) if index == 0 else None,
                            [ours[index] for ours, _ in samples],
                            [theirs[index] for _, theirs in samples]))
    if not run.quick:
        measure_instructions(run)


def wakeups(pid, words, count):
    """Beyond what a run of one operation takes: the open and the close."""
    few, many = (usage_of(pid, words, number) for number in (1, count))
    return max(0, many - few) / count


def usage_of(pid, words, count):
    before = usage(pid)[1]
    probe(*words, count)
    return usage(pid)[1] - before


def measure_instructions(run):
    strip()
    with devfs("no_passthrough") as files:
        files.allocate("data", 1 << 20)

        def ours(wrapper):
            return prepared(wrapper)

        def theirs(wrapper):
            return c_server([files.inode("data")], wrapper=wrapper)

        for workload in ("read", "write"):
            for size, label in ((4096, "4k"), (1 << 20, "1M")):
                run.progress(f"{GROUP}: instructions, {workload} {label}")
                row = Row(
                    GROUP, f"{workload} {label}: instructions in user space", "no_passthrough",
                    "C server", "cost", "", at_most(1 / 0.95),
                    note="callgrind counts them: one round is exact")
                try:
                    row.subject_costs = [instructions(
                        ours, lambda served: served.path("buffers/data"), (workload, size))]
                    row.baseline_costs = [instructions(
                        theirs, lambda served: served.path("data"), (workload, size))]
                except Unavailable as reason:
                    row.note = str(reason)
                run.add(row)


class prepared:
    """A mount under a tool, with its buffer."""

    def __init__(self, wrapper):
        self._manager = devfs("no_passthrough", wrapper=wrapper)

    def __enter__(self):
        mount = self._manager.__enter__()
        mount.allocate("data", 1 << 20)
        return mount

    def __exit__(self, *error):
        return self._manager.__exit__(*error)
