"""The data of a stream where they lie."""

from __future__ import annotations

import errno
import mmap
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Iterator, NamedTuple, Optional, Type, TypeVar

from . import _wait
from ._errors import InvalidError
from ._handle import Descriptor, ask_once

if TYPE_CHECKING:
    from ._stream import Stream

# How often a mount with `no_poll` is asked, in seconds.
_PAUSE = 0.002

View = TypeVar("View")


class Run(NamedTuple):
    """A line of ``ready``: bytes that lie ready in one piece of the ring."""

    position: int
    """Of the first byte, since the start of the stream."""
    offset: int
    """The same in the buffer."""
    length: int
    """Bytes."""
    overruns: int
    """The periods lost so far."""


class Views(Generic[View]):
    """A reader of a stream that has the ring mapped, of :meth:`Stream.views`.

    A loop over it gives what lies ready, without a copy: read-only memory of the ring, which is the
    device's again once the body has ended. A view that is kept shows later data then; copy it. The
    next step is an :class:`OverrunError` where the device overwrote what the body was given, and the
    loop may go on after that. A body that is left, by ``break`` for example, releases nothing: the
    next reader gets the same once more. ``with`` closes it.
    """

    run: Optional[Run] = None
    """Where the present view lies, and what was lost so far."""

    def __init__(self, stream: "Stream", dtype: Any, timeout: Optional[float]) -> None:
        self._stream, self._timeout, self._kind = stream, timeout, None
        if dtype is not None:
            import numpy

            self._kind = numpy.dtype(dtype)
            if self._kind.itemsize == 0:
                raise InvalidError(errno.EINVAL, reason="an item of 0 bytes is none")
        self._held = 0
        with stream._refusals("it has a reader already: fuser says which"):
            self._file = Descriptor(os.open(
                stream._path("ready"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
            try:
                # Whatever the buffer is called by now, it is the stream's.
                (ring,) = ask_once(stream.parent.path, f"ring {stream.name}")
                try:
                    size = os.fstat(ring.fileno()).st_size
                    self._memory = memoryview(
                        mmap.mmap(ring.fileno(), size, access=mmap.ACCESS_READ))
                finally:
                    ring.close()
            except BaseException:
                self._file.close()
                raise
        self._has_poll = bool(stream.parent.features.get("poll", True))

    def __iter__(self) -> Iterator[View]:
        return self

    def __next__(self) -> View:
        self.release()
        run = self._next()
        if run is None:
            raise StopIteration
        self.run, self._held = run, run.length
        part = self._memory[run.offset:run.offset + run.length]
        if self._kind is None:
            return part  # type: ignore[return-value]
        import numpy

        count, rest = divmod(run.length, self._kind.itemsize)
        if count == 0 or rest and run.offset + run.length == len(self._memory):
            self._held = 0
            raise InvalidError(
                errno.EINVAL, None, self._stream.path,
                reason=f"an item of {self._kind.itemsize} bytes reaches beyond the end of the ring")
        # What is left of an item comes with the rest of it.
        self._held = count * self._kind.itemsize
        return numpy.frombuffer(part, self._kind, count)  # type: ignore[return-value]

    def release(self) -> None:
        """Gives the present view back to the device before the loop does.

        An :class:`OverrunError` where the device overwrote some of it: it is released all the same.
        """
        held, self._held = self._held, 0
        if held:
            self._write(held)

    def check(self) -> None:
        """An :class:`OverrunError` where the device has overwritten some of the present view."""
        if self._held:
            self._write(0)

    def _write(self, count: int) -> None:
        with self._stream._refusals("the device overwrote what was held"):
            os.write(self._file.fileno(), b"+%d\n" % count)

    def _next(self) -> Optional[Run]:
        deadline = _wait.Deadline(self._timeout)
        while True:
            with self._stream._refusals(
                    "the ring was full: the reader is too slow; start() begins anew"):
                try:
                    line = os.read(self._file.fileno(), 128)
                    return Run(*map(int, line.split())) if line else None
                except BlockingIOError:
                    pass
            left = deadline.left()
            if self._has_poll:
                _wait.readable([self._file.fileno()], left)
            else:
                _wait.readable([], _PAUSE if left is None else min(left, _PAUSE))

    def close(self) -> None:
        """Ends the reading. The memory stays mapped as long as somebody has a view of it."""
        self._held = 0
        self._file.close()
        # Its last user unmaps it.
        self._memory = memoryview(b"")

    def __enter__(self) -> "Views[View]":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()
