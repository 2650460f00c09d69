"""Registers and memory of a device: `regions/NAME`."""

from __future__ import annotations

import errno
import mmap
import os
import time
from typing import TYPE_CHECKING, Optional, Union

from ._errors import InvalidError, WaitTimeout, error_of
from ._handle import Handle, map_file, open_file, read_fully, write_fully

if TYPE_CHECKING:
    from ._device import Device


class Region(Handle):
    """A region: ``device.region("bar0")``.

    ``read8`` to ``write64`` are one bus access of that width each, little-endian, at a multiple of
    it.
    """

    _folder = "regions"

    def __init__(self, parent: "Device", name: str) -> None:
        self._mapping: Optional[mmap.mmap] = None
        super().__init__(parent, name)
        with self._refusals():
            self._file, self._writable = open_file(self.path)
            self.size: int = os.fstat(self._file.fileno()).st_size
            """Bytes."""

    def read8(self, offset: int) -> int:
        """A register of 8 bits."""
        return self._register(offset, 1)

    def read16(self, offset: int) -> int:
        """A register of 16 bits."""
        return self._register(offset, 2)

    def read32(self, offset: int) -> int:
        """A register of 32 bits."""
        return self._register(offset, 4)

    def read64(self, offset: int) -> int:
        """A register of 64 bits."""
        return self._register(offset, 8)

    def write8(self, offset: int, value: int) -> None:
        """Sets a register of 8 bits."""
        self._set_register(offset, value, 1)

    def write16(self, offset: int, value: int) -> None:
        """Sets a register of 16 bits."""
        self._set_register(offset, value, 2)

    def write32(self, offset: int, value: int) -> None:
        """Sets a register of 32 bits."""
        self._set_register(offset, value, 4)

    def write64(self, offset: int, value: int) -> None:
        """Sets a register of 64 bits."""
        self._set_register(offset, value, 8)

    def wait32(
        self, offset: int, mask: int, value: int, timeout: Optional[float] = 10.0,
        interval: float = 0.001,
    ) -> int:
        """Reads a register of 32 bits until its bits of ``mask`` are ``value``, and gives it."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            # The time is over before the last read, so a late look is still a look.
            is_last = end is not None and time.monotonic() >= end
            found = self.read32(offset)
            if found & mask == value:
                return found
            if is_last:
                raise WaitTimeout(
                    errno.ETIMEDOUT, None, self.path,
                    reason=f"register {offset:#x} is {found:#x} after {timeout} s")
            time.sleep(interval)

    def read(self, offset: int, length: int) -> bytes:
        """A run of the widest aligned accesses: a multiple of 4 bytes at a multiple of 4."""
        with self._refusals():
            return read_fully(self._file, length, offset)

    def write(self, data: Union[bytes, bytearray, memoryview], offset: int) -> int:
        """The same for writing; the number of bytes."""
        with self._refusals():
            return write_fully(self._file, data, offset)

    @property
    def memory(self) -> memoryview:
        """The region mapped, where it can be: for memory of the device.

        The width of an access is the interpreter's choice: registers are for ``read32``.
        """
        if self._mapping is None:
            with self._refusals():
                self._mapping = map_file(
                    self.path, self._file, self.size, self._writable, self.parent.path,
                    f"region {self._name}")
        return memoryview(self._mapping)

    def close(self) -> None:
        # A view or array that is in use keeps it.
        self._mapping = None
        self._file.close()

    def _register(self, offset: int, width: int) -> int:
        self._check(offset, width)
        with self._refusals():
            data = os.pread(self._file.fileno(), width, offset)
        self._check_count(len(data), offset, width)
        return int.from_bytes(data, "little")

    def _set_register(self, offset: int, value: int, width: int) -> None:
        self._check(offset, width)
        if not 0 <= value < 1 << (8 * width):
            raise InvalidError(
                errno.EINVAL, None, self.path, reason=f"{value:#x} does not fit {8 * width} bits")
        with self._refusals():
            count = os.pwrite(self._file.fileno(), value.to_bytes(width, "little"), offset)
        self._check_count(count, offset, width)

    def _check_count(self, count: int, offset: int, width: int) -> None:
        # A second call for the rest would be another access.
        if count != width:
            raise error_of(
                errno.EIO, self.path, f"{count} bytes of the {width} at {offset:#x} were accessed")

    def _check(self, offset: int, width: int) -> None:
        if offset % width or not 0 <= offset <= self.size - width:
            raise InvalidError(
                errno.EINVAL, None, self.path,
                reason=f"no register of {width} bytes at {offset:#x}: it is no multiple of the "
                f"width, or beyond {self.size:#x}")
