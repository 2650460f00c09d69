"""What `features`, `status`, `metrics` and `heaps/` say, as values."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional


class Feature(NamedTuple):
    """A line of ``features``. It is true where the mount can do it."""

    name: str
    on: bool
    why: str
    """Why not, or nothing."""

    def __bool__(self) -> bool:
        return self.on


class Heap(NamedTuple):
    """Where buffers are allocated."""

    type: str
    """``page`` (scatter-gather), ``fixed`` (one range), ``pinned`` or ``imported``."""
    size: int
    """Bytes: the limit."""
    used: int
    """Bytes that are allocated."""
    max: int
    """Bytes of the largest allocation that can succeed now."""


class Sample(NamedTuple):
    """A line of ``metrics``."""

    name: str
    labels: Dict[str, str]
    value: float


class Metrics(List[Sample]):
    """The samples of ``metrics``, in their order."""

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with that name and those labels; KeyError where there is none."""
        found = [
            sample.value for sample in self
            if sample.name == name and labels.items() <= sample.labels.items()]
        if not found:
            raise KeyError(name if not labels else f"{name} {labels}")
        return sum(found)


def features(text: str) -> Dict[str, Feature]:
    """`NAME yes|no [why]`, one a line."""
    found = {}
    for line in text.splitlines():
        name, on, why = (line.split(" ", 2) + ["", ""])[:3]
        found[name] = Feature(name, on == "yes", why)
    return found


def status(text: str) -> Dict[str, List[str]]:
    """`WORD what`, where a word can have several lines."""
    found: Dict[str, List[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest.strip())
    return found


_SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?')
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


def _escaped(code: "re.Match[str]") -> str:
    return "\n" if code[1] == "n" else code[1]


def _sample(line: str) -> Optional[Sample]:
    match = _SAMPLE.fullmatch(line)
    if match is None:
        return None
    labels = {
        name: re.sub(r"\\(.)", _escaped, value)
        for name, value in _LABEL.findall(match[2] or "")}
    return Sample(match[1], labels, float(match[3]))


def metrics(text: str) -> Metrics:
    """The Prometheus text exposition format."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return Metrics(sample for sample in map(_sample, lines) if sample is not None)
