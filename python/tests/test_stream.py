"""Streams: reading, pieces, ends, overruns, asyncio."""

from __future__ import annotations

import asyncio
import itertools
import struct
import threading
import time
from typing import Iterator, List

import pytest

import devfs
from devfs import Device, Signal, Stream


class Filler:
    """What the device does: a period full of its number, then an event."""

    def __init__(self, device: Device, *, policy: str = "overwrite", periods: int = 4) -> None:
        self.ring = device.alloc("ring", 1024 * periods)
        self.filled: Signal = device.software_signal("filled")
        self.stream: Stream = device.create_stream(
            "adc", self.ring, "1K", source=self.filled, policy=policy)
        self.periods = periods
        self.numbers = itertools.count()

    def fill(self, count: int = 1) -> None:
        for number in itertools.islice(self.numbers, count):
            self.ring.write(struct.pack("<I", number) * 256, 1024 * (number % self.periods))
            self.filled.trigger()


@pytest.fixture
def filler(device: Device) -> Iterator[Filler]:
    yield Filler(device)


def number(data: bytes) -> int:
    assert len(data) == 1024
    return int(struct.unpack("<I", data[:4])[0])


def test_periods_come_in_order_and_the_loop_ends_with_the_stream(filler: Filler) -> None:
    with filler.stream as stream:
        filler.fill(3)
        seen = []
        for chunk in stream:
            seen.append(number(chunk))
            if seen[-1] == 2:
                stream.stop()
        assert seen == [0, 1, 2] and stream.status == "stopped"
        assert stream.overruns == 0


def test_a_read_waits_and_times_out(filler: Filler) -> None:
    with filler.stream as stream:
        with pytest.raises(devfs.WaitTimeout, match="nothing came within 0.1 s"):
            stream.read(timeout=0.1)
        threading.Timer(0.2, filler.fill).start()
        began = time.monotonic()
        assert number(stream.read(timeout=20)) == 0
        assert 0.1 < time.monotonic() - began < 10


def test_pieces_of_another_size_than_the_period(filler: Filler) -> None:
    with filler.stream as stream:
        filler.fill(3)
        sizes = [len(piece) for piece in itertools.islice(stream.chunks(1536), 2)]
        assert sizes == [1536, 1536] and stream.available == 0
        filler.fill(2)
        stream.stop()
        assert [len(piece) for piece in stream.chunks(1536)] == [1536, 512]


def test_what_a_time_out_leaves_of_a_piece_is_not_lost(filler: Filler) -> None:
    with filler.stream as stream:
        filler.fill()
        with pytest.raises(devfs.WaitTimeout):
            next(stream.chunks(2048, timeout=0.1))
        assert stream.available == 1024
        filler.fill()
        piece = next(stream.chunks(2048, timeout=5))
        assert [number(piece[:1024]), number(piece[1024:])] == [0, 1]


@pytest.mark.usefixtures("has_numpy")
class TestArrays:
    def test_chunks_are_arrays_of_their_own(self, filler: Filler) -> None:
        with filler.stream as stream:
            filler.fill(2)
            first, second = itertools.islice(stream.chunks(dtype="<u4"), 2)
            assert first.shape == (256,) and first.dtype == "<u4"
            assert set(first.tolist()) == {0} and set(second.tolist()) == {1}

    def test_structured_items_and_a_tail_within_one(self, filler: Filler) -> None:
        with filler.stream as stream:
            filler.fill(2)
            stream.stop()
            kind = [("a", "<u4"), ("b", "<u4"), ("c", "<u4")]
            pieces = list(stream.chunks(1200, dtype=kind))
            assert [len(piece) for piece in pieces] == [100, 70]
            assert pieces[1]["c"][-1] == 1
            # Two thirds of an item are left.
            assert len(stream.read()) == 8

    def test_a_size_that_is_no_whole_number_of_items(self, filler: Filler) -> None:
        with pytest.raises(devfs.InvalidError, match="1026 bytes are no whole number of 4"):
            next(filler.stream.chunks(1026, dtype="<u4"))

    def test_the_pattern_is_whole(self, device: Device) -> None:
        import numpy

        ring = device.alloc("ring", "256K")
        with device.create_stream(
                "adc", ring, "16K", source="pattern", policy="stop", rate="4M") as stream:
            got = numpy.concatenate(
                list(itertools.islice(stream.chunks("64K", "<u4", timeout=20), 32)))
        assert (got == numpy.arange(len(got))).all() and len(got) == 32 * 16384


