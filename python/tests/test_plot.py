"""docs/man/devfs-view.1.md: pictures by matplotlib."""

from __future__ import annotations

import json
import pathlib
from typing import Any, Dict

import pytest

from devfs import Device, plot

numpy = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.memory


def task(device: Device, path: str, output: pathlib.Path, **more: Any) -> str:
    layout: Dict[str, Any] = {
        "names": ["1", "2"], "formats": ["<i2", "<i2"], "offsets": [0, 2], "itemsize": 4}
    return json.dumps({
        "path": f"{device.path}/{path}", "layout": layout, "complex": False, "rate": 1e6,
        "fft": False, "offset": 0, "output": str(output), "force": False, **more})


@pytest.mark.parametrize("fft", [False, True])
@pytest.mark.parametrize("ending, begin", [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_buffer_is_drawn(
    device: Device, tmp_path: pathlib.Path, ending: str, begin: bytes, fft: bool
) -> None:
    with device.alloc("rx", "64K") as rx:
        rx.write(numpy.arange(32768, dtype="<i2").tobytes())
        output = tmp_path / f"x.{ending}"
        assert plot.main([task(device, "buffers/rx", output, fft=fft)]) == 0
        assert output.read_bytes().startswith(begin)


def test_the_curve_has_the_samples(device: Device) -> None:
    with device.alloc("rx", "4K") as rx:
        rx.write(numpy.arange(2048, dtype="<i2").tobytes())
        items = plot.read(rx, "<i2", offset=16, size=200)
        drawn = plot.figure(items, rate=10.0)
        (line,) = drawn.axes[0].lines
        assert list(line.get_ydata()) == list(range(8, 108))
        assert line.get_xdata()[-1] == pytest.approx(9.9)
        time = numpy.arange(4096)
        spectrum = plot.figure(
            (16384 * numpy.sin(2 * numpy.pi * time * 512 / 4096)).astype("<i2"), fft=True)
        places, decibels = spectrum.axes[0].lines[0].get_data()
        assert places[decibels.argmax()] == pytest.approx(1 / 8)
        assert decibels.max() == pytest.approx(-6.02, abs=0.1)
        odd = plot.figure(numpy.array([0, numpy.nan, numpy.inf, 1] * 64), fft=True)
        assert numpy.isfinite(odd.axes[0].lines[0].get_ydata()).all()


def test_many_samples_are_a_band_that_has_their_extremes() -> None:
    values = numpy.zeros(1_000_000)
    values[123_456], values[654_321] = 7, -9
    drawn = plot.figure(values)
    (band,) = drawn.axes[0].collections
    height = band.get_paths()[0].vertices[:, 1]
    assert height.max() == 7 and height.min() == -9


def test_a_stream_is_drawn(device: Device, tmp_path: pathlib.Path) -> None:
    with device.alloc("ring", "64K"):
        # Not in a with, which would be its reader.
        device.create_stream("adc", "ring", "4K")
        output = tmp_path / "x.svg"
        assert plot.main([task(device, "streams/adc", output, bytes=8192)]) == 0
        assert output.stat().st_size > 1000


def test_what_cannot_be_drawn_is_one_line(
    device: Device, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(path: str, output: pathlib.Path, **more: Any) -> "tuple[int, str]":
        status = plot.main([task(device, path, output, **more)])
        error = capsys.readouterr().err
        assert error.startswith(f"devfs: drawing {output}: ") and error.count("\n") == 1
        return status, error

    with device.alloc("rx", "4K"):
        there = tmp_path / "there.svg"
        there.write_text("mine")
        assert refused("buffers/rx", there)[0] == 1 and there.read_text() == "mine"
        assert plot.main([task(device, "buffers/rx", there, force=True)]) == 0
        assert refused("buffers/none", tmp_path / "x.svg")[0] == 2
        status, error = refused("buffers/rx", tmp_path / "x.svg", offset=4095)
        assert status == 1 and "an item is 4" in error
        assert "No such file" in refused("buffers/rx", tmp_path / "no/x.svg")[1]
        if pathlib.Path("/dev/full").exists():
            full = tmp_path / "full.svg"
            full.symlink_to("/dev/full")
            assert "No space" in refused("buffers/rx", full, force=True)[1]
