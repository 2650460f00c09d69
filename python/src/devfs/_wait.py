"""Waiting for a descriptor, for threads and for asyncio."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import time
from typing import List, Optional, Sequence

from ._errors import WaitTimeout


class Deadline:
    """When a wait must have ended."""

    def __init__(self, timeout: Optional[float]) -> None:
        self._timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> Optional[float]:
        """The seconds that are left, None for no end; WaitTimeout when there are none."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise WaitTimeout(errno.ETIMEDOUT, reason=f"nothing came within {self._timeout} s")
        return left


def readable(descriptors: Sequence[int], left: Optional[float]) -> List[int]:
    """Waits until one can be read or has an error: those that can, none when the time is over."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    # Rounded up: a wait of 0 ms would be a busy loop at the end of each time-out.
    limit = None if left is None else min(int(left * 1000) + 1, 0x7FFFFFFF)
    return [number for number, _ in poll.poll(limit)]


async def readable_async(descriptor: int, left: Optional[float]) -> None:
    """The same of one, in an event loop."""
    loop = asyncio.get_running_loop()
    ready: "asyncio.Future[None]" = loop.create_future()
    # A loop has one reader a descriptor, and two tasks may wait for this one.
    copy = os.dup(descriptor)

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        loop.add_reader(copy, wake)
        try:
            await asyncio.wait([ready], timeout=left)
        finally:
            loop.remove_reader(copy)
    finally:
        os.close(copy)
