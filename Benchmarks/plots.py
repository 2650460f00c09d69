"""The pictures: ratio by block size, cost by number of buffers."""

import dataclasses
import os

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot  # noqa: E402

from core import short  # noqa: E402


def _save(figure, path):
    # Neither a date nor random ids: the same run gives the same file.
    matplotlib.rcParams["svg.hashsalt"] = "devfs"
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _speed(row):
    """The ratio of speeds, whatever the row's own view is, and where it may be."""
    speed = dataclasses.replace(row, view="speed")
    return (speed.median, *speed.interval)


def _lines(rows, label):
    lines = {}
    for row in rows:
        if row.subject_costs and row.baseline_costs and "size" in row.keys and "mode" in row.keys:
            lines.setdefault(label(row), []).append((row.keys["size"], *_speed(row)))
    return lines


def _by_size(path, title, ylabel, lines):
    if not lines:
        return
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    sizes = sorted({size for points in lines.values() for size, *_ in points})
    for label, points in lines.items():
        points.sort()
        where = [sizes.index(point[0]) for point in points]
        middle = [point[1] for point in points]
        axes.errorbar(
            where, middle, label=label, marker="o", capsize=3, linewidth=1.2,
            yerr=[[point[1] - point[2] for point in points],
                  [point[3] - point[1] for point in points]])
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(sizes)), [short(size) for size in sizes])
    axes.set(title=title, xlabel="block size", ylabel=ylabel)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    _save(figure, path)


def _by_buffers(path, rows):
    lines = {}
    for row in rows:
        if row.subject_costs and "what" in row.keys:
            lines.setdefault(row.keys["what"], []).append((row.keys["buffers"], row.median))
    if not lines:
        return
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for label, points in lines.items():
        points = [(100, 1.0)] + sorted(points)
        axes.plot([point[0] for point in points], [point[1] for point in points], marker="o",
                  label=label, linewidth=1.2)
    axes.axhline(1.2, color="black", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set(title="Cost by number of buffers", xlabel="buffers", ylabel="cost, 100 buffers = 1")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    _save(figure, path)


def draw(directory, rows):
    """Writes the SVG files of what was measured."""
    os.makedirs(directory, exist_ok=True)
    single = [row for row in rows if row.keys.get("jobs") == 1]
    _by_size(
        os.path.join(directory, "passthrough.svg"), "Through the mount, passthrough",
        "speed, same inode = 1",
        _lines([row for row in single if row.subject in ("passthrough", "passthrough, no_poll")
                and row.baseline == "same inode"],
               lambda row: f"{row.keys['engine']} {row.keys['mode']}"))
    _by_size(
        os.path.join(directory, "served.svg"), "Through the server", "speed, C server = 1",
        _lines([row for row in single if row.baseline in ("C server", "C server, io_uring")
                and row.subject.startswith("no_passthrough")],
               lambda row: f"{row.keys['engine']} {row.keys['mode']}"
               + (" over io_uring" if "io_uring" in row.subject else "")))
    _by_buffers(os.path.join(directory, "buffers.svg"), rows)
