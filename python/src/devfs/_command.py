"""Mount points, and the `devfs` command that makes and ends them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import tempfile
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from ._errors import DevFSError, NotFoundError, error_of
from ._text import checked_word, read_text

Option = Union[str, int, bool, None]
"""The value of a mount option: True is the option alone, False its ``no_`` form."""


_TABLE = "/proc/self/mountinfo"
_KIND = "fuse.devfs"


class _Entry(NamedTuple):
    """A mount of this mount namespace."""

    place: str
    kind: str
    source: str
    user: Optional[int]
    """Whose server it is, of FUSE."""

    @property
    def is_ours(self) -> bool:
        """It is of DevFS, and root or this user serves it: another user may never answer."""
        return self.kind == _KIND and self.user in (None, 0, os.geteuid())


def _visible() -> Dict[str, _Entry]:
    """The newest mount of each mount point. No file system is asked."""
    found: Dict[str, _Entry] = {}
    with open(_TABLE, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            kind, source, options = after.rstrip("\n").split(" ")[:3]
            place = _unescaped(before.split(" ")[4])
            user = re.search(r"(?:^|,)user_id=(\d+)(?:,|$)", options)
            # A dictionary keeps a key's first place: the newest is to be the last.
            found.pop(place, None)
            found[place] = _Entry(place, kind, _unescaped(source), int(user[1]) if user else None)
    return found


def _mount_of(path: str) -> Optional[_Entry]:
    """The mount of DevFS that an absolute path is on."""
    table, path = _visible(), "/" + path.lstrip("/")
    while path not in table and path != os.path.dirname(path):
        path = os.path.dirname(path)
    entry = table.get(path)
    return entry if entry is not None and entry.kind == _KIND else None


def root_of(path: str) -> str:
    """The mount point that a path is on."""
    start = os.path.abspath(path)
    # Only where it is no mount as it is written are symbolic links looked up.
    entry = _mount_of(start) or _mount_of(os.path.realpath(start))
    if entry is None:
        raise NotFoundError(errno.ENOENT, None, start, reason="it is on no mount of DevFS")
    if os.path.normpath(path) == "." and not entry.is_ours:
        raise error_of(
            errno.EACCES, entry.place,
            f"a mount of uid {entry.user}, who may never answer; give its path to ask it all the "
            "same")
    try:
        read_text(os.path.join(entry.place, "version"))
    except OSError as error:
        reasons = {
            errno.ENOENT: "it is on no mount of DevFS",
            errno.ENOTCONN: "its server has ended: mount it again",
            errno.ECONNABORTED: "its server has ended: mount it again",
            errno.EACCES:
                "another user's mount takes allow_other, and its directory must be open",
        }
        raise error_of(
            error.errno or errno.EIO, entry.place, reasons.get(error.errno or 0)) from None
    return entry.place


def mounts() -> List[Tuple[str, str]]:
    """Source and mount point of each mount of DevFS here, the newest on each point; those that
    another user than root serves are left out, as he may never answer."""
    return [(entry.source, entry.place) for entry in _visible().values() if entry.is_ours]


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
            _run(program, "unmount", *(["--lazy"] if lazy else []), "--", self.path)
            self._is_mounted = False
        if self._temporary:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(self.path)
        if self._remove:
            _run(program, "device", "remove", "--", self.source)
            self._remove = False


def mount(
    source: str, path: Optional[Union[str, "os.PathLike[str]"]], remove: bool,
    command: Optional[str], options: Mapping[str, Option],
) -> Made:
    """Runs `devfs mount`."""
    program, chosen = _program(command), _options(options)
    place = tempfile.mkdtemp(prefix="devfs-") if path is None else os.path.abspath(os.fspath(path))
    try:
        _run(program, "mount", *chosen, "--", source, place)
    except DevFSError:
        if path is None:
            os.rmdir(place)
        raise
    return Made(source, place, command=program, remove=remove, temporary=path is None)
