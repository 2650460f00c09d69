"""Mounting, finding, what a mount says of itself, and mounts that go away."""

from __future__ import annotations

import os
import pathlib
import pickle
import signal
import subprocess
import time
from typing import Callable, List

import pytest

import devfs
from conftest import MODES, PROGRAM, mounted, python
from devfs import Device, _command


@pytest.mark.memory
def test_a_mount_is_unmounted_and_removed_at_the_end_of_with() -> None:
    with mounted(MODES[0]) as device:
        path, source = device.path, device.source
        assert os.path.exists(f"{path}/version")
        assert source in {found.source for found in Device.find()}
    assert not os.path.exists(path)
    listed = subprocess.run(
        [PROGRAM, "device", "list"], capture_output=True, text=True, check=True).stdout
    assert source.partition(":")[2] not in listed


def test_a_mount_point_of_the_callers_stays(tmp_path: pathlib.Path) -> None:
    with Device.mount(
            f"memory:pytest-{os.getpid()}-place", tmp_path, remove=True, command=PROGRAM) as device:
        assert device.path == str(tmp_path)
    assert tmp_path.is_dir() and not any(tmp_path.iterdir())


def test_an_opened_mount_stays_mounted(device: Device) -> None:
    with Device(device.path) as other:
        assert other == device
    assert device.version == devfs.__version__


def test_a_path_below_the_mount_point_finds_it(device: Device) -> None:
    assert Device(f"{device.path}/buffers").path == device.path


