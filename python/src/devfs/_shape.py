"""How an array lies in a buffer."""

from __future__ import annotations

import errno
from typing import Tuple, Union

from ._errors import InvalidError


def whole_shape(
    shape: Union[int, Tuple[int, ...], None], item: int, size: int, offset: int
) -> Tuple[int, ...]:
    """The shape with its -1 resolved, if it lies within the buffer."""
    if not 0 <= offset <= size:
        raise InvalidError(errno.EINVAL, reason=f"offset {offset} is outside of {size} bytes")
    if item == 0:
        raise InvalidError(errno.EINVAL, reason="an item of 0 bytes is no dtype of memory")
    sizes = (-1,) if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
    room, known = size - offset, 1
    for count in sizes:
        known *= 1 if count == -1 else count
    if sizes.count(-1) > 1 or any(count < -1 for count in sizes):
        raise InvalidError(errno.EINVAL, reason=f"{sizes} is no shape")
    if -1 in sizes:
        if known == 0 or room % (known * item):
            raise InvalidError(
                errno.EINVAL, reason=f"{room} bytes are no whole number of {known} x {item} bytes")
        return tuple(room // (known * item) if count == -1 else count for count in sizes)
    if known * item > room:
        raise InvalidError(
            errno.EINVAL,
            reason=f"{sizes} of {item} bytes is {known * item} bytes; from offset {offset} "
            f"there are {room}")
    return sizes
