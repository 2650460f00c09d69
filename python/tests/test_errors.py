"""What DevFS refuses: an exception of its kind, its errno, and the reason."""

from __future__ import annotations

import errno
import os
import pickle
import time
from typing import Callable, List

import pytest

import devfs
from devfs import Device
from devfs._errors import error_of, parse_log


def test_a_refusal_has_the_reason_of_the_log(device: Device) -> None:
    with pytest.raises(devfs.NoSpaceError) as caught:
        device.alloc("rx", "1024G")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.reason is not None and "limit" in caught.value.reason
    assert caught.value.reason in str(caught.value)
    last = device.log()[-1]
    assert (last.pid, last.command, last.errno) == (os.getpid(), "rx 1024G", errno.ENOSPC)


def test_an_earlier_reason_is_not_taken_for_a_later_one(device: Device) -> None:
    device.alloc("rx", 4096)
    with pytest.raises(devfs.ExistsError) as first:
        device.alloc("rx", 4096)
    assert first.value.reason == "rx is there already"
    time.sleep(0.05)
    with pytest.raises(devfs.DevFSError) as second:
        with device.buffers["rx"]._refusals():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    assert second.value.reason is None


@pytest.mark.parametrize("kind", [devfs.ExistsError, FileExistsError, OSError, devfs.DevFSError])
def test_the_built_in_exception_catches_it(device: Device, kind: "type[Exception]") -> None:
    device.alloc("rx", 4096)
    with pytest.raises(kind):
        device.alloc("rx", 4096)


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "../x", "a\nb 4K", "a" * 64, "ü", "a/b"])
def test_a_bad_name_is_refused_before_it_is_a_command(device: Device, name: str) -> None:
    calls: List[Callable[[], object]] = [
        lambda: device.alloc(name, 4096), lambda: device.software_signal(name),
        lambda: device.buffer(name), lambda: device.create_stream(name, "rx", 4096),
    ]
    for call in calls:
        with pytest.raises(devfs.InvalidError):
            call()
    assert not device.buffers


def test_a_value_of_two_words_is_refused(device: Device) -> None:
    with pytest.raises(devfs.InvalidError, match="one word"):
        device.alloc("rx", "4K\nother 4K")
    with pytest.raises(devfs.InvalidError, match="one word"):
        device.alloc("rx", "4K", heap="system lease=process")
    assert not device.buffers


def test_an_unknown_heap_is_explained(device: Device) -> None:
    with pytest.raises(devfs.InvalidError) as caught:
        device.alloc("rx", 4096, heap="none")
    assert caught.value.reason is not None and "heap" in caught.value.reason


def test_each_exception_can_be_pickled() -> None:
    for number in (errno.ENOENT, errno.EINVAL, errno.EPIPE, errno.ENODATA):
        error = error_of(number, "/mnt/x", "because")
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert (copy.errno, copy.filename, copy.reason, str(copy)) == (
            number, "/mnt/x", "because", str(error))


def test_the_log_is_read_with_its_escapes(device: Device) -> None:
    text = 'say "hi" \\ \tand errno=EIO why="no"'
    with pytest.raises(OSError):
        with open(f"{device.path}/control/alloc", "wb", buffering=0) as file:
            file.write(text.encode() + b"\n")
    assert device.log()[-1].command == text
    assert parse_log("nonsense\n# 3 lines lost\n") == []