def test_a_path_on_no_mount_is_said_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(devfs.NotFoundError, match="on no mount of DevFS"):
        Device(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes a second user")
def test_a_mount_of_another_user_says_what_it_takes(device: Device) -> None:
    other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if subprocess.run([*other, *python("-c", "import devfs")], capture_output=True).returncode:
        pytest.skip("an ordinary user cannot run this Python here")
    done = subprocess.run(
        [*other, *python(
            "-c", "import sys, devfs\n"
            "try: devfs.Device(sys.argv[1])\n"
            "except devfs.AccessError as error: print(error)", device.path)],
        capture_output=True, text=True, check=True)
    assert "allow_other" in done.stdout


def test_find_by_source(device: Device) -> None:
    assert Device.find(device.source) == [device]
    assert Device.find("memory:is-not-there") == []


STRANGERS = """
import ctypes, os, sys, devfs
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=1234,group_id=1234,allow_other"
if ctypes.CDLL(None, use_errno=True).mount(
        b"memory:lab", sys.argv[1].encode(), b"fuse.devfs", 6, options.encode()):
    sys.exit(os.strerror(ctypes.get_errno()))
print([device.path for device in devfs.Device.find()])
print(devfs.Device.find("memory:lab"))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts as another user")
def test_find_does_not_wait_for_a_strangers_mount(device: Device, tmp_path: pathlib.Path) -> None:
    # Nobody answers: its server is the child, which ends. In a namespace where no other sees it.
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private",
         *python("-c", STRANGERS, str(tmp_path))],
        capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    found, named = done.stdout.splitlines()
    assert device.path in found and str(tmp_path) not in found
    assert named == "[]"


def table(*lines: str) -> str:
    return "".join(
        f"{number} 1 0:{number} / {place} rw - {kind} memory:lab rw,user_id={user},group_id=0\n"
        for number, line in enumerate(lines) for place, kind, user in [line.split()])


def test_the_mount_of_a_path_is_found_in_the_table(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = os.geteuid() + 1
    for name in ("root's", "mine", "other", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "version").write_text("devfs 0\n")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "table").write_text(table(
        "/ ext4 0", f"{tmp_path}/root's fuse.devfs 0", f"{tmp_path}/mine fuse.devfs {os.geteuid()}",
        f"{tmp_path}/other fuse.devfs {other}", f"{tmp_path}/hidden fuse.devfs 0",
        f"{tmp_path}/hidden ext4 0"))
    monkeypatch.setattr("devfs._command._TABLE", str(tmp_path / "table"))
    assert [found.path for found in Device.find()] == [f"{tmp_path}/root's", f"{tmp_path}/mine"]
    assert Device(tmp_path / "link").path == f"{tmp_path}/mine"
    assert Device(f"{tmp_path}/mine/buffers/rx").path == f"{tmp_path}/mine"
    assert Device(f"/{tmp_path}/mine").path == f"{tmp_path}/mine"
    for place in (tmp_path, tmp_path / "hidden"):
        with pytest.raises(devfs.NotFoundError, match="on no mount of DevFS"):
            Device(place)
    # Another user's is asked where it is named, and not where a program happens to be.
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(devfs.AccessError, match=f"uid {other}, who may never answer"):
        Device()
    assert Device(tmp_path / "other").path == f"{tmp_path}/other"


def test_arguments_are_no_options_of_the_command(tmp_path: pathlib.Path) -> None:
    command = tmp_path / "devfs"
    command.write_text('#!/bin/sh\necho "$@" >>"${0%/*}/said"; [ "$1" != mount ]\n')
    command.chmod(0o755)
    with pytest.raises(devfs.DevFSError):
        Device.mount("-source", tmp_path, command=str(command), ro=True)
    made = _command.Made("-source", "-place", command=str(command), remove=True)
    made.end(lazy=True)
    assert (tmp_path / "said").read_text().splitlines() == [
        f"mount -o ro -- -source {tmp_path}", "unmount --lazy -- -place",
        "device remove -- -source"]


@pytest.mark.parametrize("options, kind, why", [
    ({"size": "many"}, devfs.InvalidError, "size"),
    ({"nonsense": True}, devfs.InvalidError, "nonsense"),
    ({"size": "4M,allow_other"}, devfs.InvalidError, "comma"),
])
def test_a_bad_mount_option_is_named(
    options: "dict[str, object]", kind: "type[devfs.DevFSError]", why: str
) -> None:
    before = Device.find()
    with pytest.raises(kind, match=why):
        Device.mount("memory:pytest-bad", command=PROGRAM, **options)  # type: ignore[arg-type]
    assert Device.find() == before


def test_mounting_what_is_not_there_says_what_to_do() -> None:
    with pytest.raises(devfs.NotFoundError, match="modprobe"):
        Device.mount("/dev/devfs/is-not-there", command=PROGRAM)


def test_a_missing_command_is_said_so() -> None:
    with pytest.raises(devfs.NotFoundError, match="install DevFS"):
        Device.mount("memory:pytest-none", command="/nonexistent/devfs")


@pytest.mark.memory
def test_features_are_true_where_the_mount_can(device: Device) -> None:
    assert device.features["sandbox"]
    assert not device.features["regions"]
    assert "no registers" in device.features["regions"].why
    assert len(device.regions) == 0


@pytest.mark.memory
def test_status_and_heaps(device: Device) -> None:
    device.alloc("rx", "1M")
    assert device.status["buffers"] == ["1"]
    assert device.status["device"] == [device.source]
    heap = device.heaps["system"]
    assert (heap.type, heap.size, heap.used) == ("page", 64 << 20, 1 << 20)
    assert heap.max <= 63 << 20


def test_metrics_have_labels(device: Device) -> None:
    device.alloc("rx", 4096)
    metrics = device.metrics
    assert metrics.value("devfs_buffers") == 1
    assert metrics.value("devfs_info", source=device.source) == 1
    assert metrics.value("devfs_requests_total") > metrics.value(
        "devfs_requests_total", operation="write")
    with pytest.raises(KeyError):
        metrics.value("devfs_nothing")


def test_names_are_mappings(device: Device) -> None:
    device.alloc("b", 4096)
    device.alloc("a", 4096)
    assert list(device.buffers) == ["a", "b"]
    assert "a" in device.buffers and "c" not in device.buffers
    assert device.buffers["a"].size == 4096
    assert device.buffers.get("c") is None
    with pytest.raises(KeyError):
        device.buffers["c"]


def test_a_device_is_pickled_by_its_path(device: Device) -> None:
    assert pickle.loads(pickle.dumps(device)) == device


def test_a_file_that_is_open_makes_unmount_busy_and_lazy_detaches(own: Device) -> None:
    rx = own.alloc("rx", 4096)
    view = rx.memory
    with pytest.raises(devfs.BusyError):
        with open(f"{own.path}/buffers/rx", "rb"):
            own.unmount()
    # What the handle had mapped is closed.
    with pytest.raises(ValueError, match="released"):
        view[0]
    own.unmount(lazy=True)
    with pytest.raises(devfs.GoneError, match="mount is gone"):
        own.alloc("rx", 4096)


def test_after_unmounting_each_call_says_that_the_mount_is_gone(own: Device) -> None:
    buffer = own.alloc("rx", 4096)
    own.unmount()
    calls: List[Callable[[], object]] = [
        lambda: own.version, lambda: own.features, lambda: list(own.buffers), buffer.free,
        lambda: buffer.size, lambda: buffer.memory, lambda: buffer.dma_addr, buffer.read,
        lambda: own.alloc("tx", 1), lambda: own.signal("go"), lambda: own.heaps,
    ]
    for call in calls:
        with pytest.raises(devfs.GoneError, match="the mount is gone, or its server has ended"):
            call()


def server_of(device: Device) -> int:
    return int(device.status["server"][0].split()[-1])


def test_a_server_that_is_killed_is_gone_and_ends_waits(own: Device) -> None:
    go = own.software_signal("go")
    own.alloc("ring", "64K")
    stream = own.create_stream("adc", "ring", "16K", source=go)
    stream.open()
    os.kill(server_of(own), signal.SIGKILL)
    calls: List[Callable[[], object]] = [go.wait, stream.read, lambda: own.status, go.trigger]
    for call in calls:
        with pytest.raises(devfs.GoneError):
            call()
    with pytest.raises(devfs.GoneError, match="mount it again"):
        Device(own.path)
    # The mount is dead, and unmounted all the same.
    own.unmount()


def test_a_server_that_is_killed_later_ends_a_wait(own: Device) -> None:
    go = own.software_signal("go")
    server = server_of(own)
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -KILL {server}"])
    began = time.monotonic()
    with pytest.raises(devfs.GoneError):
        go.wait(timeout=20)
    assert time.monotonic() - began < 10
    killer.wait()


def test_the_same_device_serves_the_next_mount_on_its_place(own: Device) -> None:
    own.alloc("rx", 4096).write(b"kept")
    os.kill(server_of(own), signal.SIGKILL)
    made = own._made
    assert made is not None
    subprocess.run([PROGRAM, "mount", made.source, own.path], check=True)
    assert own.buffers["rx"].read(0, 4) == b"kept"
