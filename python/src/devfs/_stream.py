"""Streams: `streams/NAME/`, a buffer as a ring of periods."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from typing import (
    TYPE_CHECKING, Any, AsyncIterator, Dict, Iterator, List, Optional, Union, overload)

from . import _wait
from ._chunk import Chunk
from ._errors import NotFoundError, error_of, refusals
from ._handle import Descriptor, Handle, ask_once
from ._text import Size, parse_size, read_text, write_text
from ._views import Views

if TYPE_CHECKING:
    import numpy
    import numpy.typing

    from ._device import Device

    Array = numpy.typing.NDArray[Any]
    # Of what numpy takes all but None, which is what tells bytes from arrays.
    DType = Union[str, type, numpy.dtype[Any], List[Any]]

# How often a mount with `no_poll` is asked, in seconds.
_PAUSE = 0.002


class Stream(Handle):
    """A stream. Its data are read in order, each byte once, by one reader at a time.

    ``for chunk in stream`` and ``async for chunk in stream`` give a period at a time, as bytes;
    :meth:`chunks` gives arrays. The loop ends when the stream was stopped and all was read.
    A stream that lost data with ``policy=stop`` is an :class:`OverrunError`, one that was removed
    a :class:`GoneError`. ``with`` opens the data, so that no event is lost from then on.
    """

    _folder = "streams"

    def __init__(self, parent: "Device", name: str, *, owned: bool = False) -> None:
        self._file: Optional[Descriptor] = None
        self._has_poll = True
        # Read, and not given to anybody yet: the first part of a piece whose wait was ended.
        self._pending = b""
        super().__init__(parent, name, owned=owned)

    def open(self) -> None:
        """Opens the data: a :class:`BusyError` where they have a reader. Reading does it, too."""
        if self._file is None:
            with self._refusals("it has a reader already: fuser says which"):
                self._file = Descriptor(os.open(
                    self._path("data"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            self._has_poll = bool(self.parent.features.get("poll", True))

    def __enter__(self) -> "Stream":
        self.open()
        return self

    # -- reading ------------------------------------------------------------------------------

    def readinto(
        self, target: Union[bytearray, memoryview], timeout: Optional[float] = None
    ) -> int:
        """Waits for ``watermark`` bytes and copies what fits; 0 at the end of the stream."""
        deadline, view = _wait.Deadline(timeout), memoryview(target).cast("B")
        while True:
            count = self._take(view)
            if count is not None:
                return count
            self._await(deadline.left())

    async def readinto_async(
        self, target: Union[bytearray, memoryview], timeout: Optional[float] = None
    ) -> int:
        """The same in an event loop."""
        deadline, view = _wait.Deadline(timeout), memoryview(target).cast("B")
        while True:
            count = self._take(view)
            if count is not None:
                return count
            await self._await_async(deadline.left())

    def read(self, size: Optional[Size] = None, timeout: Optional[float] = None) -> bytes:
        """Waits for ``watermark`` bytes and gives at most ``size`` (at first a period); nothing
        at the end of the stream."""
        target = bytearray(self._size(size))
        return bytes(target[:self.readinto(target, timeout)])

    async def read_async(
        self, size: Optional[Size] = None, timeout: Optional[float] = None
    ) -> bytes:
        """The same in an event loop."""
        target = bytearray(self._size(size))
        return bytes(target[:await self.readinto_async(target, timeout)])

    @overload
    def chunks(
        self, size: Optional[Size] = None, dtype: None = None, *,
        timeout: Optional[float] = None, strict: bool = False,
    ) -> Iterator[bytes]: ...

    @overload
    def chunks(
        self, size: Optional[Size], dtype: "DType", *,
        timeout: Optional[float] = None, strict: bool = False,
    ) -> "Iterator[Array]": ...

    @overload
    def chunks(
        self, size: Optional[Size] = None, *, dtype: "DType",
        timeout: Optional[float] = None, strict: bool = False,
    ) -> "Iterator[Array]": ...

    def chunks(
        self, size: Optional[Size] = None, dtype: Any = None, *,
        timeout: Optional[float] = None, strict: bool = False,
    ) -> Iterator[Any]:
        """The data in pieces of ``size`` bytes, a period by default; the last may be shorter.

        :param dtype: gives numpy arrays of it, each a new one, in place of bytes.
        :param timeout: seconds for each piece; what was read of it comes with the next.
        :param strict: an :class:`OverrunError` as soon as ``overruns`` has grown.
        """
        chunk = Chunk(self, self._size(size), dtype, strict)
        while True:
            deadline = _wait.Deadline(timeout)
            with chunk.filling():
                while chunk.wants_more():
                    count = self._take(chunk.rest())
                    if count is None:
                        self._await(deadline.left())
                    else:
                        chunk.add(count)
            if not chunk.filled:
                return
            yield chunk.result()

    async def chunks_async(
        self, size: Optional[Size] = None, dtype: Any = None, *,
        timeout: Optional[float] = None, strict: bool = False,
    ) -> AsyncIterator[Any]:
        """The same in an event loop, for ``async for``."""
        chunk = Chunk(self, self._size(size), dtype, strict)
        while True:
            deadline = _wait.Deadline(timeout)
            with chunk.filling():
                while chunk.wants_more():
                    count = self._take(chunk.rest())
                    if count is None:
                        await self._await_async(deadline.left())
                    else:
                        chunk.add(count)
                        # A stream that always has data would keep the loop for itself.
                        await asyncio.sleep(0)
            if not chunk.filled:
                return
            yield chunk.result()

    @overload
    def views(
        self, dtype: None = None, *, timeout: Optional[float] = None,
    ) -> Views[memoryview]: ...

    @overload
    def views(
        self, dtype: "DType", *, timeout: Optional[float] = None,
    ) -> "Views[Array]": ...

    def views(self, dtype: Any = None, *, timeout: Optional[float] = None) -> Any:
        """The data where they lie in the ring, without a copy: a loop gives all that is ready.

        It opens the stream at once, in place of ``with stream``: from then on no event is lost.

        :param dtype: gives numpy arrays of it in place of memoryviews.
        :param timeout: seconds for each view.
        """
        return Views(self, dtype, timeout)

    def pipe(self) -> int:
        """A descriptor of a pipe with the data from now on, which is the caller's to close.

        For what takes no file that can't seek: ``asyncio.connect_read_pipe``, or the standard
        input of a program. It ends with the stream; ``overruns`` says what was lost.
        """
        with self._refusals():
            (end,) = ask_once(self.parent.path, f"stream {self._name}")
        return os.dup(end.fileno())

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks_async()

    def _size(self, size: Optional[Size]) -> int:
        return self.period if size is None else parse_size(size)

    def _take(self, view: memoryview) -> Optional[int]:
        """Bytes that are there, 0 at the end, None where it takes a wait."""
        if self._pending:
            count = min(len(view), len(self._pending))
            view[:count] = self._pending[:count]
            self._pending = self._pending[count:]
            return count
        self.open()
        assert self._file is not None
        with self._refusals("the ring was full: the reader is too slow; start() begins anew"):
            try:
                return os.readv(self._file.fileno(), [view])
            except BlockingIOError:
                return None

    def _await(self, left: Optional[float]) -> None:
        assert self._file is not None
        if self._has_poll:
            _wait.readable([self._file.fileno()], left)
        else:
            _wait.readable([], _PAUSE if left is None else min(left, _PAUSE))

    async def _await_async(self, left: Optional[float]) -> None:
        assert self._file is not None
        if self._has_poll:
            await _wait.readable_async(self._file.fileno(), left)
        else:
            await asyncio.sleep(_PAUSE if left is None else min(left, _PAUSE))

    # -- the state ----------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """``armed``, ``running``, ``stopped`` or ``overrun``."""
        return self._read("status")

    @property
    def available(self) -> int:
        """Bytes that can be read now."""
        return int(self._read("available")) + len(self._pending)

    @property
    def overruns(self) -> int:
        """The periods lost so far."""
        return int(self._read("overruns"))

    @property
    def watermark(self) -> int:
        """The bytes that a read waits for."""
        return int(self._read("watermark"))

    @watermark.setter
    def watermark(self, size: Size) -> None:
        self._write("watermark", size)

    @property
    def settings(self) -> Dict[str, str]:
        """The keys that it was made with, and its state: ``buffer``, ``period``, ``source``, ..."""
        path = os.path.join(self.parent.path, "control/stream")
        with refusals(self.parent.path, path):
            lines = read_text(path).splitlines()
        for name, *words in (line.split() for line in lines):
            if name == self._name:
                return dict(word.split("=", 1) for word in words)
        raise error_of(errno.ENOENT, self.path)

    @property
    def period(self) -> int:
        """Bytes that an event of the source says are filled."""
        return int(self.settings["period"])

    def start(self) -> None:
        """Starts it: after an overrun with an empty ring. Reading starts one that is ``armed``."""
        self._write("enable", 1)

    def stop(self) -> None:
        """Stops it: the reader gets what is left, then the end."""
        self._write("enable", 0)

    # -- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._pending = b""

    def remove(self) -> None:
        """Removes the stream; its buffer stays."""
        self._owned = False
        path = os.path.join(self.parent.path, "control/stream")
        with refusals(self.parent.path, path):
            write_text(path, f"{self._name} remove")

    def _remove(self) -> None:
        with contextlib.suppress(NotFoundError):
            self.remove()
