"""What a buffer has one value of: `attributes/NAME/`."""

from __future__ import annotations

import os
from typing import List, NamedTuple, Optional

from ._errors import refusals
from ._handle import Handle
from ._text import checked_word, read_text, write_text

_NO_ADDRESS = "it has no such address: a memory device has none, and dma_addr takes one range"


class Segment(NamedTuple):
    """An entry of a buffer's scatter-gather list."""

    address: int
    length: int


class Attributes(Handle):
    """The attributes of a buffer."""

    def _attribute(self, file: str) -> str:
        return os.path.join(self.parent.path, "attributes", self._name, file)

    def _value(self, file: str, reason: Optional[str] = None) -> str:
        with refusals(self.parent.path, self._attribute(file), reason):
            return read_text(self._attribute(file)).strip()

    @property
    def size(self) -> int:
        """Bytes."""
        with self._refusals():
            return os.stat(self.path).st_size

    @property
    def heap(self) -> str:
        """``system``, ``contiguous``, ``coherent``, ``reserved``, ``user`` or ``imported``."""
        return self._value("heap")

    @property
    def direction(self) -> str:
        """``bidirectional``, ``to_device`` or ``from_device``."""
        return self._value("direction")

    @property
    def dma_addr(self) -> int:
        """The address that the device is given. Without one: ENODATA, on a memory device always."""
        return int(self._value("dma_addr", _NO_ADDRESS), 0)

    @property
    def phys_addr(self) -> int:
        """The physical address; ENODATA where there is none."""
        return int(self._value("phys_addr", _NO_ADDRESS), 0)

    @property
    def nents(self) -> int:
        """Entries of the scatter-gather list; ENODATA on a memory device."""
        return int(self._value("nents", _NO_ADDRESS))

    @property
    def sg_table(self) -> List[Segment]:
        """The scatter-gather list; ENODATA on a memory device."""
        lines = self._value("sg_table", _NO_ADDRESS).splitlines()
        return [Segment(*(int(word, 0) for word in line.split())) for line in lines]

    @property
    def numa_node(self) -> Optional[int]:
        """The NUMA node; None for none or unknown."""
        node = int(self._value("numa_node"))
        return None if node < 0 else node

    @property
    def dma_coherent(self) -> bool:
        """True if CPU and device see the same without a sync."""
        return self._value("dma_coherent") == "1"

    @property
    def owner(self) -> int:
        """The process that allocated it; 0 when that has ended."""
        return int(self._value("owner"))

    @property
    def refs(self) -> int:
        """Open descriptors of it through the mount, plus streams on it."""
        return int(self._value("refs"))

    @property
    def lease(self) -> str:
        """``none``, or ``process``: it is freed with its owner. Setting that makes this process
        the owner."""
        return self._value("lease")

    @lease.setter
    def lease(self, value: str) -> None:
        path = self._attribute("lease")
        with refusals(self.parent.path, path):
            write_text(path, checked_word(value))
