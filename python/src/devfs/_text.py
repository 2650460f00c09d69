"""Numbers and names as the tree's files have them."""

from __future__ import annotations

import errno
import os
import re
from typing import Union

from ._errors import InvalidError

Size = Union[int, str]
"""Bytes: an int, or a text like ``"64K"``, ``"4MiB"``, ``"0x1000"``."""

_SIZE = re.compile(r"(0x[0-9a-f]+|[0-9]+)(?:([kmg])(?:ib)?)?", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parse_size(size: Size) -> int:
    """The bytes that a size says."""
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match is None:
            raise InvalidError(errno.EINVAL, reason=f"{size!r} is no size, as 4096 or 4M are")
        count = int(match[1], 0 if match[1].lower().startswith("0x") else 10)
        size = count * _FACTORS[(match[2] or "").lower()]
    if not 0 <= size < 1 << 63:
        raise InvalidError(errno.EINVAL, reason=f"{size} is no size: 0 to 2^63-1 bytes")
    return size


def checked_name(name: str) -> str:
    """The name, if a buffer, signal or stream can have it.

    What goes into a command must be one word of it, and what goes into a path one part of it.
    """
    if _NAME.fullmatch(name) is None:
        raise InvalidError(
            errno.EINVAL, None, name, reason="a name is 1 to 63 of A-Za-z0-9._- and no dot first")
    if len(name) > 63:
        raise InvalidError(errno.ENAMETOOLONG, None, name, reason="a name has at most 63 bytes")
    return name


def checked_word(word: str) -> str:
    """The value of a key in a command, if it is one word."""
    if re.fullmatch(r"[\x21-\x7e]+", word) is None:
        raise InvalidError(errno.EINVAL, reason=f"{word!r} is not one word")
    return word


def read_text(path: str) -> str:
    """What a text file of the tree has."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write_text(path: str, text: str) -> None:
    """Writes one command or value in one write, as the tree wants it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)
