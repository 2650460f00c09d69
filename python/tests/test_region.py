"""Regions, on a directory that looks like a mount: real ones are in the guest's tests."""

from __future__ import annotations

import errno
import os
import pathlib
import pickle
import threading
from typing import Iterator, List, Tuple

import pytest

import devfs
from conftest import cut_calls
from devfs import Device, Region


@pytest.fixture
def region(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Region]:
    monkeypatch.setattr("devfs._command.root_of", lambda path: path)
    (tmp_path / "version").write_text("devfs 0\n")
    (tmp_path / "regions").mkdir()
    (tmp_path / "regions/bar0").write_bytes(bytes(range(256)))
    with Device(tmp_path).regions["bar0"] as bar0:
        yield bar0


def test_each_access_is_one_call_of_its_width(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: List[Tuple[str, int, int]] = []

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        calls.append(("read", length, offset))
        return real_pread(descriptor, length, offset)

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        calls.append(("write", len(data), offset))
        return real_pwrite(descriptor, data, offset)

    real_pread, real_pwrite = os.pread, os.pwrite
    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(os, "pwrite", pwrite)
    assert [region.read8(3), region.read16(2), region.read32(4), region.read64(8)] == [
        3, 0x0302, 0x07060504, 0x0F0E0D0C0B0A0908]
    region.write8(3, 0xFF)
    region.write16(2, 0x1234)
    region.write32(4, 0xDEADBEEF)
    region.write64(8, 1)
    assert calls == [
        ("read", 1, 3), ("read", 2, 2), ("read", 4, 4), ("read", 8, 8),
        ("write", 1, 3), ("write", 2, 2), ("write", 4, 4), ("write", 8, 8)]
    monkeypatch.undo()
    assert region.read(0, 16) == b"\0\1\x34\x12\xef\xbe\xad\xde\1" + bytes(7)


def test_an_access_that_is_cut_is_no_register(region: Region) -> None:
    # As where the device goes: the region is shorter than it was when it was opened.
    os.truncate(region.path, 6)
    with pytest.raises(devfs.DevFSError, match="2 bytes of the 4 at 0x4") as caught:
        region.read32(4)
    assert caught.value.errno == errno.EIO
    assert region.read16(4) == 0x0504


def test_a_write_of_a_register_that_is_cut_is_an_error(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: 2)
    with pytest.raises(devfs.DevFSError, match="2 bytes of the 4 at 0x4") as caught:
        region.write32(4, 0)
    assert caught.value.errno == errno.EIO


def test_runs_go_on_after_a_short_call(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_calls(monkeypatch, 64)
    assert region.read(0, 256) == bytes(range(256))
    assert region.read(192, 256) == bytes(range(192, 256))
    assert region.write(bytes(256), 0) == 256
    assert region.read(0, 300) == bytes(256)


@pytest.mark.parametrize("offset", [1, 2, 254, 256, -4])
def test_a_register_that_is_none_is_refused(region: Region, offset: int) -> None:
    with pytest.raises(devfs.InvalidError, match="no register of 4 bytes"):
        region.read32(offset)
    with pytest.raises(devfs.InvalidError, match="no register of 4 bytes"):
        region.write32(offset, 0)


@pytest.mark.parametrize("value", [-1, 1 << 16])
def test_a_value_that_does_not_fit_is_refused(region: Region, value: int) -> None:
    with pytest.raises(devfs.InvalidError, match="does not fit 16 bits"):
        region.write16(0, value)


def test_waiting_for_bits(region: Region) -> None:
    threading.Timer(0.1, region.write32, (16, 0x80000001)).start()
    assert region.wait32(16, 1, 1, timeout=10) == 0x80000001
    with pytest.raises(devfs.WaitTimeout, match="register 0x10 is 0x80000001 after 0.05 s"):
        region.wait32(16, 1, 0, timeout=0.05)


def test_memory_and_pickling(region: Region) -> None:
    region.memory[5] = 77
    assert region.read8(5) == 77
    with pickle.loads(pickle.dumps(region)) as copy:
        assert copy.read8(5) == 77
    region.close()
    with pytest.raises(ValueError, match="closed file"):
        region.read8(5)


def test_a_region_that_is_not_there(region: Region) -> None:
    with pytest.raises(devfs.NotFoundError):
        region.parent.region("bar1")
    assert region.parent.regions.get("bar1") is None