def test_an_overrun_is_an_error_after_what_was_read(device: Device) -> None:
    filler = Filler(device, policy="stop")
    with filler.stream as stream:
        # It starts with a read.
        with pytest.raises(devfs.WaitTimeout):
            stream.read(timeout=0.05)
        filler.fill(4)
        seen = []
        with pytest.raises(devfs.OverrunError, match="too slow"):
            for chunk in stream:
                seen.append(number(chunk))
        assert seen == [0, 1, 2] and stream.status == "overrun"
        stream.start()
        assert stream.status == "running"


def test_strict_pieces_tell_of_what_was_overwritten(filler: Filler) -> None:
    with filler.stream as stream:
        with pytest.raises(devfs.WaitTimeout):
            stream.read(timeout=0.05)
        pieces = stream.chunks(strict=True, timeout=10)
        filler.fill()
        assert number(next(pieces)) == 0
        filler.fill(7)
        with pytest.raises(devfs.OverrunError, match="periods were lost"):
            next(pieces)
        assert stream.overruns > 0
        # What was read is still there.
        assert number(next(stream.chunks(timeout=10))) >= 4


def test_one_reader_at_a_time(device: Device, filler: Filler) -> None:
    with device.stream("adc"):
        with pytest.raises(devfs.BusyError, match="reader"):
            device.stream("adc").read()
    with device.stream("adc"):
        pass


def test_a_removed_stream_is_gone(filler: Filler) -> None:
    with filler.stream as stream:
        threading.Timer(0.2, stream.remove).start()
        with pytest.raises(devfs.GoneError):
            stream.read(timeout=20)


def test_settings_and_watermark(filler: Filler) -> None:
    stream = filler.stream
    assert stream.period == 1024 and stream.settings["source"] == "filled"
    stream.watermark = 2048
    assert stream.watermark == 2048
    with pytest.raises(devfs.InvalidError):
        stream.watermark = 1 << 20
    with stream:
        filler.fill()
        with pytest.raises(devfs.WaitTimeout):
            stream.read(timeout=0.1)
        filler.fill()
        assert len(stream.read(4096, timeout=5)) == 2048


def test_a_bad_stream_says_why(device: Device) -> None:
    device.alloc("ring", "64K")
    with pytest.raises(devfs.InvalidError) as caught:
        device.create_stream("adc", "ring", 1000)
    assert caught.value.reason is not None
    with pytest.raises(devfs.NotFoundError):
        device.create_stream("adc", "ring", "16K", source="irq0")
    with pytest.raises(devfs.InvalidError, match="0 bytes"):
        next(device.create_stream("adc", "ring", "16K").chunks(0))


def test_async_for_beside_other_tasks(filler: Filler) -> None:
    async def run() -> List[int]:
        seen: List[int] = []
        with filler.stream as stream:
            async def fill() -> None:
                for _ in range(6):
                    filler.fill()
                    await asyncio.sleep(0.02)
                stream.stop()

            task = asyncio.ensure_future(fill())
            async for chunk in stream:
                seen.append(number(chunk))
            await task
        return seen

    assert asyncio.run(run()) == [0, 1, 2, 3, 4, 5]


def test_an_async_read_times_out_and_keeps_what_it_had(filler: Filler) -> None:
    async def run() -> None:
        with filler.stream as stream:
            filler.fill()
            with pytest.raises(devfs.WaitTimeout):
                await stream.chunks_async(2048, timeout=0.1).__anext__()
            filler.fill()
            assert len(await stream.read_async(2048, timeout=5)) == 1024
            assert number(await stream.read_async(timeout=5)) == 1

    asyncio.run(run())


