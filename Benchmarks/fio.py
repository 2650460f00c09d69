"""fio, with both sides of a comparison in one run of it, in turns."""

import json
import tempfile

from core import Row, Unavailable, execute, short

# Settings of each engine beside its name.
ENGINES = {
    "psync": [],
    "mmap": [],
    "io_uring": ["direct=1", "iodepth=8"],
    "libaio": ["direct=1", "iodepth=8"],
}


def _job_file(engine, mode, size, jobs, milliseconds, paths, rounds):
    lines = [
        "[global]", f"ioengine={engine}", *ENGINES[engine], f"rw={mode}", f"bs={size}",
        f"numjobs={jobs}", "time_based=1", f"runtime={milliseconds}ms", "gtod_reduce=1",
        "thread=1", "group_reporting=1", "allow_file_create=0", "create_on_open=0",
        "fallocate=none", "invalidate=0", "randrepeat=1", "norandommap=1", "stonewall",
    ]
    for round in range(rounds):
        for side, path in enumerate(paths):
            lines += [f"[{'AB'[side]}{round}]", f"filename={path}", "new_group=1"]
    return "\n".join(lines) + "\n"


def _costs(report):
    """ns an operation, by side, in the order of the rounds."""
    costs = {"A": [], "B": []}
    for job in report["jobs"]:
        if job.get("error"):
            raise Unavailable(f"fio: errno {job['error']}")
        done = job["read"] if job["read"]["total_ios"] else job["write"]
        if not done["total_ios"]:
            raise Unavailable("fio: nothing was transferred")
        costs[job["jobname"][0]].append(done["runtime"] * 1e6 / done["total_ios"])
    return costs


def compare(run, group, cell, subject, baseline, paths, view="speed", goal=None, note=""):
    """Adds a row of ns an operation of two paths; a cell is engine, mode, block size and jobs."""
    row = Row(
        group, workload(*cell), subject, baseline, view, goal=goal, note=note, keys=keys(*cell))
    run.progress(f"{row.group}: {row.workload}, {row.subject}")
    text = _job_file(*cell, 40 if run.quick else 60, paths, run.rounds + 1)
    with tempfile.NamedTemporaryFile("w", suffix=".fio") as file:
        file.write(text)
        file.flush()
        try:
            out = execute(["fio", "--output-format=json", file.name], timeout=120)
            costs = _costs(json.loads(out[out.index("{"):]))
            # The first round only warms up.
            row.subject_costs, row.baseline_costs = costs["A"][1:], costs["B"][1:]
        except (Unavailable, ValueError, KeyError) as error:
            row.note = str(error)
    return run.add(row)


def workload(engine, mode, size, jobs):
    text = f"fio {engine} {mode} {short(size)}"
    return text + (f", {jobs} jobs" if jobs > 1 else "")


def keys(engine, mode, size, jobs):
    return {"engine": engine, "mode": mode, "size": size, "jobs": jobs}
