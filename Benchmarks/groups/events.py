"""From an event to the one who waits for it, on processors that do not halt."""

from core import Row, at_most
from mounts import awake, devfs, probe

GROUP = "signals"


def measure(run):
    count = 100 if run.quick else 2000
    samples = []

    with devfs() as mount, awake():
        mount.put("control/signal", "go software\n")
        mount.allocate("data", 4096)
        signal, file = mount.path("signals/go"), mount.path("buffers/data")
        # One of each a round, so that all rows are from the same rounds.
        for round in range(run.rounds + 1):
            run.progress(f"{GROUP}: {round} of {run.rounds}")
            sample = (
                probe("signal", signal, count), probe("eventfd", count),
                probe("fstat", file, count * 4)[0])
            if round:
                samples.append(sample)

    def row(name, subject, baseline, view, goal, costs, unit="ns"):
        pairs = [costs(*sample) for sample in samples]
        run.add(Row(
            GROUP, name, subject, baseline, view, unit, goal,
            [pair[0] for pair in pairs], [pair[1] for pair in pairs if pair[1] is not None]))

    row("trigger to reader, p50", "wait", "eventfd + epoll + one FUSE round trip", "cost",
        at_most(1.5), lambda signal, event, trip: (signal[0], event[0] + trip))
    row("trigger to reader, p50", "wait", "eventfd + epoll", "cost", None,
        lambda signal, event, trip: (signal[0], event[0]))
    row("trigger to reader, p99", "wait", "its own p50", "cost", at_most(3),
        lambda signal, event, trip: (signal[1], signal[0]))
    row("trigger to reader, p99", "wait", "p99 of eventfd + epoll", "cost", None,
        lambda signal, event, trip: (signal[1], event[1]))
    row("trigger to reader, p99.9", "wait", "p99.9 of eventfd + epoll", "cost", None,
        lambda signal, event, trip: (signal[2], event[2]))
    row("one FUSE round trip (fstat)", "DevFS", "", "value", None,
        lambda signal, event, trip: (trip, None))
