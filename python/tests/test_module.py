"""What the kernel module's devices have and memory devices have not: addresses, pinned memory."""

from __future__ import annotations

import errno
import mmap
import os

import pytest

import devfs
from conftest import MODES
from devfs import Device

pytestmark = pytest.mark.skipif("module" not in MODES, reason="it takes the kernel module")


@pytest.mark.parametrize("heap", ["contiguous", "coherent"])
def test_a_fixed_buffer_has_one_range(device: Device, heap: str) -> None:
    rx = device.alloc("rx", "64K", heap=heap)
    assert rx.nents == 1 and rx.sg_table == [(rx.dma_addr, 65536)]
    assert rx.dma_addr % 4096 == 0 and rx.dma_addr > 0
    assert rx.dma_addr == device.buffer("rx").dma_addr


def test_the_segments_of_a_system_buffer_are_its_size(device: Device) -> None:
    rx = device.alloc("rx", "3M")
    assert sum(segment.length for segment in rx.sg_table) == 3 << 20
    assert len(rx.sg_table) == rx.nents
    if rx.nents > 1:
        with pytest.raises(devfs.DevFSError, match="dma_addr takes one range") as caught:
            rx.dma_addr
        assert caught.value.errno == errno.ENODATA


def test_coherent_memory_has_no_physical_address(device: Device) -> None:
    assert device.alloc("a", 4096, heap="contiguous").phys_addr > 0
    with pytest.raises(devfs.DevFSError) as caught:
        device.alloc("b", 4096, heap="coherent").phys_addr
    assert caught.value.errno == errno.ENODATA


def test_the_mapping_is_by_the_mount_or_by_the_socket(device: Device) -> None:
    rx = device.alloc("rx", 8192, heap="coherent")
    rx.memory[4096:4100] = b"here"
    assert rx.read(4096, 4) == b"here"
    # Without passthrough the file itself cannot be mapped: the socket's descriptor was.
    with open(rx.path, "r+b") as file:
        if device.features["mmap"]:
            mmap.mmap(file.fileno(), 8192).close()
        else:
            with pytest.raises(OSError):
                mmap.mmap(file.fileno(), 8192)


def test_pinned_memory_is_the_buffer(device: Device) -> None:
    descriptor = os.memfd_create("pinned")
    try:
        os.ftruncate(descriptor, 8192)
        mine = mmap.mmap(descriptor, 8192)
        with device.pin("rx", descriptor, 100, 4096, "to_device") as rx:
            assert (rx.heap, rx.size, rx.direction) == ("user", 4096, "to_device")
            mine[100:104] = b"mine"
            assert rx.read(0, 4) == b"mine"
            with pytest.raises(devfs.DevFSError, match="no mapping") as caught:
                rx.memory
            assert caught.value.errno == errno.EOPNOTSUPP
        assert "rx" not in device.buffers
        with pytest.raises(devfs.InvalidError):
            device.pin("rx", descriptor, 8192, 1)
        with pytest.raises(devfs.InvalidError):
            device.import_dmabuf("rx", descriptor)
        mine.close()
    finally:
        os.close(descriptor)
