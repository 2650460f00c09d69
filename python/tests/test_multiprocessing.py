"""Handles that are given to other processes."""

from __future__ import annotations

import multiprocessing

import pytest

from devfs import Buffer, Device, Signal, Stream


def double(rx: Buffer, go: Signal) -> int:
    """Doubles each byte, then tells."""
    memory = rx.memory
    for index, value in enumerate(memory):
        memory[index] = 2 * value & 0xFF
    go.trigger()
    return rx.size


def capture(stream: Stream, device: Device) -> "tuple[str, bytes]":
    with stream:
        return device.path, stream.read(timeout=20)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_buffer_a_signal_and_a_stream_in_another_process(device: Device, method: str) -> None:
    rx, go = device.alloc("rx", 4096), device.software_signal("go")
    rx.memory[:3] = b"\1\2\3"
    device.alloc("ring", "64K")
    stream = device.create_stream("adc", "ring", "4K", policy="stop")
    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        assert pool.apply(double, (rx, go)) == 4096
        assert go.wait(10).seq == 1
        assert bytes(rx.memory[:3]) == b"\2\4\6"
        path, data = pool.apply(capture, (stream, device))
        assert path == device.path and data[4:8] == b"\1\0\0\0"
        pool.close()
        pool.join()
