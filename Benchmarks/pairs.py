"""Two paths in turns by our own probe, in slices of milliseconds: many rounds in a second."""

import os

from core import Unavailable
from mounts import probe

SLICE_MICROSECONDS = 5000


def compare(run, row, operation, subject, baseline, size=4096, servers=()):
    """Fills `row` with ns of an operation of the probe on each of two paths.

    With servers, all is on one processor: whether a scheduler wakes a thread here or over there is
    half of a request's time, stays so for seconds, and is neither server's merit."""
    run.progress(f"{row.group}: {row.workload}, {row.subject}")
    processors = os.sched_getaffinity(0)
    one = {max(processors)} if servers else processors
    for server in servers:
        server.run_on(one)
    os.sched_setaffinity(0, one)
    try:
        costs = probe("pair", operation, subject, baseline, size, 21 if run.quick else 61,
                      SLICE_MICROSECONDS)
        row.subject_costs, row.baseline_costs = costs[::2], costs[1::2]
    except Unavailable as reason:
        row.note = str(reason)
    finally:
        os.sched_setaffinity(0, processors)
        for server in servers:
            server.run_on(processors)
    return run.add(row)
