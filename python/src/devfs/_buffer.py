"""DMA buffers: `buffers/NAME` and `attributes/NAME/`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import struct
import weakref
from typing import TYPE_CHECKING, Any, Iterator, Optional, Tuple, Union

from ._attributes import Attributes
from ._command import words
from ._errors import (
    AccessError, BusyError, DevFSError, GoneError, InvalidError, NotFoundError, refusals)
from ._handle import Descriptor, map_file, open_file, read_fully, read_into, write_fully
from ._shape import whole_shape
from ._text import Size, checked_name, checked_word, parse_size, write_text

if TYPE_CHECKING:
    import numpy
    import numpy.typing

    from ._device import Device

_DMA_BUF_IOCTL_SYNC = 0x40086200
_READ, _WRITE, _START, _END = 1, 2, 0, 4


class Buffer(Attributes):
    """A DMA buffer: made by :meth:`Device.alloc`, found by :meth:`Device.buffer`.

    The end of ``with`` closes it, and frees it where it was made by this handle. Arrays and
    memoryviews that are still used keep the memory itself.
    """

    _folder = "buffers"

    def __init__(self, parent: "Device", name: str, *, owned: bool = False) -> None:
        self._file: Optional[Descriptor] = None
        self._writable = False
        self._mapping: Optional[mmap.mmap] = None
        self._view: Optional[memoryview] = None
        super().__init__(parent, name, owned=owned)

    @classmethod
    def create(
        cls,
        parent: "Device",
        name: str,
        size: Size,
        *,
        heap: Optional[str] = None,
        direction: Optional[str] = None,
        lease: Optional[str] = None,
        reclaim: bool = False,
    ) -> "Buffer":
        """What :meth:`Device.alloc` does."""
        checked_name(name)
        if reclaim:
            with contextlib.suppress(NotFoundError):
                cls(parent, name)._reclaim()
        keys = words({"heap": heap, "direction": direction, "lease": lease})
        path = os.path.join(parent.path, "control/alloc")
        with refusals(parent.path, path):
            write_text(path, " ".join([name, checked_word(str(size)), *keys]))
        return cls(parent, name, owned=True)

    def _reclaim(self) -> None:
        if self.owner:
            raise BusyError(
                errno.EBUSY, None, self.path,
                reason=f"it is process {self.owner}'s: the device is in use")
        self.free()

    # -- the memory ---------------------------------------------------------------------------

    @property
    def memory(self) -> memoryview:
        """The memory itself, mapped: bytes that are read and written without a copy.

        Through the mount where it has passthrough, else by the descriptor of ``control/socket``.
        It is read-only where the user may only read the buffer. While the device uses the buffer
        too, sync: :meth:`cpu`, :meth:`device`. Each look asks for the size: a loop keeps the view.
        Where the buffer was removed since the handle opened it, :class:`GoneError`: views and
        arrays keep the removed memory, and after :meth:`close` the name's new buffer is opened.
        """
        size = self._opened_size()
        if self._view is not None and self._mapping is not None:
            if len(self._mapping) == size:
                return self._view
            if len(self._mapping) > size:
                # Somebody cut the file below the mapping: a byte beyond its end is SIGBUS.
                raise GoneError(
                    errno.ESTALE, None, self.path,
                    reason=f"it shrank from {len(self._mapping)} to {size} bytes: close() it")
            self._unmap()
        if size == 0:
            raise InvalidError(errno.EINVAL, None, self.path, reason="the buffer is empty")
        with self._refusals():
            self._mapping = map_file(
                self.path, self._opened(), size, self._writable, self.parent.path,
                f"buffer {self._name}")
        self._view = memoryview(self._mapping)
        try:
            # The socket goes by the name, which may have a new buffer since.
            self._opened_size()
        except DevFSError:
            self._unmap()
            raise
        return self._view

    def asarray(
        self,
        dtype: "numpy.typing.DTypeLike" = "u1",
        shape: Union[int, Tuple[int, ...], None] = None,
        offset: int = 0,
    ) -> "numpy.typing.NDArray[Any]":
        """The memory as a numpy array, without a copy.

        :param shape: items; one of a tuple may be -1. Without it, all that fit from ``offset``.
        :param offset: bytes.
        """
        try:
            import numpy
        except ImportError:
            raise ImportError("asarray() needs numpy; memory.cast() does without") from None
        kind = numpy.dtype(dtype)
        memory = self.memory
        sizes = whole_shape(shape, kind.itemsize, len(memory), offset)
        array: "numpy.typing.NDArray[Any]" = numpy.ndarray(sizes, kind, memory, offset)
        return array

    def read(self, offset: int = 0, length: Optional[int] = None) -> bytes:
        """Bytes as the device wrote them, fewer at the end alone; no sync is needed.

        :param length: without it, all to the end: :class:`GoneError` where the buffer was removed
            since the handle opened it. Calls that name a length go on with what is open.
        """
        if length is None:
            length = max(self._opened_size() - offset, 0)
        with self._refusals():
            return read_fully(self._opened(), length, offset)

    def readinto(self, target: Union[bytearray, memoryview, mmap.mmap], offset: int = 0) -> int:
        """The same into a buffer of the caller's; the number of bytes."""
        with self._refusals():
            return read_into(self._opened(), target, offset)

    def write(self, data: Union[bytes, bytearray, memoryview], offset: int = 0) -> int:
        """Writes bytes, which the device sees on return. All of them, or it is an error."""
        with self._refusals():
            file = self._opened()
            if not self._writable:
                raise AccessError(errno.EACCES, None, self.path, reason="it can only be read")
            done = write_fully(file, data, offset)
            if done < memoryview(data).nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return done

    def _opened(self) -> Descriptor:
        if self._file is None:
            self._file, self._writable = open_file(self.path)
        return self._file

    def _opened_size(self) -> int:
        """The size of the open file, if the name is still that file's."""
        with self._refusals():
            opened = os.fstat(self._opened().fileno())
        named: Optional[os.stat_result] = None
        with contextlib.suppress(NotFoundError), self._refusals():
            named = os.stat(self.path)
        if named is None or (named.st_ino, named.st_dev) != (opened.st_ino, opened.st_dev):
            # Attributes, dma_addr for one, are the new buffer's; the open file is the old one.
            raise GoneError(
                errno.ESTALE, None, self.path,
                reason="the buffer was removed since it was opened: close() it")
        return opened.st_size

    def _unmap(self) -> bool:
        """Lets go of the mapping; False where an array or a view still has it."""
        view, mapping, self._view, self._mapping = self._view, self._mapping, None, None
        if view is None or mapping is None:
            return True
        with contextlib.suppress(BufferError):
            view.release()
        # Not closed: numpy's arrays hold the mapping and no export of it, so that close() would
        # succeed and leave them without memory. It is unmapped with the last who has it.
        kept = weakref.ref(mapping)
        del view, mapping
        return kept() is None

    def close(self) -> None:
        self._unmap()
        if self._file is not None:
            self._file.close()
            self._file = None

    # -- syncs --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def cpu(self, *, read: bool = True, write: bool = True) -> Iterator["Buffer"]:
        """The CPU uses the mapped memory here; the device has it again at the end.

        :param write: False where the body only reads: nothing is then written over what the
            device wrote meanwhile.
        """
        flags = _access(read, write)
        self._sync(_START | flags)
        try:
            yield self
        finally:
            self._sync(_END | flags)

    @contextlib.contextmanager
    def device(self) -> Iterator["Buffer"]:
        """The device uses the memory here: it sees what the CPU wrote before, and the CPU sees at
        the end what the device wrote."""
        self.sync_for_device()
        try:
            yield self
        finally:
            self.sync_for_cpu()

    def sync_for_cpu(self, offset: int = 0, length: Optional[int] = None) -> None:
        """Makes the CPU see what the device wrote, in all of the buffer or a range of it."""
        if offset or length is not None:
            self._sync_range("for_cpu", offset, length)
        elif self.heap == "imported":
            # Its exporter wants an end of each access.
            self._sync(_START | _READ)
            self._sync(_END | _READ)
        else:
            self._sync(_START | _READ | _WRITE)

    def sync_for_device(self, offset: int = 0, length: Optional[int] = None) -> None:
        """Makes the device see what the CPU wrote, in all of the buffer or a range of it."""
        if offset or length is not None:
            self._sync_range("for_device", offset, length)
        else:
            with self._refusals():
                os.fsync(self._opened().fileno())

    def _sync(self, flags: int) -> None:
        with self._refusals():
            fcntl.ioctl(self._opened().fileno(), _DMA_BUF_IOCTL_SYNC, struct.pack("Q", flags))

    def _sync_range(self, way: str, offset: int, length: Optional[int]) -> None:
        if length == 0:
            return
        path = os.path.join(self.parent.path, "control/sync")
        with refusals(self.parent.path, path):
            write_text(path, f"{self._name} {way} {offset} {length or 0}")

    # -- its life -----------------------------------------------------------------------------

    def resize(self, size: Size) -> None:
        """Makes it larger or smaller.

        Views keep their old length; :attr:`memory` and :meth:`asarray` give the new one. A
        ``system`` buffer that somebody uses cannot shrink, and a fixed one not grow.
        """
        count = parse_size(size)
        if count < self.size and self.heap == "system":
            # The server cannot see who has it mapped where it is cut by a descriptor.
            if not self._unmap():
                raise BusyError(
                    errno.EBUSY, None, self.path, reason="an array or memoryview of it is in use")
            self.close()
        with self._refusals():
            os.truncate(self.path, count)

    def rename(self, name: str) -> None:
        """Gives it another name. One that is taken is an :class:`ExistsError`."""
        path = self._attribute("name")
        with refusals(self.parent.path, path):
            write_text(path, checked_name(name))
        self._named(name)

    def free(self) -> None:
        """Removes it. The memory lives until its last user is gone."""
        self._owned = False
        self.close()
        with self._refusals():
            os.unlink(self.path)

    def _remove(self) -> None:
        with contextlib.suppress(NotFoundError):
            self.free()


def _access(read: bool, write: bool) -> int:
    if not (read or write):
        raise InvalidError(errno.EINVAL, reason="an access reads or writes")
    return _READ * read | _WRITE * write
