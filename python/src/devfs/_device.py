"""A mount: where all else is found."""

from __future__ import annotations

import contextlib
import os
import weakref
from types import TracebackType
from typing import Dict, List, Optional, Tuple, Type, Union

from . import _command, _report
from ._buffer import Buffer
from ._errors import BusyError, Refusal, parse_log, refusals
from ._folder import Folder
from ._handle import Handle, ask_once
from ._region import Region
from ._signal import Signal
from ._stream import Stream
from ._text import Size, checked_name, checked_word, read_text, write_text


class Device:
    """A mounted device.

    ``Device(path)`` opens a mount that is there, by its mount point or any path below it;
    :meth:`mount` makes one, and :meth:`find` lists those of this machine. Pickled, it is the path.
    """

    def __init__(self, path: Union[str, "os.PathLike[str]"] = ".") -> None:
        self.path: str = _command.root_of(os.fspath(path))
        """The mount point."""
        self._handles: "weakref.WeakSet[Handle]" = weakref.WeakSet()
        self._made: Optional[_command.Made] = None

    @classmethod
    def mount(
        cls,
        source: str = "memory",
        path: Optional[Union[str, "os.PathLike[str]"]] = None,
        *,
        remove: bool = False,
        command: Optional[str] = None,
        **options: _command.Option,
    ) -> "Device":
        """Mounts a device; the end of ``with``, or :meth:`unmount`, unmounts it.

        :param source: ``memory:NAME``, ``/dev/devfs/host``, ``/dev/devfs/pci-0000:00:09.0``, ...
        :param path: a directory; without one, a new one that goes at the end.
        :param remove: deletes the memory device with all its buffers at the end as well.
        :param command: the ``devfs`` command, if it is not in ``PATH``.
        :param options: of mount.devfs(8): ``size="64M"``, ``allow_other=True``,
            ``passthrough=False`` (which is ``no_passthrough``).
        """
        made = _command.mount(source, path, remove, command, options)
        try:
            device = cls(made.path)
        except BaseException:
            with contextlib.suppress(OSError):
                made.end(lazy=True)
            raise
        device._made = made
        return device

    @classmethod
    def find(cls, source: Optional[str] = None) -> List["Device"]:
        """The mounts of this mount namespace that answer, or those of one source.

        Those that another user than root serves are not asked, as he may never answer: give
        ``Device`` their path.
        """
        found = []
        for name, path in _command.mounts():
            if source is None or name == source:
                with contextlib.suppress(OSError):
                    found.append(cls(path))
        return found

    # -- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        """Closes every handle that was made of this object. The mount stays."""
        for handle in list(self._handles):
            handle.close()

    def unmount(self, *, lazy: bool = False) -> None:
        """Closes the handles and unmounts, whoever mounted it.

        What is still in use, an array of a buffer for example, is a :class:`BusyError`. ``lazy``
        detaches it at once, and the server ends when that is gone.
        """
        self.close()
        made = self._made or _command.Made("", self.path)
        made.end(lazy=lazy)
        self._made = None

    def __enter__(self) -> "Device":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._made is None:
            self.close()
            return
        try:
            self.unmount()
        except BusyError:
            self.unmount(lazy=True)
        except OSError:
            if error is None:
                raise

    # -- what there is --------------------------------------------------------------------------

    @property
    def buffers(self) -> Folder[Buffer]:
        """The buffers by name: ``device.buffers["rx"]``, ``"rx" in device.buffers``."""
        return Folder(self, "buffers", Buffer)

    @property
    def regions(self) -> Folder[Region]:
        """The registers and memory of the device, by name; empty where it has none."""
        return Folder(self, "regions", Region)

    @property
    def signals(self) -> Folder[Signal]:
        """The signals by name."""
        return Folder(self, "signals", Signal)

    @property
    def streams(self) -> Folder[Stream]:
        """The streams by name."""
        return Folder(self, "streams", Stream)

    def buffer(self, name: str) -> Buffer:
        """A buffer that is there. The end of ``with`` closes it and keeps it."""
        return Buffer(self, name)

    def region(self, name: str) -> Region:
        """A region, ``bar0`` for example."""
        return Region(self, name)

    def signal(self, name: str) -> Signal:
        """A signal; its events from now on."""
        return Signal(self, name)

    def stream(self, name: str) -> Stream:
        """A stream that is there."""
        return Stream(self, name)

    # -- what is made ---------------------------------------------------------------------------

    def alloc(
        self,
        name: str,
        size: Size,
        *,
        heap: Optional[str] = None,
        direction: Optional[str] = None,
        lease: Optional[str] = None,
        reclaim: bool = False,
    ) -> Buffer:
        """Allocates a buffer. The end of ``with`` frees it.

        :param size: bytes, or a text such as ``"4M"``.
        :param heap: ``system``, ``contiguous``, ``coherent`` or ``reserved``.
        :param direction: ``bidirectional``, ``to_device`` or ``from_device``.
        :param lease: ``process`` frees it with this process.
        :param reclaim: frees a buffer of that name first whose process has ended: stop the device
            before. One whose process lives is a :class:`BusyError`.
        """
        return Buffer.create(
            self, name, size, heap=heap, direction=direction, lease=lease, reclaim=reclaim)

    def software_signal(self, name: str) -> Signal:
        """Makes a signal that :meth:`Signal.trigger` fires. The end of ``with`` removes it."""
        self._command("signal", checked_name(name), "software")
        return Signal(self, name, owned=True)

    def timer(self, name: str, period: str) -> Signal:
        """Makes a signal that fires each ``period``: ``"10ms"``. The end of ``with`` removes it."""
        self._command("signal", checked_name(name), "timer", f"period={checked_word(period)}")
        return Signal(self, name, owned=True)

    def create_stream(
        self,
        name: str,
        buffer: Union[str, Buffer],
        period: Size,
        *,
        source: Union[str, Signal] = "pattern",
        policy: Optional[str] = None,
        rate: Optional[Size] = None,
        watermark: Optional[Size] = None,
    ) -> Stream:
        """Makes a stream of a buffer. The end of ``with`` removes it.

        :param period: the bytes that each event of the source says are filled.
        :param source: a signal, or ``pattern``: 32-bit counter words.
        :param policy: ``overwrite`` loses the oldest periods, ``stop`` ends with an overrun.
        :param rate: words a second of ``pattern``.
        :param watermark: the bytes that a read waits for; at first one period.
        """
        keys = {
            "buffer": buffer.name if isinstance(buffer, Buffer) else buffer,
            "period": period,
            "source": source.name if isinstance(source, Signal) else source,
            "policy": policy, "rate": rate, "watermark": watermark,
        }
        self._command("stream", checked_name(name), *_command.words(keys))
        return Stream(self, name, owned=True)

    def import_dmabuf(self, name: str, dmabuf: int, direction: Optional[str] = None) -> Buffer:
        """Makes a dma-buf, given by its descriptor, a buffer of the heap ``imported``."""
        words = _command.words({"direction": direction})
        return self._bring(name, " ".join(["import", checked_name(name), *words]), dmabuf)

    def pin(
        self, name: str, file: int, offset: int, length: int, direction: Optional[str] = None
    ) -> Buffer:
        """Makes bytes of a memfd, given by its descriptor, a buffer of the heap ``user``."""
        words = _command.words({"direction": direction})
        return self._bring(
            name, " ".join(["pin", checked_name(name), str(offset), str(length), *words]), file)

    def _bring(self, name: str, request: str, descriptor: int) -> Buffer:
        with refusals(self.path, os.path.join(self.path, "buffers", name)):
            ask_once(self.path, request, [descriptor])
        return Buffer(self, name, owned=True)

    # -- the state ------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """What is mounted: ``memory:lab``, ``/dev/devfs/host``, ..."""
        return self.status["device"][0]

    @property
    def version(self) -> str:
        """The version of the server."""
        return self._read("version").split()[1]

    @property
    def features(self) -> Dict[str, _report.Feature]:
        """What the mount can do: ``if device.features["mmap"]: ...``; ``.why`` says why not."""
        return _report.features(self._read("features"))

    @property
    def status(self) -> Dict[str, List[str]]:
        """The lines of ``status`` by their first word. A word can have several lines."""
        return _report.status(self._read("status"))

    @property
    def metrics(self) -> _report.Metrics:
        """The samples of ``metrics``."""
        return _report.metrics(self._read("metrics"))

    @property
    def heaps(self) -> Dict[str, _report.Heap]:
        """The heaps by name."""
        base = os.path.join(self.path, "control/heaps")
        with refusals(self.path, base):
            names = sorted(os.listdir(base))
        return {
            name: _report.Heap(
                self._read(f"control/heaps/{name}/type").strip(),
                *(int(self._read(f"control/heaps/{name}/{file}"))
                  for file in ("size", "used", "max")))
            for name in names
        }

    def log(self) -> List[Refusal]:
        """The last refused commands, the oldest first."""
        return parse_log(self._read("control/log"))

    def reset(self) -> None:
        """Resets the device, where it can be."""
        with refusals(self.path, os.path.join(self.path, "control/reset")):
            write_text(os.path.join(self.path, "control/reset"), "1")

    def _read(self, file: str) -> str:
        path = os.path.join(self.path, file)
        with refusals(self.path, path):
            return read_text(path)

    def _command(self, file: str, *words: str) -> None:
        path = os.path.join(self.path, "control", file)
        with refusals(self.path, path):
            write_text(path, " ".join(words))

    def __reduce__(self) -> Tuple[object, ...]:
        return type(self), (self.path,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"<devfs.Device {self.path}>"
