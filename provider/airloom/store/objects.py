"""Bytes by key: the one protocol that every kind of store fulfils, and the kinds of this version.

A key is a relative path of one or more segments, ``flows/Train/runs/7/run.json``. No segment
is empty, begins with a dot, or holds a slash, a backslash or a NUL: so no key leaves the root,
and the names with a dot in front are free for the store's own use.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from airloom.errors import NotFound, SettingsError, StoreError
from airloom.settings import Settings, variable

if TYPE_CHECKING:
    from typing_extensions import Buffer

# The classes have a method called list, which hides the type from their annotations.
Names: TypeAlias = "list[str]"
Entries: TypeAlias = "list[Entry]"

_KEY = re.compile(r"[^./\\\0][^/\\\0]*(/[^./\\\0][^/\\\0]*)*\Z")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


REFRESHED_S = 3600
"""An object that was written so many seconds ago at most need not be written again to be new."""


class Entry(NamedTuple):
    """One object of a listing; ``written_at`` in seconds since 1970, by the store's clock."""

    key: str
    size: int
    written_at: float


class Objects(Protocol):
    """A store of bytes by key.

    ``root`` is the text that `open_objects` opens the same store by. ``is_local`` says that
    `map` hands out maps of files: bytes that crossed no network.
    """

    is_local: ClassVar[bool]

    @property
    def root(self) -> str: ...

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Write an object, or replace it; a reader sees all of the old or all of the new bytes."""

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Create an object; False when there is one: of racing callers exactly one gets True."""

    def put_named(self, parts: Sequence[Buffer], name: Callable[[], str]) -> bool:
        """Create an object whose key becomes known while its bytes are written.

        ``name`` is called once, in the caller's thread. False when there is an object of that
        name and length: then the bytes are not written, or no longer, and it is as if `refresh`
        had been called. One of another length is what a crash of the machine left, and is replaced.
        """

    def refresh(self, key: str, size: int) -> bool:
        """Make an object count as just written; False when it is not there, or of another length.

        So whoever deletes old objects that nobody names sees that somebody is about to name it.
        A store that cannot change an object's time may leave it as it is while it is at most
        `REFRESHED_S` old, and say False when it is older: then the bytes have to be put again.
        """

    def get(self, key: str) -> bytes:
        """Read an object; NotFound when there is none."""

    def get_range(self, key: str, offset: int, length: int) -> bytes | memoryview:
        """Read up to ``length`` bytes from ``offset``; fewer where the object ends."""

    def map(self, key: str) -> memoryview:
        """Give an object's bytes as private, writable memory: changes reach no one else."""

    def exists(self, key: str) -> bool: ...

    def size(self, key: str) -> int:
        """Count an object's bytes; NotFound when there is none."""

    def entry(self, key: str) -> Entry:
        """Describe an object; NotFound when there is none."""

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        """Give the keys below the folder ``prefix`` lazily, sorted, those after ``start_after``."""

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """Give the keys below the folder ``prefix`` as `list` does, with sizes and times."""

    def children(self, prefix: str = "") -> Names:
        """Give the names directly below the folder ``prefix``, sorted."""

    def folder(self, prefix: str = "") -> tuple[Entries, Names]:
        """Give the objects directly below the folder ``prefix``, and the names of the folders there."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""

    def delete_many(self, keys: Iterable[str]) -> None:
        """Remove objects, in any order; those that are not there do no harm."""

    def tidy(self, before: float) -> int:
        """Remove what writers left that began before a time and were killed; give its bytes.

        Unfinished uploads to a bucket are not seen: a rule of the bucket ends those.
        """


def check_key(key: str) -> str:
    """Return the key if it can be one.

    Raises
    ------
    StoreError
        When it could leave the root or meet the store's own files.
    """
    if not _KEY.match(key):
        raise StoreError(
            f"{key!r} cannot be a key",
            where=key,
            mend="escape every part of a key with airloom.names.escape.",
        )
    return key


def missing(where: str) -> NotFound:
    """Make the error for an object that is not there."""
    return NotFound(
        "the store has no such object",
        where=where,
        mend=f"check the name, and that {variable('datastore_root')} is the store that it was saved in.",
    )


def flat(part: Buffer) -> memoryview:
    """View C-contiguous memory as bytes, without a copy."""
    view = memoryview(part)
    if view.ndim == 1 and view.format == "B":
        return view
    return view.cast("B") if view.nbytes else memoryview(b"")


def total(parts: Sequence[Buffer]) -> int:
    """Count the bytes of all parts."""
    return sum(memoryview(part).nbytes for part in parts)


class MemoryObjects:
    """Objects in this process's memory, by name: for tests."""

    is_local: ClassVar[bool] = False
    _spaces: ClassVar[dict[str, dict[str, bytes]]] = {}
    _times: ClassVar[dict[str, dict[str, float]]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, name: str) -> None:
        self._name = name
        self._held = self._spaces.setdefault(name, {})
        self._written = self._times.setdefault(name, {})

    @property
    def root(self) -> str:
        return f"memory://{self._name}"

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        self._held[check_key(key)] = b"".join(parts)
        self._written[key] = time.time()

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        with self._lock:
            if check_key(key) in self._held:
                return False
            self.put(key, parts)
            return True

    def put_named(self, parts: Sequence[Buffer], name: Callable[[], str]) -> bool:
        key = name()
        if self.refresh(key, total(parts)):
            return False
        if key in self._held:
            self.delete(key)
        return self.put_if_absent(key, parts)

    def refresh(self, key: str, size: int) -> bool:
        with self._lock:
            if len(self._held.get(check_key(key), b"")) != size or key not in self._held:
                return False
            self._written[key] = time.time()
            return True

    def get(self, key: str) -> bytes:
        try:
            return self._held[check_key(key)]
        except KeyError:
            raise missing(f"{self.root}/{key}") from None

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        return self.get(key)[offset : offset + length]

    def map(self, key: str) -> memoryview:
        return memoryview(bytearray(self.get(key)))

    def exists(self, key: str) -> bool:
        return check_key(key) in self._held

    def size(self, key: str) -> int:
        return len(self.get(key))

    def entry(self, key: str) -> Entry:
        with self._lock:
            return Entry(key, self.size(key), self._written[key])

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        folder = f"{check_key(prefix)}/" if prefix else ""
        yield from sorted(key for key in tuple(self._held) if key.startswith(folder) and key > start_after)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        for key in self.list(prefix):
            with self._lock:
                entry = Entry(key, len(self._held[key]), self._written[key]) if key in self._held else None
            if entry is not None:
                yield entry

    def children(self, prefix: str = "") -> Names:
        skipped = len(prefix) + 1 if prefix else 0
        return sorted({key[skipped:].split("/", 1)[0] for key in self.list(prefix)})

    def folder(self, prefix: str = "") -> tuple[Entries, Names]:
        skipped = len(prefix) + 1 if prefix else 0
        every = list(self.entries(prefix))
        folders = {entry.key[skipped:].split("/", 1)[0] for entry in every if "/" in entry.key[skipped:]}
        return [entry for entry in every if "/" not in entry.key[skipped:]], sorted(folders)

    def delete(self, key: str) -> None:
        with self._lock:
            self._held.pop(check_key(key), None)
            self._written.pop(key, None)

    def delete_many(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    def tidy(self, before: float) -> int:
        return 0

    def forget(self) -> None:
        """Give the name up; what was held lasts as long as this object."""
        self._spaces.pop(self._name, None)
        self._times.pop(self._name, None)


def open_objects(url: str, settings: Settings) -> Objects:
    """Open a store by a folder's path, a ``file://`` URL, ``memory://name``, or a remote store's URL.

    Raises
    ------
    SettingsError
        When the URL is of a kind that there is not, or cannot be read.
    """
    scheme = match[1].lower() if (match := _URL.match(url)) else ""
    if scheme == "memory":
        return MemoryObjects(url[len("memory://") :])
    path = url
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise SettingsError(
                f"{url!r} names the host {parts.netloc!r}, and a file:// URL can only name this one",
                where=variable("datastore_root"),
                mend="write file:///folder with three slashes.",
            )
        path = unquote(parts.path)
    elif scheme:
        # Only here: the cloud's client is 15 MB, and most programs of a local store never need it.
        from airloom.store.remote import RemoteObjects
        from airloom.store.urls import parse

        return RemoteObjects(parse(url), settings)
    if not path:
        raise SettingsError(
            "the store has no folder", where=variable("datastore_root"), mend="write a folder, e.g. .airloom."
        )
    from airloom.store.local import LocalObjects

    return LocalObjects(Path(path).expanduser(), fsync=settings.fsync == "true")
