"""Signals: waiting, iterating, callbacks, asyncio, POSIX signals."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import select
import signal as posix
import threading
import time
from typing import Callable, List

import pytest

import devfs
from devfs import Callback, Device, Event


def later(seconds: float, action: Callable[[], object]) -> None:
    """Calls it in a thread after a while."""
    threading.Timer(seconds, action).start()


def await_end(callback: Callback) -> None:
    """Waits until its thread has ended."""
    end = time.monotonic() + 10
    while callback.alive:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_events_since_the_handle_was_made_are_given_in_order(device: Device) -> None:
    go = device.software_signal("go")
    go.trigger(2)
    after = device.signal("go")
    go.trigger()
    assert [go.wait(5).seq for _ in range(3)] == [1, 2, 3]
    event = after.wait(5)
    assert (event.seq, event.total, event.missed) == (3, 3, 0)
    assert 0 <= time.monotonic_ns() - event.ns < 10**10
    assert go.poll() is None and (go.count, go.missed) == (3, 0)


def test_a_wait_ends_with_the_event(device: Device) -> None:
    go = device.software_signal("go")
    later(0.2, go.trigger)
    began = time.monotonic()
    assert go.wait(20).seq == 1
    assert 0.1 < time.monotonic() - began < 10


@pytest.mark.parametrize("timeout", [0, 0.1])
def test_a_wait_for_nothing_times_out(device: Device, timeout: float) -> None:
    go = device.software_signal("go")
    began = time.monotonic()
    with pytest.raises(devfs.WaitTimeout, match="nothing came within"):
        go.wait(timeout)
    with pytest.raises(TimeoutError):
        go.wait(timeout)
    assert time.monotonic() - began >= 2 * timeout
    # Waiting costs no processor time.
    used = time.process_time()
    with pytest.raises(devfs.WaitTimeout):
        go.wait(0.5)
    assert time.process_time() - used < 0.25


def test_ctrl_c_ends_a_wait(device: Device) -> None:
    go = device.software_signal("go")
    main = threading.get_ident()
    later(0.2, lambda: posix.pthread_kill(main, posix.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        go.wait(20)


def test_a_signal_without_a_handler_that_ends_it_does_not_end_a_wait(device: Device) -> None:
    go = device.software_signal("go")
    caught: List[int] = []
    before = posix.signal(posix.SIGUSR2, lambda number, frame: caught.append(number))
    try:
        main = threading.get_ident()
        later(0.1, lambda: posix.pthread_kill(main, posix.SIGUSR2))
        later(0.4, go.trigger)
        assert go.wait(20).seq == 1 and caught == [posix.SIGUSR2]
    finally:
        posix.signal(posix.SIGUSR2, before)


def test_iterating(device: Device) -> None:
    timer = device.timer("tick", "10ms")
    seen = []
    for event in timer:
        seen.append(event.seq)
        if len(seen) == 3:
            break
    assert seen == list(range(seen[0], seen[0] + 3))


def test_a_removed_signal_is_gone_for_who_waits(device: Device) -> None:
    go = device.software_signal("go")
    later(0.2, go.remove)
    with pytest.raises(devfs.GoneError):
        go.wait(20)
    assert "go" not in device.signals


def test_with_removes_what_it_made(device: Device) -> None:
    with device.software_signal("go"):
        with device.signal("go"):
            pass
        assert "go" in device.signals
    assert "go" not in device.signals


def test_a_disabled_source_makes_no_events(device: Device) -> None:
    go = device.software_signal("go")
    go.disable()
    assert not go.enabled
    with pytest.raises(devfs.DevFSError) as caught:
        go.trigger()
    assert caught.value.errno == errno.EAGAIN
    go.enable()
    go.trigger()
    assert go.enabled and go.wait(5).seq == 1


def test_a_signal_is_ready_for_select(device: Device) -> None:
    go = device.software_signal("go")
    assert select.select([go], [], [], 0)[0] == []
    go.trigger()
    assert select.select([go], [], [], 5)[0] == [go]
    assert go.wait(0.1).seq == 1


def test_a_callback_gets_each_event_until_it_is_stopped(device: Device) -> None:
    go = device.software_signal("go")
    seen: List[Event] = []
    three = threading.Event()

    def note(event: Event) -> None:
        seen.append(event)
        if len(seen) == 3:
            three.set()

    with go.callback(note) as callback:
        go.trigger(3)
        assert three.wait(10) and callback.alive
    assert [event.seq for event in seen] == [1, 2, 3] and not callback.alive
    go.trigger()
    time.sleep(0.05)
    assert len(seen) == 3


def test_what_a_callback_raises_comes_out_of_stop(device: Device) -> None:
    go = device.software_signal("go")

    def fail(event: Event) -> None:
        raise KeyError(event.seq)

    callback = go.callback(fail)
    go.trigger()
    await_end(callback)
    with pytest.raises(KeyError):
        callback.stop()


def test_a_callback_can_stop_itself_and_ends_with_its_signal(device: Device) -> None:
    go = device.software_signal("go")
    done = threading.Event()

    def stop_first(event: Event) -> None:
        first.stop()
        done.set()

    first = go.callback(stop_first)
    second = go.callback(lambda event: None)
    go.trigger()
    assert done.wait(10)
    first.stop()
    go.close()
    assert not first.alive and not second.alive and second.error is None


def test_a_callback_of_a_removed_signal_says_so(device: Device) -> None:
    go = device.software_signal("go")
    callback = go.callback(lambda event: None)
    go.remove()
    await_end(callback)
    with pytest.raises(devfs.GoneError):
        callback.stop()


def test_notify_sends_a_posix_signal(device: Device) -> None:
    go = device.software_signal("go")
    posix.pthread_sigmask(posix.SIG_BLOCK, [posix.SIGUSR1])
    try:
        go.notify(posix.SIGUSR1, value=7)
        go.trigger()
        told = posix.sigtimedwait([posix.SIGUSR1], 10)
        assert told is not None and told.si_signo == posix.SIGUSR1
        go.notify_off()
        go.trigger()
        assert posix.sigtimedwait([posix.SIGUSR1], 0.2) is None
    finally:
        posix.pthread_sigmask(posix.SIG_UNBLOCK, [posix.SIGUSR1])


def test_async_for(device: Device) -> None:
    async def run() -> List[int]:
        seen = []
        async for event in device.timer("tick", "10ms"):
            seen.append(event.seq)
            if len(seen) == 3:
                return seen
        return seen

    seen = asyncio.run(run())
    assert seen == list(range(seen[0], seen[0] + 3))


def test_two_tasks_wait_for_one_handle_and_others_run(device: Device) -> None:
    go = device.software_signal("go")

    async def run() -> List[int]:
        waits = [asyncio.ensure_future(go.wait_async(20)) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert not any(wait.done() for wait in waits)
        go.trigger(2)
        return sorted(event.seq for event in await asyncio.gather(*waits))

    assert asyncio.run(run()) == [1, 2]


def test_an_async_wait_times_out_and_can_be_cancelled(device: Device) -> None:
    go = device.software_signal("go")

    async def run() -> None:
        with pytest.raises(devfs.WaitTimeout):
            await go.wait_async(0.05)
        wait = asyncio.ensure_future(go.wait_async())
        await asyncio.sleep(0.05)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        go.trigger()
        assert (await go.wait_async(5)).seq == 1

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(run())
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_async_wait_for_a_removed_signal_is_gone(device: Device) -> None:
    go = device.software_signal("go")

    async def run() -> None:
        asyncio.get_running_loop().call_later(0.1, go.remove)
        await go.wait_async(20)

    with pytest.raises(devfs.GoneError):
        asyncio.run(run())


def test_a_pickled_signal_begins_anew(device: Device) -> None:
    go = device.software_signal("go")
    go.trigger()
    copy = pickle.loads(pickle.dumps(go))
    go.trigger()
    assert copy.wait(5).seq == 2 and go.wait(5).seq == 1
