"""Rounds, rows and what is made of them. Knows nothing of DevFS."""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field


class Unavailable(Exception):
    """What a row compares with can't be had here; the text says why."""


@dataclass
class Goal:
    """A bound for a row's value. It is shown, and never a reason to fail."""

    sign: str  # '>=' or '<='
    bound: float

    def met(self, value):
        return value >= self.bound if self.sign == ">=" else value <= self.bound

    def __str__(self):
        return f"{self.sign} {self.bound:g}"


def at_least(bound):
    return Goal(">=", bound)


def at_most(bound):
    return Goal("<=", bound)


# How a row's value comes from what the subject and the baseline cost in the same round.
VIEWS = {
    # How many times as fast as the baseline.
    "speed": lambda subject, baseline: baseline / subject,
    # How many times as expensive.
    "cost": lambda subject, baseline: subject / baseline,
    # By how much more expensive, in the row's unit.
    "more": lambda subject, baseline: subject - baseline,
    # The subject alone.
    "value": lambda subject, baseline: subject,
}


@dataclass
class Row:
    group: str
    workload: str
    subject: str
    baseline: str
    view: str = "speed"
    unit: str = "ns"
    goal: Goal | None = None
    # One cost a round, less is better; both were measured in turns.
    subject_costs: list = field(default_factory=list)
    baseline_costs: list = field(default_factory=list)
    # Why there is nothing, or what to know about it.
    note: str = ""
    # What plots group by: block size, number of buffers, ...
    keys: dict = field(default_factory=dict)

    @property
    def values(self):
        view = VIEWS[self.view]
        baselines = self.baseline_costs or [0] * len(self.subject_costs)
        return [view(*pair) for pair in zip(self.subject_costs, baselines)]

    @property
    def median(self):
        return statistics.median(self.values) if self.subject_costs else None

    @property
    def interval(self):
        """Where the median of endless rounds is, with 95 % (all of five rounds: 94 %): from the
        order of the values alone, whatever their distribution."""
        values = sorted(self.values)
        count, below, cut = len(values), 0.0, 0
        while cut < (count - 1) // 2:
            below += math.comb(count, cut) / 2**count
            if below > 0.025:
                break
            cut += 1
        return (values[cut], values[-1 - cut]) if values else (None, None)

    @property
    def verdict(self):
        """`unclear` where the goal is missed by less than the rounds can tell."""
        if self.median is None:
            return "not measured"
        if self.goal is None:
            return ""
        if self.goal.met(self.median):
            return "met"
        is_near = len(self.values) > 1 and any(self.goal.met(end) for end in self.interval)
        return "unclear" if is_near else "missed"

    def as_json(self):
        values = self.values
        return {
            "group": self.group, "workload": self.workload, "subject": self.subject,
            "baseline": self.baseline, "view": self.view, "unit": self.unit,
            "goal": str(self.goal) if self.goal else None,
            "median": self.median, "low": min(values, default=None),
            "high": max(values, default=None), "interval": self.interval,
            "verdict": self.verdict,
            "subject_costs": self.subject_costs, "baseline_costs": self.baseline_costs,
            "note": self.note, "keys": self.keys,
        }


class Run:
    """One run of the benchmarks: its rows, its settings and its progress line."""

    def __init__(self, quick, rounds):
        self.quick = quick
        self.rounds = rounds
        self.rows = []
        self._started = time.monotonic()
        self._total = 1
        self._done = 0

    def expect(self, groups):
        self._total = groups

    def finished_group(self):
        self._done += 1

    def progress(self, text):
        """Says on stderr what is being measured: one line that is written over on a terminal."""
        seconds = int(time.monotonic() - self._started)
        line = f"[{self._done + 1}/{self._total}] {seconds // 60}:{seconds % 60:02} {text}"
        if sys.stderr.isatty():
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            sys.stderr.write(f"\r\033[K{line[:width - 1]}")
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    @property
    def seconds(self):
        return time.monotonic() - self._started

    def alternate(self, row, subject, baseline=None, times=1):
        """Measures both in turns, A B A B; the first round only warms up. Each gives a cost.
        `times` as many rounds as others have are for what is quick."""
        self.progress(f"{row.group}: {row.workload}, {row.subject}")
        try:
            for round in range(times * self.rounds + 1):
                pair = (subject(), baseline() if baseline else None)
                if round == 0:
                    continue
                row.subject_costs.append(pair[0])
                if baseline:
                    row.baseline_costs.append(pair[1])
        except Unavailable as reason:
            row.note = str(reason)
        self.rows.append(row)
        return row

    def add(self, row):
        self.rows.append(row)
        return row


def execute(command, timeout=120, **options):
    """Runs a command to its end; its standard output. What goes wrong is `Unavailable`."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, text=True,
            stdin=subprocess.DEVNULL, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{os.path.basename(command[0])}: {error}") from error
    if done.returncode != 0:
        why = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}")
        raise Unavailable(f"{os.path.basename(command[0])}: {why.splitlines()[-1][:200]}")
    return done.stdout


def short(number):
    """4096 as 4k, 1048576 as 1M."""
    for unit, name in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k")):
        if number >= unit and number % unit == 0:
            return f"{number // unit}{name}"
    return f"{number} B" if number < 1024 else str(number)


def write_json(path, run, machine):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(
            {"machine": machine, "rounds": run.rounds, "quick": run.quick,
             "seconds": round(run.seconds), "rows": [row.as_json() for row in run.rows]},
            file, indent=1)
        file.write("\n")
