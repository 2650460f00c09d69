"""Events: `signals/NAME/`."""

from __future__ import annotations

import contextlib
import os
import signal as posix
import threading
import weakref
from types import TracebackType
from typing import (
    TYPE_CHECKING, AsyncIterator, Callable, Iterator, NamedTuple, Optional, Type, Union)

from . import _wait
from ._errors import NotFoundError, refusals
from ._handle import Connection, Descriptor, Handle
from ._text import write_text

if TYPE_CHECKING:
    from ._device import Device

# How often a signal of a mount with `no_poll` is looked at for its end, in seconds.
_PAUSE = 0.25


class Event(NamedTuple):
    """An event of a signal."""

    seq: int
    """Its number, from 1."""
    total: int
    """The events so far."""
    missed: int
    """How many this handle has lost so far: it was more than 1,024 behind."""
    ns: int
    """Nanoseconds of ``time.monotonic_ns()``."""


class Signal(Handle):
    """A signal, and a place in its events: those from the making of this object on.

    Make it before the device is started, and no event is lost. ``for event in signal`` and
    ``async for event in signal`` go on until the signal is removed (:class:`GoneError`).
    """

    _folder = "signals"

    def __init__(self, parent: "Device", name: str, *, owned: bool = False) -> None:
        super().__init__(parent, name, owned=owned)
        self._callbacks: "weakref.WeakSet[Callback]" = weakref.WeakSet()
        self._connection: Optional[Connection] = None
        self._counter: Optional[Descriptor] = None
        with self._refusals():
            self._file = Descriptor(os.open(
                self._path("wait"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            if not parent.features.get("poll", True):
                # With `no_poll` the file is always ready; the socket's eventfd is not.
                self._connection = Connection(parent.path)
                (self._counter,) = self._connection.ask(f"signal {name}")

    def fileno(self) -> int:
        """A descriptor that is readable when an event is there, for select and its like."""
        return (self._counter or self._file).fileno()

    # -- waiting ------------------------------------------------------------------------------

    def poll(self) -> Optional[Event]:
        """The next event if it is there already."""
        event = self._next()
        if event is None and self._counter is not None:
            # Emptied before the last look: a later event makes it readable again.
            with contextlib.suppress(BlockingIOError):
                os.read(self._counter.fileno(), 8)
            event = self._next()
        return event

    def _next(self) -> Optional[Event]:
        with self._refusals():
            try:
                words = os.read(self._file.fileno(), 256).split()
            except BlockingIOError:
                return None
        return Event(*map(int, words))

    def _left(self, deadline: _wait.Deadline) -> Optional[float]:
        """How long to wait: the eventfd is told of events alone, and not of the signal's end."""
        left = deadline.left()
        if self._counter is None:
            return left
        return _PAUSE if left is None else min(left, _PAUSE)

    def wait(self, timeout: Optional[float] = None) -> Event:
        """The next event; :class:`WaitTimeout` where none comes within ``timeout`` seconds."""
        deadline = _wait.Deadline(timeout)
        while True:
            event = self.poll()
            if event is not None:
                return event
            _wait.readable([self.fileno()], self._left(deadline))

    async def wait_async(self, timeout: Optional[float] = None) -> Event:
        """The same in an event loop."""
        deadline = _wait.Deadline(timeout)
        while True:
            event = self.poll()
            if event is not None:
                return event
            await _wait.readable_async(self.fileno(), self._left(deadline))

    def __iter__(self) -> Iterator[Event]:
        while True:
            yield self.wait()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            yield await self.wait_async()

    def callback(self, function: Callable[[Event], object]) -> "Callback":
        """Calls ``function`` in a thread of its own with each event from now on, until the end of
        ``with``, or :meth:`Callback.stop`."""
        callback = Callback(Signal(self.parent, self._name), function)
        self._callbacks.add(callback)
        return callback

    # -- the source ---------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """The events so far."""
        return int(self._read("count"))

    @property
    def missed(self) -> int:
        """The events that any reader or notification has lost so far."""
        return int(self._read("missed"))

    @property
    def enabled(self) -> bool:
        """False: the source makes no events, and an interrupt is masked."""
        return self._read("enable") == "1"

    def enable(self) -> None:
        """Turns the source on: a level interrupt masks itself at each event."""
        self._write("enable", 1)

    def disable(self) -> None:
        """Turns the source off."""
        self._write("enable", 0)

    def trigger(self, count: int = 1) -> None:
        """Makes events of a software signal."""
        self._write("trigger", count)

    def notify(
        self, number: Union[int, posix.Signals], *, pid: Optional[int] = None,
        value: Optional[int] = None,
    ) -> None:
        """Has a POSIX signal sent to a process, this one by default, at each event.

        :param value: ``si_value``; by default the event's number.
        """
        words = [pid or os.getpid(), int(number)] + ([] if value is None else [value])
        self._write("notify", " ".join(map(str, words)))

    def notify_off(self, pid: Optional[int] = None) -> None:
        """Ends the notifications of a process, of this one by default."""
        self._write("notify", f"{pid or os.getpid()} off")

    # -- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        for callback in list(self._callbacks):
            callback._end()
        self._file.close()
        if self._counter is not None:
            self._counter.close()
        if self._connection is not None:
            self._connection.close()

    def remove(self) -> None:
        """Removes the signal: who waits for it gets a :class:`GoneError`."""
        self._owned = False
        path = os.path.join(self.parent.path, "control/signal")
        with refusals(self.parent.path, path):
            write_text(path, f"{self._name} remove")

    def _remove(self) -> None:
        with contextlib.suppress(NotFoundError):
            self.remove()


class Callback:
    """A thread that calls a function with each event of a signal."""

    error: Optional[BaseException]
    """What ended it: the function's exception, or a :class:`GoneError`."""

    def __init__(self, events: Signal, function: Callable[[Event], object]) -> None:
        self.error = None
        self._events, self._function = events, function
        # It is the thread's, which closes it.
        events.parent._handles.discard(events)
        stop, wake = os.pipe()
        self._stop, self._wake = Descriptor(stop), Descriptor(wake)
        self._thread = threading.Thread(
            target=self._run, name=f"devfs-{events.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        stop = self._stop.fileno()
        try:
            deadline = _wait.Deadline(None)
            while stop not in _wait.readable(
                    [self._events.fileno(), stop], self._events._left(deadline)):
                event = self._events.poll()
                if event is not None:
                    self._function(event)
        except BaseException as error:  # It is raised where somebody can see it: in stop().
            self.error = error
        finally:
            self._events.close()

    @property
    def alive(self) -> bool:
        """True while the function is called at events."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ends it, and raises what had ended it before. The function may call it itself."""
        self._end()
        if self.error is not None and threading.current_thread() is not self._thread:
            raise self.error

    def _end(self) -> None:
        self._wake.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()
            self._stop.close()

    def __enter__(self) -> "Callback":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.stop()