def test_an_async_read_of_a_removed_stream_is_gone(filler: Filler) -> None:
    async def run() -> None:
        with filler.stream as stream:
            asyncio.get_running_loop().call_later(0.1, stream.remove)
            await stream.read_async(timeout=20)

    with pytest.raises(devfs.GoneError):
        asyncio.run(run())


def test_views_are_the_ring_itself_and_are_released_at_the_end_of_the_body(
    filler: Filler
) -> None:
    stream = filler.stream
    with stream.views(timeout=20) as views:
        stream.start()
        for expected in range(10):
            filler.fill()
            view = next(views)
            assert isinstance(view, memoryview) and view.readonly and len(view) == 1024
            assert number(bytes(view)) == expected and stream.available == 1024
            # A store by the device is seen: it is no copy.
            filler.ring.write(b"seen", 1024 * (expected % 4))
            assert bytes(view[:4]) == b"seen"
            assert views.run is not None and views.run.position == 1024 * expected
            assert views.run.offset == 1024 * (expected % 4) and views.run.overruns == 0
        with pytest.raises(devfs.BusyError, match="it has a reader already"):
            stream.open()
        views.release()
        assert stream.available == 0
        filler.fill(2)
        stream.stop()
        assert sum(len(view) for view in views) == 2048


def test_a_body_that_is_left_releases_nothing(filler: Filler) -> None:
    stream = filler.stream
    with stream.views() as views:
        stream.start()
        filler.fill()
        for view in views:
            break
    assert stream.available == 1024
    assert stream.read(timeout=20) == bytes(view)


def test_a_view_that_the_device_overwrote_is_an_error_and_the_loop_goes_on(
    filler: Filler
) -> None:
    stream = filler.stream
    with stream.views(timeout=20) as views:
        stream.start()
        filler.fill()
        next(views)
        views.check()
        filler.fill(4)
        with pytest.raises(devfs.OverrunError, match="the device overwrote"):
            views.check()
        with pytest.raises(devfs.OverrunError, match="the device overwrote"):
            next(views)
        view = next(views)
        assert views.run is not None and views.run.overruns == 2
        assert number(bytes(view[:1024])) == 2


def test_views_wait_and_end_as_reads_do(filler: Filler) -> None:
    stream = filler.stream
    with stream.views(timeout=0.1) as views:
        with pytest.raises(devfs.WaitTimeout):
            next(views)
        threading.Timer(0.1, filler.fill).start()
        views._timeout = 20
        assert len(next(views)) == 1024
        stream.remove()
        with pytest.raises(devfs.GoneError):
            next(views)


def test_views_are_arrays_and_a_counter_has_no_gap(device: Device) -> None:
    numpy = pytest.importorskip("numpy")
    ring = device.alloc("counter", "1M")
    stream = device.create_stream(
        "words", ring, "64K", source="pattern", rate=100_000_000, policy="stop")
    expected = 0
    with stream.views("<u4", timeout=20) as views:
        for words in views:
            assert not words.flags.writeable
            assert words[0] == expected and words[-1] == expected + len(words) - 1
            expected += len(words)
            if expected > 4 << 20:
                break
    assert stream.overruns == 0
    with stream.views(numpy.dtype("V12"), timeout=20) as views:
        with pytest.raises(devfs.InvalidError, match="beyond the end of the ring"):
            for words in views:
                pass


def test_a_renamed_buffer_is_still_the_stream_s_ring(filler: Filler) -> None:
    filler.ring.rename("other")
    filler.ring.parent.alloc("ring", 4096).write(b"wrong")
    with filler.stream.views(timeout=20) as views:
        filler.stream.start()
        filler.fill()
        assert number(bytes(next(views))) == 0


def test_a_pipe_serves_asyncio_and_ends_with_the_stream(device: Device) -> None:
    ring = device.alloc("counter", "1M")
    stream = device.create_stream("words", ring, "64K", source="pattern", policy="stop")

    async def read() -> bytes:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), open(stream.pipe(), "rb", buffering=0))
        try:
            first = await reader.readexactly(1 << 20)
            stream.stop()
            return first + await reader.read()
        finally:
            transport.close()

    data = asyncio.run(read())
    words = memoryview(data).cast("I")
    assert list(words) == list(range(len(words)))
