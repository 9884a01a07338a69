"""Records by key: the form of each put to its bytes, and bytes to records again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from airloom import codec
from airloom.errors import CorruptBlob, NotFound
from airloom.names import escape, unescape
from airloom.store.index import DIGITS, microseconds
from airloom.store.objects import Objects

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class Shelf:
    """What the parts of a datastore share.

    Parameters
    ----------
    objects
        The store's bytes.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @property
    def root(self) -> str:
        """The store's folder or URL."""
        return self._objects.root

    def _append(self, folder: str, iso: str, record: T, ending: str = ".json") -> T:
        last = max((int(name[:DIGITS]) for name in self._objects.children(folder)), default=0)
        # After everything that could be seen, also where this machine's clock is behind.
        time = max(microseconds(iso), last + 1)
        self._put_new(f"{folder}/{time:0{DIGITS}}-{os.urandom(4).hex()}{ending}", record)
        return record

    def _names(self, folder: str) -> list[str]:
        return sorted(unescape(name) for name in self._objects.children(folder))

    def _put_new(self, key: str, record: DataclassInstance) -> bool:
        return self._objects.put_if_absent(key, [codec.dumps(record)])

    def _find(self, key: str, cls: type[T]) -> T | None:
        try:
            return self._get(key, cls)
        except NotFound:
            return None

    def _get(self, key: str, cls: type[T]) -> T:
        data = self._objects.get(key)
        try:
            return codec.loads(cls, data)
        except ValueError as error:
            raise CorruptBlob(
                f"a record cannot be read: {error}",
                where=f"{self.root}/{key}",
                mend="use the version of Airloom that wrote it, or delete the file and run the task again.",
            ) from error


def flow_key(flow: str) -> str:
    """Folder of a flow."""
    return f"flows/{escape(flow)}"


def data_key(flow: str, run: str) -> str:
    """Folder of the objects that people keep with a run; `airloom.object_store` writes there."""
    return f"data/runs/{escape(flow)}/{escape(run)}"


def run_key(flow: str, run: str) -> str:
    """Folder of a run."""
    return f"{flow_key(flow)}/runs/{escape(run)}"
