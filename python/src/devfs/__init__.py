"""A device's DMA buffers, signals, streams and registers, mounted with DevFS.

A :class:`Device` is a mount. It has the buffers, signals, streams and regions of the device by
name, the same on every backend. What DevFS refuses is a :class:`DevFSError` that says why.

    >>> import devfs
    >>> with devfs.Device.mount("memory:lab", size="64M") as device:
    ...     with device.alloc("rx", "4M", direction="from_device") as rx:
    ...         samples = rx.asarray("<i2", (-1, 2))
"""

from ._attributes import Segment
from ._buffer import Buffer
from ._device import Device
from ._errors import (
    AccessError, BusyError, DevFSError, ExistsError, GoneError, InvalidError, NoSpaceError,
    NotFoundError, OverrunError, Refusal, WaitTimeout)
from ._folder import Folder
from ._region import Region
from ._report import Feature, Heap, Metrics, Sample
from ._signal import Callback, Event, Signal
from ._stream import Stream
from ._version import __version__
from ._views import Run, Views

__all__ = [
    "AccessError", "Buffer", "BusyError", "Callback", "DevFSError", "Device", "Event",
    "ExistsError", "Feature", "Folder", "GoneError", "Heap", "InvalidError", "Metrics",
    "NoSpaceError", "NotFoundError", "OverrunError", "Refusal", "Region", "Run", "Sample",
    "Segment", "Signal", "Stream", "Views", "WaitTimeout", "__version__",
]
