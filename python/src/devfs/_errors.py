"""What a call raises that DevFS or the kernel refuses."""

from __future__ import annotations

import datetime
import errno
import os
import re
import time
from types import TracebackType
from typing import List, NamedTuple, Optional, Type


class DevFSError(OSError):
    """A call that DevFS or the kernel refused.

    ``errno``, ``strerror`` and ``filename`` are those of :class:`OSError`. A subclass is also the
    built-in exception of its errno: ``except FileNotFoundError`` catches :class:`NotFoundError`.
    """

    reason: Optional[str]
    """Why: from ``control/log`` for a refused command, else from this package, else None."""

    def __init__(
        self,
        number: int,
        strerror: Optional[str] = None,
        filename: Optional[str] = None,
        *,
        reason: Optional[str] = None,
    ) -> None:
        super().__init__(number, strerror or os.strerror(number), filename)
        self.reason = reason

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}: {self.reason}" if self.reason else text


class NotFoundError(DevFSError, FileNotFoundError):
    """There is nothing with that name (ENOENT)."""


class ExistsError(DevFSError, FileExistsError):
    """The name is taken (EEXIST)."""


class AccessError(DevFSError, PermissionError):
    """Not allowed to this user, or to anybody (EACCES, EPERM, EROFS)."""


class BusyError(DevFSError):
    """In use: a reader, a view, a mount, something that would be lost (EBUSY)."""


class InvalidError(DevFSError, ValueError):
    """A bad number, name, range or option (EINVAL, ENAMETOOLONG)."""


class NoSpaceError(DevFSError):
    """More than the heap, the buffer or a quota has (ENOSPC, ENOMEM, EDQUOT)."""


class GoneError(DevFSError):
    """The mount, its server, the device, or what a handle had open is gone (ENODEV, ENOTCONN)."""


class OverrunError(DevFSError, BrokenPipeError):
    """The device was faster than the reader of a stream (EPIPE)."""


class WaitTimeout(DevFSError, TimeoutError):
    """Nothing came within the time (ETIMEDOUT)."""


_CLASSES = {
    errno.ENOENT: NotFoundError,
    errno.EEXIST: ExistsError,
    errno.EACCES: AccessError,
    errno.EPERM: AccessError,
    errno.EROFS: AccessError,
    errno.EBUSY: BusyError,
    errno.EINVAL: InvalidError,
    errno.ENAMETOOLONG: InvalidError,
    errno.ENOSPC: NoSpaceError,
    errno.ENOMEM: NoSpaceError,
    errno.EDQUOT: NoSpaceError,
    errno.ENODEV: GoneError,
    errno.ENOTCONN: GoneError,
    errno.ECONNABORTED: GoneError,
    errno.ESTALE: GoneError,
    errno.EPIPE: OverrunError,
    errno.ETIMEDOUT: WaitTimeout,
}


def error_of(
    number: int, filename: Optional[str] = None, reason: Optional[str] = None
) -> DevFSError:
    """The exception for an errno."""
    kind: Type[DevFSError] = _CLASSES.get(number, DevFSError)
    return kind(number, None, filename, reason=reason)


class Refusal(NamedTuple):
    """A line of ``control/log``: a command that was refused."""

    time: datetime.datetime
    pid: int
    uid: int
    file: str
    command: str
    errno: int
    why: str


_LINE = re.compile(
    r'(\S+) pid=(\d+) uid=(\d+) file=(\S+) command="((?:[^"\\]|\\.)*)" errno=(\w+) '
    r'why="((?:[^"\\]|\\.)*)"')


def _plain(text: str) -> str:
    """Text that the log has with backslashes."""
    data = re.sub(
        rb"\\(?:x([0-9a-f]{2})|(.))",
        lambda code: bytes([int(code[1], 16)]) if code[1] else code[2], text.encode())
    return data.decode(errors="replace")


def parse_log(text: str) -> List[Refusal]:
    """The lines of ``control/log``, the oldest first."""
    found = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        when, pid, uid, file, command, name, why = match.groups()
        found.append(Refusal(
            datetime.datetime.fromisoformat(when.replace("Z", "+00:00")), int(pid), int(uid), file,
            _plain(command), getattr(errno, name, 0), _plain(why)))
    return found


def is_alive(root: str) -> bool:
    """True if a server answers at this mount point."""
    try:
        with open(os.path.join(root, "version"), encoding="ascii") as file:
            return file.read().startswith("devfs ")
    except (OSError, ValueError):
        return False


def _last_refusal(root: str, number: int, since: float) -> Optional[str]:
    """Why this process was refused with that errno since then, if a line tells."""
    try:
        with open(os.path.join(root, "control/log"), encoding="utf-8", errors="replace") as file:
            lines = parse_log(file.read())
    except OSError:
        return None
    for line in reversed(lines):
        # The log has whole milliseconds, of a clock that may be a tick behind this one.
        if line.time.timestamp() < since - 0.01:
            return None
        if line.pid == os.getpid() and line.errno == number:
            return line.why
    return None


class refusals:
    """Turns an OSError of what is done in its ``with`` into one of ours.

    A register is read in one of these, so that it costs next to nothing where nothing fails.

    :param reason: says why where the log has no line.
    """

    __slots__ = ("_root", "_filename", "_reason", "_since")

    def __init__(
        self, root: str, filename: Optional[str] = None, reason: Optional[str] = None
    ) -> None:
        self._root, self._filename, self._reason = root, filename, reason

    def __enter__(self) -> None:
        self._since = time.time()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if error is None or not isinstance(error, OSError) or isinstance(error, DevFSError):
            return
        number = error.errno or errno.EIO
        may_be_gone = number in (errno.ENOENT, errno.ENOTCONN, errno.ECONNABORTED)
        if may_be_gone and not is_alive(self._root):
            raise error_of(
                errno.ENOTCONN, self._root, "the mount is gone, or its server has ended") from None
        raise error_of(
            number, self._filename or error.filename,
            _last_refusal(self._root, number, self._since) or self._reason) from None
