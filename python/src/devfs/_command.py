"""Mount points, and the `devfs` command that makes and ends them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import tempfile
from typing import Dict, List, Mapping, Optional, Tuple, Union

from ._errors import DevFSError, NotFoundError, error_of, is_alive
from ._text import checked_word

Option = Union[str, int, bool, None]
"""The value of a mount option: True is the option alone, False its ``no_`` form."""


def root_of(path: str) -> str:
    """The mount point that a path is on."""
    start = place = os.path.abspath(path)
    while True:
        if is_alive(place):
            return place
        try:
            os.stat(os.path.join(place, "version"))
        except OSError as error:
            if error.errno in (errno.ENOTCONN, errno.ECONNABORTED):
                raise error_of(error.errno, place, "its server has ended: mount it again") from None
            if error.errno == errno.EACCES:
                raise error_of(
                    errno.EACCES, place,
                    "another user's mount takes allow_other, and its directory must be open") \
                    from None
        parent = os.path.dirname(place)
        if parent == place:
            raise NotFoundError(errno.ENOENT, None, start, reason="it is on no mount of DevFS")
        place = parent


def mounts() -> List[Tuple[str, str]]:
    """Source and mount point of each mount of DevFS here, the newest on each point."""
    found: Dict[str, str] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            kind, source = after.split(" ")[:2]
            if kind == "fuse.devfs":
                found[_unescaped(before.split(" ")[4])] = _unescaped(source)
    return [(source, path) for path, source in found.items()]


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), text)


def words(keys: Mapping[str, object]) -> List[str]:
    """`KEY=VALUE` of those that are given."""
    return [f"{key}={checked_word(str(value))}" for key, value in keys.items() if value is not None]


def _options(options: Mapping[str, Option]) -> List[str]:
    found = []
    for key, value in options.items():
        if isinstance(value, bool):
            found.append(key if value else f"no_{key}")
        elif value is not None:
            found.append(f"{key}={value}")
    for option in found:
        # It would be two options, of which the caller knows one.
        if "," in option:
            raise error_of(errno.EINVAL, None, f"the mount option {option!r} has a comma")
    return ["-o", ",".join(found)] if found else []


def _program(command: Optional[str]) -> str:
    for name in [command] if command else ["devfs", "/usr/local/bin/devfs", "/usr/bin/devfs"]:
        found = shutil.which(name)
        if found:
            return found
    raise NotFoundError(
        errno.ENOENT, None, command or "devfs",
        reason="there is no such command: install DevFS, or give its path as command=")


def _run(program: str, *arguments: str) -> None:
    # A file: what outlives the command, as the server does, may keep a pipe open.
    with tempfile.TemporaryFile() as said:
        status = subprocess.run(
            [program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=said, check=False, env={**os.environ, "LC_ALL": "C"}).returncode
        said.seek(0)
        text = said.read().decode(errors="replace").strip().replace("devfs: ", "", 1)
    if status:
        raise error_of(_errno_in(text, status), arguments[-1], text)


def _errno_in(text: str, status: int) -> int:
    """The errno whose text the command printed: the longest, as some are a part of others."""
    said = [number for number in errno.errorcode if os.strerror(number) in text]
    # devfs(1), "Exit status".
    statuses = {2: errno.ENOENT, 64: errno.EINVAL, 124: errno.ETIMEDOUT}
    return max(
        said, key=lambda number: len(os.strerror(number)), default=statuses.get(status, errno.EIO))


class Made:
    """A mount that is to be ended."""

    def __init__(
        self, source: str, path: str, *, command: Optional[str] = None,
        remove: bool = False, temporary: bool = False,
    ) -> None:
        self.source, self.path = source, path
        self._command, self._remove, self._temporary = command, remove, temporary
        self._is_mounted = True

    def end(self, *, lazy: bool) -> None:
        """Unmounts, and takes away what was made for it; to be called until it succeeds."""
        program = _program(self._command)
        if self._is_mounted:
            _run(program, "unmount", *(["--lazy"] if lazy else []), self.path)
            self._is_mounted = False
        if self._temporary:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(self.path)
        if self._remove:
            _run(program, "device", "remove", self.source)
            self._remove = False


def mount(
    source: str, path: Optional[Union[str, "os.PathLike[str]"]], remove: bool,
    command: Optional[str], options: Mapping[str, Option],
) -> Made:
    """Runs `devfs mount`."""
    program, chosen = _program(command), _options(options)
    place = tempfile.mkdtemp(prefix="devfs-") if path is None else os.path.abspath(os.fspath(path))
    try:
        _run(program, "mount", *chosen, source, place)
    except DevFSError:
        if path is None:
            os.rmdir(place)
        raise
    return Made(source, place, command=program, remove=remove, temporary=path is None)
