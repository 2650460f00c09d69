"""Directories of the tree, as mappings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, Generic, Iterator, List, Mapping, TypeVar

from ._errors import NotFoundError, refusals
from ._handle import Handle

if TYPE_CHECKING:
    from ._device import Device

Kind = TypeVar("Kind", bound=Handle)


class Folder(Mapping[str, Kind], Generic[Kind]):
    """A directory of the tree as a mapping from names to handles; each look-up makes a handle."""

    def __init__(
        self, device: "Device", folder: str, make: Callable[["Device", str], Kind]
    ) -> None:
        self._device, self._folder, self._make = device, folder, make

    def _names(self) -> List[str]:
        path = os.path.join(self._device.path, self._folder)
        with refusals(self._device.path, path):
            try:
                return sorted(os.listdir(path))
            except FileNotFoundError:
                # A device without registers has no `regions`; a mount that is gone has no version.
                os.stat(os.path.join(self._device.path, "version"))
                return []

    def __getitem__(self, name: str) -> Kind:
        try:
            return self._make(self._device, name)
        except NotFoundError:
            raise KeyError(name) from None

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return f"<devfs.Folder {self._device.path}/{self._folder}: {' '.join(self._names())}>"
