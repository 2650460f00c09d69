"""Two paths in turns by our own probe, in slices of milliseconds: many rounds in a second."""

import contextlib

from core import Unavailable
from mounts import on_one_processor, probe

SLICE_MICROSECONDS = 5000


def compare(run, row, operation, subject, baseline, size=4096, servers=()):
    """Fills `row` with ns of an operation of the probe on each of two paths; with servers, all is
    on one processor."""
    run.progress(f"{row.group}: {row.workload}, {row.subject}")
    rounds = 21 if run.quick else 61
    with on_one_processor(*servers) if servers else contextlib.nullcontext():
        try:
            costs = probe("pair", operation, subject, baseline, size, rounds, SLICE_MICROSECONDS)
            row.subject_costs, row.baseline_costs = costs[::2], costs[1::2]
        except Unavailable as reason:
            row.note = str(reason)
    return run.add(row)
