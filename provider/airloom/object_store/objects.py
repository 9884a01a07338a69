"""What is asked of an object store, and what it answers: one object each."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from airloom.errors import StoreError

if TYPE_CHECKING:
    from typing_extensions import Buffer


class GetObject(NamedTuple):
    """A part of an object: from ``offset``, so many bytes; a negative ``length`` counts from the end."""

    key: str
    offset: int | None = None
    length: int | None = None


class PutObject(NamedTuple):
    """An object to put: its ``value``, or the file at ``path``."""

    key: str
    value: Buffer | str | None = None
    path: str | None = None


class RangeInfo(NamedTuple):
    """Which part of an object was read: its whole size, where the part began, its bytes."""

    total_size: int
    request_offset: int
    request_length: int


class StoredObject:
    """An object of an object store, or the place where there is none.

    Its bytes lie in a file that is removed when the ``with`` of its object store ends.
    """

    def __init__(
        self,
        key: str,
        url: str,
        *,
        prefix: str = "",
        size: int | None = None,
        written_at: float | None = None,
        path: str | None = None,
        range_info: RangeInfo | None = None,
    ) -> None:
        self._key = key
        self._url = url
        self._prefix = prefix
        self._size = size
        self._written_at = written_at
        self._path = path
        self._range_info = range_info

    @property
    def key(self) -> str:
        """Its key, as it was asked for; of a listing, from the store's own folder on."""
        return self._key

    @property
    def url(self) -> str:
        """Where it is: a URL, or a path in a local store."""
        return self._url

    @property
    def prefix(self) -> str:
        """The key of the listing that found it; empty for one that was asked for by its key."""
        return self._prefix

    @property
    def exists(self) -> bool:
        """Whether there is an object; in a listing False for a folder."""
        return self._size is not None

    @property
    def downloaded(self) -> bool:
        """Whether its bytes were read, so that ``path``, ``blob`` and ``text`` give them."""
        return self._path is not None

    @property
    def size(self) -> int | None:
        """Bytes of the object; of the part that was read, when only a part was."""
        return self._size

    @property
    def path(self) -> str | None:
        """A file with its bytes, until the ``with`` ends; None when they were not read."""
        return self._path

    @property
    def blob(self) -> bytes | None:
        """Its bytes; None when they were not read.

        Raises
        ------
        StoreError
            When the ``with`` of its object store has ended.
        """
        if self._path is None:
            return None
        try:
            return Path(self._path).read_bytes()
        except FileNotFoundError:
            raise StoreError(
                "the file with the object's bytes is gone",
                where=self._url,
                mend="use `blob`, `text` and `path` inside of the `with` of the object store.",
            ) from None

    @property
    def text(self) -> str | None:
        """Its bytes as UTF-8, with a replacement sign for what is none; None when they were not read."""
        blob = self.blob
        return None if blob is None else blob.decode(errors="replace")

    @property
    def range_info(self) -> RangeInfo | None:
        """Which part of it was read; None when all of it was."""
        return self._range_info

    @property
    def last_modified(self) -> datetime | None:
        """When it was written, in UTC, where that was looked up: by `info` and by a listing."""
        if self._written_at is None:
            return None
        return datetime.fromtimestamp(self._written_at, timezone.utc)

    def __repr__(self) -> str:
        size = "missing" if self._size is None else f"{self._size} bytes"
        return f"<StoredObject {self._url}: {size}>"
