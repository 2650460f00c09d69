"""Pictures of buffers and streams in files, by matplotlib: ``pip install 'devfs[plot]'``.

``devfs view --output FILE`` is :func:`main`.
"""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Union

from ._device import Device
from ._errors import DevFSError, InvalidError

if TYPE_CHECKING:
    from ._buffer import Buffer
    from ._stream import Stream

# More points than that are drawn as the range of each of so many parts.
_POINTS = 4096
_SPECTRUM = 1 << 16


def read(
    source: "Union[Buffer, Stream]", dtype: Any, *, offset: int = 0, size: Optional[int] = None
) -> Any:
    """Whole items of a buffer from ``offset`` on, or the next of a stream, as an array.

    :param size: bytes; all of a buffer, a period of a stream.
    """
    import numpy

    from ._stream import Stream

    kind = numpy.dtype(dtype)
    if isinstance(source, Stream):
        data = bytearray()
        wanted = size if size is not None else source.period
        wanted -= wanted % kind.itemsize
        while len(data) < wanted:
            more = source.read(wanted - len(data))
            if not more:
                break
            data += more
    else:
        room = max(0, source.size - offset)
        data = bytearray(source.read(offset, room if size is None else min(size, room)))
    count = len(data) // kind.itemsize
    if count == 0:
        raise InvalidError(
            errno.EINVAL, None, source.path,
            reason=f"{len(data)} bytes are there, and an item is {kind.itemsize}")
    return numpy.frombuffer(data, kind, count)


def figure(
    items: Any, *, rate: Optional[float] = None, fft: bool = False, complex: bool = False,
    title: str = "",
) -> Any:
    """A matplotlib figure with a curve for each field of the items.

    :param rate: items a second, for an axis of time or frequency.
    :param fft: the spectrum in place of the values.
    :param complex: two fields each are one complex number.
    """
    import numpy

    # No display is asked for.
    backend = importlib.import_module("matplotlib.backends.backend_agg")
    figures = importlib.import_module("matplotlib.figure")
    names = items.dtype.names or ("",)
    columns = [items[name] if name else items for name in names]
    if fft and complex:
        columns = [a + 1j * b for a, b in zip(columns[::2], columns[1::2])]
        names = [name.split(" ")[0] for name in names[::2]]
    result = figures.Figure(figsize=(10, 1 + 2 * len(columns)), layout="constrained")
    backend.FigureCanvasAgg(result)
    axes = result.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    for name, values, axis in zip(names, columns, axes):
        if fft:
            _draw_spectrum(axis, values, rate)
        else:
            _draw_values(axis, values, rate)
        axis.set_title(name if len(columns) > 1 else "", fontsize="small", loc="left")
        axis.grid(True, alpha=0.3)
    unit = "frequency" if fft else "time"
    parts = "parts of the rate" if fft else "samples"
    axes[-1].set_xlabel(parts if rate is None else f"{unit} ({'Hz' if fft else 's'})")
    result.suptitle(title)
    return result


def _draw_values(axis: Any, values: Any, rate: Optional[float]) -> None:
    import numpy

    step = 1 / (rate or 1)
    if len(values) <= _POINTS:
        axis.plot(numpy.arange(len(values)) * step, values, linewidth=1)
        return
    starts = numpy.linspace(0, len(values), _POINTS, endpoint=False).astype(int)
    low, high = numpy.fmin.reduceat(values, starts), numpy.fmax.reduceat(values, starts)
    axis.fill_between(starts * step, low, high, linewidth=1, step="post")


def _draw_spectrum(axis: Any, values: Any, rate: Optional[float]) -> None:
    import numpy

    count = 1 << (min(len(values), _SPECTRUM).bit_length() - 1)
    is_complex = numpy.iscomplexobj(values)
    values = values[:count]
    full = 1.0
    if values.dtype.kind in "iu":
        full = 2.0 ** (8 * values.dtype.itemsize - 1)
    # One sample that is no number would be in all frequencies.
    values = numpy.nan_to_num(
        values.astype(complex if is_complex else float), nan=0, posinf=0, neginf=0)
    if not is_complex:
        values = values - values.mean()
    window = 0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(count) / count)
    if is_complex:
        bins = numpy.fft.fftshift(numpy.fft.fft(values * window)) * 2 / count
        places = numpy.fft.fftshift(numpy.fft.fftfreq(count, 1 / (rate or 1)))
    else:
        bins = numpy.fft.rfft(values * window) * 4 / count
        places = numpy.fft.rfftfreq(count, 1 / (rate or 1))
    decibels = 20 * numpy.log10(numpy.maximum(numpy.abs(bins) / full, 1e-12))
    axis.plot(places, decibels, linewidth=1)
    axis.set_ylim(decibels.max() - 100, decibels.max() + 3)
    axis.set_ylabel("dB")


def save(drawn: Any, path: str, *, force: bool = False) -> None:
    """Writes a figure as its file's name ends: ``.svg``, ``.png``. One that is there is an
    ``FileExistsError`` without ``force``."""
    data = io.BytesIO()
    drawn.savefig(data, format=os.path.splitext(path)[1][1:].lower() or "png")
    with open(path, "wb" if force else "xb") as file:
        try:
            file.write(data.getvalue())
            file.flush()
        except OSError:
            # Half a picture is none.
            os.unlink(path)
            raise


def draw(task: Dict[str, Any]) -> None:
    """What ``devfs view --output`` asks for, by its keys."""
    import numpy

    importlib.import_module("matplotlib")
    place = task["path"]
    device = Device(place)
    folder, name = os.path.split(place)
    is_stream = os.path.basename(folder) == "streams"
    kind = numpy.dtype(task["layout"])
    if not task["force"] and os.path.lexists(task["output"]):
        # Before a stream's bytes are taken.
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), task["output"])
    source: "Union[Buffer, Stream]" = device.stream(name) if is_stream else device.buffer(name)
    with source:
        items = read(source, kind, offset=task["offset"], size=task.get("bytes"))
    drawn = figure(
        items, rate=task.get("rate"), fft=task["fft"], complex=task["complex"], title=name)
    save(drawn, task["output"], force=task["force"])


def main(arguments: Sequence[str]) -> int:
    """Draws, and says on one line what went wrong. The exit codes are those of devfs(1)."""
    task: Dict[str, Any] = json.loads(arguments[0])

    def fail(why: str, status: int = 1) -> int:
        text = f"devfs: drawing {task['output']}: {why}"
        shown: List[str] = [
            letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text]
        print("".join(shown), file=sys.stderr)
        return status

    try:
        draw(task)
    except ImportError as error:
        return fail(
            f"python3 has no module {error.name}: install numpy and matplotlib, "
            "or `pip install 'devfs[plot]'`")
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    except FileExistsError:
        return fail("it is there already: --force overwrites it")
    except DevFSError as error:
        return fail(error.reason or error.strerror or str(error), 2 if error.errno == errno.ENOENT else 1)
    except OSError as error:
        return fail(error.strerror or str(error))
    return 0
