"""The pieces that a loop over a stream gives."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING, Any, Iterator

from ._errors import InvalidError, OverrunError

if TYPE_CHECKING:
    from ._stream import Stream


class Chunk:
    """A piece of a stream that is being filled: bytes, or an array."""

    def __init__(self, stream: "Stream", size: int, dtype: Any, strict: bool) -> None:
        if size == 0:
            raise InvalidError(errno.EINVAL, reason="a piece of 0 bytes is none")
        self._stream, self._size = stream, size
        self._lost = stream.overruns if strict else None
        self._kind = None
        if dtype is not None:
            import numpy

            self._kind = numpy.dtype(dtype)
            if self._kind.itemsize == 0 or size % self._kind.itemsize:
                raise InvalidError(
                    errno.EINVAL,
                    reason=f"{size} bytes are no whole number of {self._kind.itemsize}")
        self.filled = 0

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """A new piece. What was read of one that is not finished goes back to the stream."""
        self.filled, self._is_over = 0, False
        self._array: Any = None
        if self._kind is None:
            self._bytes = bytearray(self._size)
            self._view = memoryview(self._bytes)
        else:
            import numpy

            self._array = numpy.empty(self._size // self._kind.itemsize, self._kind)
            self._view = memoryview(self._array.view("u1"))
        try:
            yield
        except BaseException:
            self._give_back(0)
            raise
        if self._kind is not None and self.filled % self._kind.itemsize:
            # The stream ended within an item.
            self._give_back(self.filled - self.filled % self._kind.itemsize)

    def _give_back(self, begin: int) -> None:
        self._stream._pending = bytes(self._view[begin:self.filled]) + self._stream._pending
        self.filled = begin

    def wants_more(self) -> bool:
        return self.filled < self._size and not self._is_over

    def rest(self) -> memoryview:
        return self._view[self.filled:]

    def add(self, count: int) -> None:
        self.filled += count
        self._is_over = count == 0
        if self._lost is not None:
            lost = self._stream.overruns - self._lost
            if lost:
                self._lost += lost
                raise OverrunError(
                    errno.EPIPE, None, self._stream.path, reason=f"{lost} periods were lost")

    def result(self) -> Any:
        if self._kind is None:
            return bytes(self._view[:self.filled])
        return self._array[:self.filled // self._kind.itemsize]
