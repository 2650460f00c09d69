"""Real mounts of the memory device: with passthrough, without, and without poll.

DEVFS_BINARY is the program. DEVFS_TEST_MODES are the modes to run in: `user` is an ordinary user's,
see python/tests/run, and `module` mounts DEVFS_TEST_DEVICE, see Tests/VM/python-tests.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import sys
from typing import Any, Dict, Iterator, List

import pytest

from devfs import Device

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("DEVFS_BINARY", str(TOP / ".build/debug/devfs"))
# Threads of numpy, made when it is imported, would take the signals that a test waits for.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
# What children of the tests import.
os.environ["PYTHONPATH"] = str(TOP / "python/src")

OPTIONS: Dict[str, Dict[str, Any]] = {
    "passthrough": {"passthrough": True},
    "served": {"passthrough": False},
    "no_poll": {"passthrough": False, "poll": False},
    "user": {},
    "module": {},
}
MODES: List[str] = os.environ.get("DEVFS_TEST_MODES", "passthrough served no_poll").split()

_numbers = itertools.count()


def mounted(mode: str, **more: Any) -> Device:
    """A mount of a device of its own, but for the module's, of which there is one."""
    if mode == "module":
        return Device.mount(os.environ["DEVFS_TEST_DEVICE"], command=PROGRAM)
    return Device.mount(
        f"memory:pytest-{os.getpid()}-{next(_numbers)}", remove=True, command=PROGRAM,
        **{"size": "64M", **OPTIONS[mode], **more})


@pytest.fixture(params=MODES, scope="session")
def shared(request: pytest.FixtureRequest) -> Iterator[Device]:
    """One mount a mode, as mounting takes longest."""
    with mounted(request.param) as device:
        yield device


@pytest.fixture
def device(shared: Device) -> Iterator[Device]:
    """The mount, without what an earlier test left."""
    yield shared
    shared.close()
    for stream in shared.streams.values():
        stream.remove()
    for signal in shared.signals.values():
        signal.close()
        signal.remove()
    for buffer in shared.buffers.values():
        buffer.free()


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Iterator[Device]:
    """A mount that the test may break, in the first of the modes."""
    if MODES == ["module"]:
        pytest.skip("the module's device has one mount")
    device = mounted(MODES[0])
    made = device._made
    yield device
    device.close()
    if device._made is not None and made is not None:
        made.end(lazy=True)


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """`no_poll` is of interest where something waits, and takes no time elsewhere."""
    waits = ("test_signal", "test_stream", "test_multiprocessing")
    items[:] = [
        item for item in items
        if "no_poll" not in item.name or item.path.stem in waits]
    for item in items:
        if MODES == ["module"] and item.get_closest_marker("memory"):
            item.add_marker(pytest.mark.skip(reason="it is about memory devices"))


@pytest.fixture
def has_numpy() -> None:
    pytest.importorskip("numpy")


def cut_calls(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Has reads and writes stop early, as Linux does at 2 GiB."""
    pread, preadv, pwrite = os.pread, os.preadv, os.pwrite
    monkeypatch.setattr(
        os, "pread", lambda file, length, offset: pread(file, min(length, limit), offset))
    monkeypatch.setattr(
        os, "preadv", lambda file, targets, offset:
        preadv(file, [memoryview(targets[0])[:limit]], offset))
    monkeypatch.setattr(
        os, "pwrite", lambda file, data, offset: pwrite(file, memoryview(data)[:limit], offset))


def python(*words: str) -> List[str]:
    """A Python of the tests' own."""
    return [sys.executable, *words]
