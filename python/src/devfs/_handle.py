"""What all handles have in common: a device, a name, a descriptor that is closed once."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
from types import TracebackType
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple, Type, TypeVar, Union

from ._errors import error_of, refusals
from ._text import checked_name, read_text, write_text

if TYPE_CHECKING:
    from ._device import Device

Self = TypeVar("Self", bound="Handle")


class Descriptor:
    """A file descriptor with one owner."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """The number; ValueError when it is closed."""
        if self._number < 0:
            raise ValueError("I/O operation on closed file")
        return self._number

    def close(self) -> None:
        """Closes it; a second time does nothing."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        # At the end of the interpreter `os` may be gone, and the kernel closes what is left.
        with contextlib.suppress(Exception):
            self.close()


class Handle:
    """An object of a device by its name. Pickled, it is the mount's path and that name."""

    _folder = ""

    def __init__(self, parent: "Device", name: str, *, owned: bool = False) -> None:
        self.parent = parent
        """The mount that it is of."""
        self._owned = owned
        self._named(checked_name(name))
        with self._refusals():
            os.stat(self._path())
        parent._handles.add(self)

    def _named(self, name: str) -> None:
        self._name = name
        self._place = os.path.join(self.parent.path, self._folder, name)

    @property
    def name(self) -> str:
        """The name in the tree."""
        return self._name

    @property
    def path(self) -> str:
        """The path in the mount."""
        return self._place

    def close(self) -> None:
        """Closes what the handle has open. The object itself stays."""

    def _remove(self) -> None:
        """Removes the object itself: what made it with ``with`` does so at the end."""

    def _path(self, file: str = "") -> str:
        return f"{self._place}/{file}" if file else self._place

    def _refusals(self, reason: Optional[str] = None) -> refusals:
        return refusals(self.parent.path, self._place, reason)

    def _read(self, file: str, reason: Optional[str] = None) -> str:
        with self._refusals(reason):
            return read_text(self._path(file)).rstrip("\n")

    def _write(self, file: str, value: object) -> None:
        with self._refusals():
            write_text(self._path(file), str(value))

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()
        if not self._owned:
            return
        try:
            self._remove()
        except OSError:
            # The error of the body says more than that what it broke cannot be removed.
            if error is None:
                raise

    def __reduce__(self) -> Tuple[object, ...]:
        return type(self), (self.parent, self._name)

    def __repr__(self) -> str:
        return f"<devfs.{type(self).__name__} {self.path}>"


def open_file(path: str, *, writable: Optional[bool] = None, flags: int = 0) \
        -> Tuple[Descriptor, bool]:
    """Opens a file, and says whether for writing: None is for writing where that is allowed."""
    if writable is not False:
        try:
            return Descriptor(os.open(path, os.O_RDWR | os.O_CLOEXEC | flags)), True
        except OSError as error:
            refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
            if writable or not refused:
                raise
    return Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)), False


def read_fully(file: Descriptor, length: int, offset: int) -> bytes:
    """Bytes of a file, fewer at its end alone. One call gives 2 GiB less a page at most."""
    data = os.pread(file.fileno(), length, offset)
    if len(data) == length:
        return data
    parts, done = [data], len(data)
    while parts[-1] and done < length:
        parts.append(os.pread(file.fileno(), length - done, offset + done))
        done += len(parts[-1])
    return b"".join(parts)


def read_into(
    file: Descriptor, target: Union[bytearray, memoryview, mmap.mmap], offset: int
) -> int:
    """The same into a buffer of the caller's; the number of bytes."""
    count = done = os.preadv(file.fileno(), [target], offset)
    while count and done < memoryview(target).nbytes:
        rest = memoryview(target).cast("B")[done:]
        count = os.preadv(file.fileno(), [rest], offset + done)
        done += count
    return done


def write_fully(
    file: Descriptor, data: Union[bytes, bytearray, memoryview], offset: int
) -> int:
    """Writes until the file takes no more, and says how many bytes it took."""
    count = done = os.pwrite(file.fileno(), data, offset)
    while count and done < memoryview(data).nbytes:
        count = os.pwrite(file.fileno(), memoryview(data).cast("B")[done:], offset + done)
        done += count
    return done


class Connection:
    """A connection to the socket of a mount, for one request after the other."""

    def __init__(self, root: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(read_text(os.path.join(root, "control/socket")).strip())
        except OSError:
            self._socket.close()
            raise

    def ask(self, request: str, given: Sequence[int] = ()) -> List[Descriptor]:
        """Sends one request, with a descriptor where it takes one, and gives those that come."""
        data = f"{request}\n".encode()
        if given:
            socket.send_fds(self._socket, [data], list(given))
        else:
            self._socket.sendall(data)
        answer, numbers, _, _ = socket.recv_fds(
            self._socket, 4096, 1, socket.MSG_CMSG_CLOEXEC)
        found = [Descriptor(number) for number in numbers]
        text = answer.decode(errors="replace").strip()
        if text != "ok":
            words = text.split(" ", 2) + ["", "", ""]
            raise error_of(
                getattr(errno, words[1], errno.ECONNABORTED), None,
                words[2] or f"the socket answered {text!r} to {request!r}")
        return found

    def close(self) -> None:
        """What the server keeps for the connection, an eventfd for example, goes with it."""
        self._socket.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def ask_once(root: str, request: str, given: Sequence[int] = ()) -> List[Descriptor]:
    """One request on a connection of its own."""
    connection = Connection(root)
    try:
        return connection.ask(request, given)
    finally:
        connection.close()


def map_file(
    path: str, file: Descriptor, size: int, writable: bool, root: str, request: str
) -> mmap.mmap:
    """The memory of a buffer or region: through the mount, else by the socket's descriptor."""
    access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
    try:
        return mmap.mmap(file.fileno(), size, access=access)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
    try:
        (other,) = ask_once(root, f"{request} {'rw' if writable else 'ro'}")
        try:
            return mmap.mmap(other.fileno(), size, access=access)
        finally:
            other.close()
    except OSError as error:
        if error.errno != errno.ENODEV or not os.path.exists(path):
            raise
    raise error_of(
        errno.EOPNOTSUPP, path, "this memory has no mapping; read and write work") from None
