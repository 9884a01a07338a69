"""Blobs of a remote store kept on this machine, up to a size; the least recently used go first.

::

    <cache_dir>/blobs/<dd>/<digest>    a blob, whole; its time says when it was used last
    <cache_dir>/blobs/looked           when somebody looked last whether the cache is too large

Only blobs are kept: they never change, and their names say what their bytes must be. Bytes are
compared with the digest before they enter the cache, and when they are read from it; a file
that does not fit is dropped, and the blob fetched again. Nothing is locked: files come by one
rename and go by one unlink, and whoever has mapped one that goes keeps its bytes. Where the disk
is full or the folder cannot be written, there is no cache.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from airloom.digests import PREFIX, digest_of, is_digest
from airloom.errors import CorruptBlob, StoreError
from airloom.names import unescape
from airloom.settings import Settings, variable
from airloom.store.local import LocalObjects
from airloom.store.objects import Entries, Entry, MemoryObjects, Names, Objects

if TYPE_CHECKING:
    from typing_extensions import Buffer

_log = logging.getLogger(__name__)

_LOOKED = "looked"
_LOOK_AFTER_S = 60
_UNFINISHED_S = 86_400
# Of the disk so much stays free for others.
_FREE = 0.05


def cached(objects: Objects, settings: Settings) -> Objects:
    """Put the cache that the settings ask for before a remote store."""
    limit = int(settings.cache_limit_mib) << 20
    if objects.is_local or isinstance(objects, MemoryObjects) or not limit:
        return objects
    return CachedObjects(objects, settings.cache_folder / "blobs", limit, always=settings.verify == "always")


class CachedObjects:
    """A remote store whose blobs are kept on this machine once they were read.

    Blobs that it gives are the ones that their keys name: it has compared them.

    Parameters
    ----------
    objects
        The store.
    folder
        Where the blobs are kept.
    limit
        How many bytes they may have together; more for a moment, while several processes write.
    always
        Compare large blobs with their digest at every read, too, not only before they enter.
    trusted
        Blobs of this many bytes and more are the large ones.
    """

    is_local: ClassVar[bool] = False

    def __init__(
        self, objects: Objects, folder: Path, limit: int, *, always: bool = False, trusted: int = 64 << 20
    ) -> None:
        self._objects = objects
        self._folder = folder
        self._kept = LocalObjects(folder)
        self._limit = limit
        self._always = always
        self._trusted = trusted
        self._new = 0
        self._works = True

    @property
    def root(self) -> str:
        return self._objects.root

    # -- blobs -----------------------------------------------------------------------------

    def get(self, key: str) -> bytes:
        return self._objects.get(key) if _digest(key) is None else bytes(self.map(key))

    def get_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        digest = _digest(key)
        held = None if digest is None else self._held(digest)
        if held is not None:
            return held[offset : offset + length]
        data = self._objects.get_range(key, offset, length)
        if digest is not None and not offset and len(data) < length and digest_of([data]) == digest:
            self._keep(digest, memoryview(data))  # all of it, as the small values of a task are read
        return data

    def map(self, key: str) -> memoryview:
        digest = _digest(key)
        if digest is None:
            return self._objects.map(key)
        held = self._held(digest)
        if held is not None:
            return held
        data = self._objects.map(key)
        if digest_of([data]) != digest:
            raise CorruptBlob(
                "a blob has other bytes than the ones that were saved",
                where=f"{self.root}/{key}",
                mend="delete the blob, and run the task that made it again.",
            )
        self._keep(digest, data)
        return data

    def _held(self, digest: str) -> memoryview | None:
        """Give a blob from the cache; None when it has none that is whole."""
        name = _name(digest)
        try:
            data = self._kept.map(name)
            if (self._always or len(data) < self._trusted) and digest_of([data]) != digest:
                _log.warning("dropped a changed file of the cache: %s/%s", self._folder, name)
                self._kept.delete(name)
                return None
            self._kept.refresh(name, len(data))
        except StoreError:
            return None
        return data

    def _keep(self, digest: str, data: memoryview) -> None:
        if not self._works or len(data) > self._limit // 2:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            disk = shutil.disk_usage(self._folder)
            if disk.free - len(data) < disk.total * _FREE:
                self._make_room(disk.total)
                return
            self._kept.put(_name(digest), [data])
            self._new += len(data)
            if self._new > self._limit // 16 or self._is_to_be_looked_at():
                self._new = 0
                self._make_room(self._limit)
        except (OSError, StoreError) as error:
            self._works = False
            told = error.what if isinstance(error, StoreError) else str(error)
            _log.warning("no cache from now on: %s; %s names its folder", told, variable("cache_dir"))

    def _is_to_be_looked_at(self) -> bool:
        try:
            return time.time() - self._kept.entry(_LOOKED).written_at > _LOOK_AFTER_S
        except StoreError:
            return True

    def _make_room(self, limit: int) -> None:
        """Delete what was not used for the longest time, until a tenth of the limit is free."""
        self._kept.put(_LOOKED, [b""])
        self._kept.tidy(time.time() - _UNFINISHED_S)
        entries = sorted(self._kept.entries(), key=lambda entry: entry.written_at)
        size = sum(entry.size for entry in entries)
        if size <= min(limit, self._limit):
            return
        for entry in entries:
            if entry.key != _LOOKED:
                self._kept.delete(entry.key)
                size -= entry.size
            if size <= self._limit * 0.9:
                return

    # -- all else is the store's -----------------------------------------------------------

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        self._objects.put(key, parts)

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        return self._objects.put_if_absent(key, parts)

    def put_named(self, parts: Sequence[Buffer], name: Callable[[], str]) -> bool:
        return self._objects.put_named(parts, name)

    def refresh(self, key: str, size: int) -> bool:
        return self._objects.refresh(key, size)

    def exists(self, key: str) -> bool:
        return self._objects.exists(key)

    def size(self, key: str) -> int:
        return self._objects.size(key)

    def entry(self, key: str) -> Entry:
        return self._objects.entry(key)

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        return self._objects.list(prefix, start_after)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        return self._objects.entries(prefix)

    def children(self, prefix: str = "") -> Names:
        return self._objects.children(prefix)

    def folder(self, prefix: str = "") -> tuple[Entries, Names]:
        return self._objects.folder(prefix)

    def delete(self, key: str) -> None:
        self._objects.delete(key)

    def delete_many(self, keys: Iterable[str]) -> None:
        self._objects.delete_many(keys)

    def tidy(self, before: float) -> int:
        return self._objects.tidy(before)


def _digest(key: str) -> str | None:
    """Read the digest that a blob's key names; None for other keys."""
    if not key.startswith("blobs/"):
        return None
    digest = unescape(key.rpartition("/")[2])
    return digest if is_digest(digest) else None


def _name(digest: str) -> str:
    plain = digest.removeprefix(PREFIX)
    return f"{plain[:2]}/{plain}"
