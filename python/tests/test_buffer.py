"""Buffers: memory, arrays, syncs, sizes, names."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import pickle
import subprocess
from typing import Any, Callable, List

import pytest

import devfs
from conftest import cut_calls, python
from devfs import Device
from devfs._handle import ask_once, map_file


def test_a_buffer_is_freed_at_the_end_of_with(device: Device) -> None:
    with device.alloc("rx", "64K", heap="coherent", direction="from_device") as rx:
        assert (rx.size, rx.heap, rx.direction) == (65536, "coherent", "from_device")
        assert (rx.owner, rx.lease, rx.dma_coherent) == (os.getpid(), "none", True)
        assert rx.numa_node in (None, 0)
    assert "rx" not in device.buffers


def test_a_buffer_that_was_found_stays(device: Device) -> None:
    device.alloc("rx", 4096)
    with device.buffer("rx") as rx:
        rx.write(b"x")
    assert "rx" in device.buffers


def test_an_error_in_with_is_not_hidden_by_what_it_broke(device: Device) -> None:
    with pytest.raises(KeyError):
        with device.alloc("rx", 4096):
            os.unlink(f"{device.path}/buffers/rx")
            raise KeyError


def test_memory_is_the_buffer_itself(device: Device) -> None:
    rx = device.alloc("rx", 8192)
    rx.memory[:5] = b"hello"
    assert rx.read(0, 5) == b"hello"
    assert rx.write(b"world", 4096) == 5
    assert bytes(rx.memory[4096:4101]) == b"world"
    assert not rx.memory.readonly


def test_memory_is_read_only_for_who_may_only_read(device: Device) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    device.alloc("rx", 4096)
    os.chmod(f"{device.path}/buffers/rx", 0o400)
    rx = device.buffer("rx")
    assert rx.memory.readonly and rx.read(0, 2) == b"\0\0"
    with pytest.raises(devfs.AccessError, match="only be read"):
        rx.write(b"x")


def test_two_processes_have_the_same_memory(device: Device) -> None:
    rx = device.alloc("rx", 4096)
    memory = rx.memory
    subprocess.run(
        python("-c", "import sys, devfs; devfs.Device(sys.argv[1]).buffer('rx').memory[7] = 42",
               device.path), check=True)
    assert memory[7] == 42


def test_read_and_write_at_the_end(device: Device) -> None:
    rx = device.alloc("rx", 4096, heap="contiguous")
    assert rx.read(4090) == bytes(6) and rx.read(5000) == b""
    with pytest.raises(devfs.NoSpaceError):
        rx.write(b"0123456789", 4090)
    assert rx.read(4090) == b"012345"
    target = bytearray(10)
    assert rx.readinto(target, 4090) == 6 and target[:6] == b"012345"


def test_reads_and_writes_go_on_after_a_short_call(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    rx, data = device.alloc("rx", 8192), bytes(range(256)) * 32
    cut_calls(monkeypatch, 1000)
    assert rx.write(data) == 8192
    assert rx.read() == data and rx.read(8000, 500) == data[8000:]
    target = bytearray(8192)
    assert rx.readinto(target) == 8192 and target == data
    assert rx.readinto(target, 8000) == 192
    assert rx.readinto(bytearray()) == 0


@pytest.mark.usefixtures("has_numpy")
class TestArrays:
    def test_an_array_is_the_memory(self, device: Device) -> None:
        import numpy

        rx = device.alloc("rx", 4096)
        samples = rx.asarray("<i2", (-1, 2))
        assert samples.shape == (1024, 2)
        samples[3] = (1, -1)
        assert rx.read(12, 4) == b"\1\0\xff\xff"
        assert rx.asarray(numpy.uint8)[12] == 1
        assert rx.asarray("<i2", 2, offset=12).tolist() == [1, -1]

    def test_structured_items(self, device: Device) -> None:
        rx = device.alloc("rx", 4096)
        items = rx.asarray([("time", "<u8"), ("value", "<f4")], 3, offset=4)
        items[2] = (7, 0.5)
        assert rx.read(28, 8) == (7).to_bytes(8, "little")

    @pytest.mark.parametrize("dtype, shape, offset, why", [
        ("u4", 1025, 0, "4100 bytes; from offset 0 there are 4096"),
        ("u4", (2, 512), 4, "from offset 4 there are 4092"),
        ("u4", (-1, 7), 0, "no whole number"),
        ("u4", None, 1, "no whole number"),
        ("u4", (-1, -1), 0, "no shape"),
        ("u4", -2, 0, "no shape"),
        ("u4", (-1, 0), 0, "no whole number"),
        ("u4", None, 4100, "outside"),
        ("u4", None, -4, "outside"),
        ("V0", None, 0, "0 bytes"),
    ])
    def test_a_bad_shape_says_what_does_not_fit(
        self, device: Device, dtype: str, shape: Any, offset: int, why: str
    ) -> None:
        rx = device.alloc("rx", 4096)
        with pytest.raises(devfs.InvalidError, match=why):
            rx.asarray(dtype, shape, offset)

    def test_an_array_outlives_its_buffer(self, device: Device) -> None:
        with device.alloc("rx", 4096) as rx:
            array = rx.asarray("u1")
            array[0] = 5
        gc.collect()
        assert array[0] == 5 and "rx" not in device.buffers

    def test_shrinking_under_an_array_is_refused(self, device: Device) -> None:
        rx = device.alloc("rx", 16384)
        array = rx.asarray("u1")
        with pytest.raises(devfs.BusyError, match="array or memoryview"):
            rx.resize(4096)
        assert rx.size == 16384 and array[16383] == 0
        del array
        rx.resize(4096)
        assert len(rx.asarray("u1")) == 4096

    def test_shrinking_by_others_under_a_mapping_is_refused(self, device: Device) -> None:
        rx = device.alloc("rx", 16384)
        array = rx.asarray("u1")
        with pytest.raises(OSError) as caught:
            os.truncate(f"{device.path}/buffers/rx", 4096)
        assert caught.value.errno == errno.EBUSY and array[16383] == 0
        del array


@pytest.mark.memory
def test_a_file_that_was_cut_below_its_mapping_is_said_so(device: Device) -> None:
    rx = device.alloc("rx", 16384)
    view = rx.memory
    # The memory device's own file: by the socket, whose descriptor has no guard.
    (descriptor,) = ask_once(device.path, "buffer rx rw")
    os.ftruncate(descriptor.fileno(), 4096)
    with pytest.raises(devfs.GoneError, match="shrank from 16384 to 4096"):
        rx.memory
    del view
    rx.close()
    assert len(rx.memory) == 4096


@pytest.mark.parametrize("size", [4096, 16384])
def test_a_name_that_has_another_buffer_is_said_so(device: Device, size: int) -> None:
    rx = device.alloc("rx", 8192)
    view = rx.memory
    view[0] = 1
    others = python(
        "-c", "import sys, devfs\n"
        "device = devfs.Device(sys.argv[1])\n"
        "device.buffer('rx').free()\n"
        "device.alloc('rx', int(sys.argv[2])).write(b'new')", device.path, str(size))
    subprocess.run(others, check=True)
    calls: List[Callable[[], object]] = [lambda: rx.memory, rx.read]
    for call in calls:
        with pytest.raises(devfs.GoneError, match="removed since it was opened") as caught:
            call()
        assert caught.value.errno == errno.ESTALE
    # Who has a view keeps the removed memory.
    assert view[0] == 1 and view[8191] == 0
    rx.close()
    assert len(rx.memory) == size and rx.read(0, 3) == b"new"


def test_a_name_that_changes_hands_while_it_is_mapped_is_said_so(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    rx = device.alloc("rx", 8192)

    def late(*arguments: Any) -> Any:
        os.unlink(rx.path)
        device.alloc("rx", 8192)
        return real(*arguments)

    real = map_file
    monkeypatch.setattr("devfs._buffer.map_file", late)
    with pytest.raises(devfs.GoneError, match="removed since"):
        rx.memory


def test_a_buffer_that_is_removed_is_gone_for_new_views(device: Device) -> None:
    rx = device.alloc("rx", 4096)
    view = rx.memory
    os.unlink(rx.path)
    with pytest.raises(devfs.GoneError, match="removed since"):
        rx.memory
    view[0] = 1
    assert rx.read(0, 1) == b"\1"


def test_growing_gives_a_new_view_and_keeps_the_old(device: Device) -> None:
    rx = device.alloc("rx", 4096)
    part = rx.memory[:4]
    rx.resize("8K")
    assert len(rx.memory) == 8192
    part[0] = 9
    assert rx.memory[0] == 9


def test_a_fixed_buffer_says_why_it_does_not_grow(device: Device) -> None:
    rx = device.alloc("rx", 4096, heap="contiguous")
    with pytest.raises(devfs.NoSpaceError) as caught:
        rx.resize("8K")
    assert caught.value.reason is not None
    rx.write(b"x" * 4096)
    rx.resize(1024)
    assert rx.size == 4096 and rx.read(1024, 1) == b"\0"


@pytest.mark.parametrize("size", ["4MB", "", "1.5K", "-1", -1, 1 << 63])
def test_a_bad_size_is_refused(device: Device, size: Any) -> None:
    rx = device.alloc("rx", 4096)
    with pytest.raises(devfs.InvalidError):
        rx.resize(size)


def test_views_of_a_closed_buffer_are_released(device: Device) -> None:
    rx = device.alloc("rx", 4096)
    view = rx.memory
    rx.close()
    with pytest.raises(ValueError, match="released"):
        view[0]
    # The handle itself opens it again.
    assert rx.memory[0] == 0


def test_the_scopes_sync_by_the_ioctl_and_by_fsync(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    rx = device.alloc("rx", 4096)
    done = []

    def ioctl(descriptor: int, command: int, argument: bytes) -> bytes:
        done.append(int.from_bytes(argument, "little"))
        return real_ioctl(descriptor, command, argument)

    def fsync(descriptor: int) -> None:
        done.append(-1)
        real_fsync(descriptor)

    real_ioctl, real_fsync = fcntl.ioctl, os.fsync
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(os, "fsync", fsync)
    with rx.cpu(write=False) as same:
        assert same is rx and done == [1]
    assert done == [1, 5]
    with rx.cpu():
        assert done[2:] == [3]
    with rx.device():
        assert done[3:] == [7, -1]
    assert done[5:] == [3]
    with pytest.raises(devfs.InvalidError):
        with rx.cpu(read=False, write=False):
            pass


def test_a_range_is_synced(device: Device) -> None:
    rx = device.alloc("rx", 8192)
    rx.sync_for_cpu(4096, 4096)
    rx.sync_for_device(4096)
    with pytest.raises(devfs.InvalidError) as caught:
        rx.sync_for_device(4096, 8192)
    assert caught.value.reason is not None


def test_a_removed_buffer_that_is_open_still_syncs(device: Device) -> None:
    rx = device.alloc("rx", 4096)
    rx.memory[0] = 1
    os.unlink(rx.path)
    with rx.cpu(write=False):
        pass
    rx.sync_for_device()


@pytest.mark.memory
def test_an_address_that_is_not_there_is_an_error_that_says_so(device: Device) -> None:
    rx = device.alloc("rx", 4096)
    for name in ("dma_addr", "phys_addr", "nents", "sg_table"):
        with pytest.raises(devfs.DevFSError, match="a memory device has none") as caught:
            getattr(rx, name)
        assert caught.value.errno == errno.ENODATA


def test_rename_and_lease(device: Device) -> None:
    rx, tx = device.alloc("rx", 4096), device.alloc("tx", 4096)
    rx.write(b"rx")
    rx.rename("other")
    assert rx.name == "other" and device.buffers["other"].read(0, 2) == b"rx"
    with pytest.raises(devfs.ExistsError):
        rx.rename("tx")
    assert rx.name == "other"
    tx.lease = "process"
    assert tx.lease == "process" and tx.owner == os.getpid()


def test_what_a_run_left_is_reclaimed_and_what_lives_is_not(device: Device) -> None:
    with device.alloc("rx", 4096):
        with pytest.raises(devfs.BusyError, match=f"process {os.getpid()}'s"):
            device.alloc("rx", 4096, reclaim=True)
        assert "rx" in device.buffers
    subprocess.run(
        python("-c", "import sys, devfs; devfs.Device(sys.argv[1]).alloc('rx', 4096)",
               device.path), check=True)
    with device.alloc("rx", 8192, reclaim=True) as rx:
        assert rx.size == 8192


def test_an_empty_buffer_has_no_memory(device: Device) -> None:
    open(f"{device.path}/buffers/rx", "wb").close()
    with pytest.raises(devfs.InvalidError, match="empty"):
        device.buffer("rx").memory


def test_a_buffer_is_pickled_by_its_name(device: Device) -> None:
    rx = device.alloc("rx", 4096)
    with pickle.loads(pickle.dumps(rx)) as copy:
        copy.memory[0] = 3
    assert rx.memory[0] == 3


@pytest.mark.memory
def test_pin_and_import_are_refused_with_the_reason(device: Device) -> None:
    descriptor = os.memfd_create("pinned")
    try:
        os.ftruncate(descriptor, 8192)
        calls: List[Callable[[], object]] = [
            lambda: device.pin("rx", descriptor, 16, 4096, "to_device"),
            lambda: device.import_dmabuf("rx", descriptor),
        ]
        for call in calls:
            with pytest.raises(devfs.DevFSError) as caught:
                call()
            assert caught.value.errno == errno.EOPNOTSUPP and caught.value.reason
    finally:
        os.close(descriptor)


def test_handles_leave_no_descriptor_and_no_mapping(device: Device) -> None:
    def counts() -> "tuple[int, int]":
        with open("/proc/self/maps") as maps:
            mapped = sum(device.path in line or "devfs" in line for line in maps)
        return len(os.listdir("/proc/self/fd")), mapped

    def use() -> None:
        with device.alloc("rx", 4096) as rx, device.software_signal("go") as go:
            with device.create_stream("adc", rx, 1024, source=go) as stream:
                rx.memory[0] = 1
                go.trigger()
                go.wait(5)
                stream.read(timeout=5)

    use()
    gc.collect()
    before = counts()
    held = [device.alloc("held", 4096)]
    held[0].memory
    # It can see one that is left.
    assert counts() > before
    held[0].free()
    for _ in range(20):
        use()
    gc.collect()
    assert counts() == before
