"""`ObjectStore`: put and get bytes by key in any store, many at once."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from airloom.errors import NotFound, StoreError
from airloom.object_store.objects import GetObject, PutObject, RangeInfo, StoredObject
from airloom.object_store.places import Place, Places
from airloom.object_store.transfer import bytes_of, bytes_of_file, download, side_by_side, upload
from airloom.settings import variable
from airloom.store.objects import Entry

if TYPE_CHECKING:
    from typing_extensions import Buffer

Key: TypeAlias = "str | GetObject"
Value: TypeAlias = "Buffer | str | Any"


class ObjectStore:
    """Objects, which are bytes by key, in a folder or a bucket.

    ``ObjectStore(run=self)`` inside of a step keeps them apart by run; ``ObjectStore()`` is a
    folder of the datastore that all runs share; ``ObjectStore("s3://bucket/folder")`` and
    ``ObjectStore("/folder")`` are anybody's. A key can also be a whole URL.

    Used in a ``with``: at its end the files that `get` and its like have made are removed.

    Parameters
    ----------
    root
        Folder or URL below which keys lie; None for a folder of the datastore.
    run
        The flow inside of its step, a run of the client, or its pathspec: keys lie in its folder.
    tmproot
        Folder for the files of objects that are read; the system's when None.

    Raises
    ------
    StoreError
        When ``run`` is no run.
    """

    def __init__(
        self, root: str | os.PathLike[str] | None = None, *, run: object = None, tmproot: str | None = None
    ) -> None:
        self._places = Places(None if root is None else str(root), run)
        self._tmproot = tmproot
        self._folder: str | None = None
        self._closed = False
        self._cleaned: weakref.finalize[Any, Any] | None = None

    @property
    def root(self) -> str:
        """Folder or URL below which its keys lie."""
        return self._places.url

    def __enter__(self) -> ObjectStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files of the objects that were read."""
        self._closed = True
        if self._cleaned is not None:
            self._cleaned()

    # -- put -------------------------------------------------------------------------------

    def put(self, key: str | PutObject, obj: Value = None, overwrite: bool = True) -> str:
        """Put an object; return its URL.

        Parameters
        ----------
        key
            Its key, or a `PutObject` that says all.
        obj
            Text, which becomes UTF-8; bytes or other memory in one piece; a file open for reading.
        overwrite
            False to leave an object that is there as it is.

        Raises
        ------
        StoreError
            When the key or the value cannot be one, or the store does not take it.
        """
        asked = key if isinstance(key, PutObject) else PutObject(key, obj)
        return self._put(asked, overwrite)[1]

    def put_many(
        self, key_objs: Iterable[tuple[str, Value] | PutObject], overwrite: bool = True
    ) -> list[tuple[str, str]]:
        """Put many objects at once: ``(key, value)`` each; return ``(key, url)`` of each.

        Raises
        ------
        StoreError
            As `put`; what was begun before is put all the same.
        """
        asked = [one if isinstance(one, PutObject) else PutObject(*one) for one in key_objs]
        return side_by_side(lambda one: self._put(one, overwrite), asked)

    def put_files(
        self, key_paths: Iterable[tuple[str, str | os.PathLike[str]] | PutObject], overwrite: bool = True
    ) -> list[tuple[str, str]]:
        """Put many files at once: ``(key, path)`` each; return ``(key, url)`` of each.

        Raises
        ------
        NotFound
            When there is no such file; then nothing was put.
        StoreError
            As `put`; what was begun before is put all the same.
        """
        asked = [
            one if isinstance(one, PutObject) else PutObject(one[0], path=os.fspath(one[1]))
            for one in key_paths
        ]
        for one in asked:
            if one.path is None or not Path(one.path).is_file():
                raise NotFound("there is no such file", where=str(one.path), mend="look at its name.")
        return side_by_side(lambda one: self._put(one, overwrite), asked)

    def _put(self, asked: PutObject, overwrite: bool) -> tuple[str, str]:
        place = self._object(asked.key)
        made = bytes_of(asked.value, asked.key) if asked.path is None else bytes_of_file(asked.path)
        with made as data:
            upload(place, data, overwrite=overwrite)
        return asked.key, place.url

    # -- get -------------------------------------------------------------------------------

    def get(self, key: Key, return_missing: bool = False, return_info: bool = True) -> StoredObject:
        """Read an object into a file.

        Parameters
        ----------
        key
            Its key; or a `GetObject`, to read a part of it.
        return_missing
            True for a `StoredObject` with ``exists == False`` where there is no such object.
        return_info
            For compatibility: what is known of an object costs nothing.

        Raises
        ------
        NotFound
            When there is no such object, unless ``return_missing``.
        """
        return self.get_many([key], return_missing, return_info)[0]

    def get_many(
        self, keys: Iterable[Key], return_missing: bool = False, return_info: bool = True
    ) -> list[StoredObject]:
        """Read many objects at once, each into a file; in the order of the keys.

        Raises
        ------
        NotFound
            When one is not there, unless ``return_missing``.
        """
        found = side_by_side(self._get, keys)
        return found if return_missing else _all_there(found)

    def get_recursive(self, keys: Iterable[str], return_info: bool = False) -> list[StoredObject]:
        """Read all objects below these folders at once."""
        return [one for one in side_by_side(self._get_listed, self.list_recursive(keys)) if one.exists]

    def get_all(self, return_info: bool = False) -> list[StoredObject]:
        """Read all objects of the store's own folder at once."""
        return self.get_recursive([""])

    def _get(self, key: Key) -> StoredObject:
        name, offset, length = _range_of(key)
        place = self._object(name)
        path = str(Path(self._files(), uuid4().hex))
        try:
            total = None
            if length is not None and length < 0:
                total = place.objects.size(place.key)
                offset, length = max(total + length, 0), min(-length, total)
            if not offset and length is None:
                size = download(place, path)
                return StoredObject(name, place.url, size=size, path=path)
            if total is None:
                total = place.objects.size(place.key)
            size = download(place, path, offset, length)
        except NotFound:
            Path(path).unlink(missing_ok=True)
            return StoredObject(name, place.url)
        return StoredObject(name, place.url, size=size, path=path, range_info=RangeInfo(total, offset, size))

    def _get_listed(self, listed: StoredObject) -> StoredObject:
        found = self._get(listed.key)
        found._prefix = listed.prefix  # noqa: SLF001 - the same class of the users'
        return found

    # -- list and look ---------------------------------------------------------------------

    def list_paths(self, keys: Iterable[str] | None = None) -> list[StoredObject]:
        """List what stands directly below these folders: objects, and folders with ``exists == False``.

        Without keys it lists the store's own folder.
        """
        return self._listed(self._list_folder, keys)

    def list_recursive(self, keys: Iterable[str] | None = None) -> list[StoredObject]:
        """List all objects below these folders; without keys those of the store's own folder."""
        return self._listed(self._list_all, keys)

    def info(self, key: str, return_missing: bool = False) -> StoredObject:
        """Describe an object without reading it: its size, and when it was written.

        Raises
        ------
        NotFound
            When there is no such object, unless ``return_missing``.
        """
        return self.info_many([key], return_missing)[0]

    def info_many(self, keys: Iterable[str], return_missing: bool = False) -> list[StoredObject]:
        """Describe many objects at once, in the order of the keys.

        Raises
        ------
        NotFound
            When one is not there, unless ``return_missing``.
        """
        found = side_by_side(self._info, keys)
        return found if return_missing else _all_there(found)

    def _info(self, key: str) -> StoredObject:
        place = self._object(key)
        try:
            entry = place.objects.entry(place.key)
        except NotFound:
            return StoredObject(key, place.url)
        return StoredObject(key, place.url, size=entry.size, written_at=entry.written_at)

    def _listed(self, listing: Any, keys: Iterable[str] | None) -> list[StoredObject]:
        every = [""] if keys is None else list(keys)
        return [one for found in side_by_side(listing, every) for one in found]

    def _list_folder(self, key: str) -> list[StoredObject]:
        place = self._places.of(key)
        if place.key and not key.endswith("/"):
            with suppress(NotFound):
                return [self._found(place, place.objects.entry(place.key), key)]
        entries, folders = place.objects.folder(place.key)
        below = f"{place.key}/" if place.key else ""
        found = {entry.key: self._found(place, entry, key) for entry in entries}
        for name in folders:
            inner = Place(place.objects, f"{below}{name}")
            found[f"{inner.key}/"] = StoredObject(f"{self._places.name(inner)}/", f"{inner.url}/", prefix=key)
        return [found[name] for name in sorted(found)]

    def _list_all(self, key: str) -> list[StoredObject]:
        place = self._places.of(key)
        return [self._found(place, entry, key) for entry in place.objects.entries(place.key)]

    def _found(self, place: Place, entry: Entry, prefix: str) -> StoredObject:
        found = Place(place.objects, entry.key)
        return StoredObject(
            self._places.name(found),
            found.url,
            prefix=prefix,
            size=entry.size,
            written_at=entry.written_at,
        )

    # -- places ----------------------------------------------------------------------------

    def _object(self, key: str) -> Place:
        if not isinstance(key, str) or not key.strip("/"):
            raise StoreError(f"{key!r} is no key", where=self.root, mend="give the key of an object.")
        place = self._places.of(key)
        if not place.key:
            raise StoreError(f"{key!r} names a whole bucket", where=key, mend="write the object's key, too.")
        return place

    def _files(self) -> str:
        if self._closed:
            raise StoreError(
                "the object store is closed: there is no place for what it reads",
                where=self.root,
                mend="read inside of its `with`.",
            )
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="airloom-", dir=self._tmproot)
            self._cleaned = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"


class S3(ObjectStore):
    """`ObjectStore` with the arguments of Metaflow's ``S3``; it works on every kind of store.

    Parameters
    ----------
    tmproot, run
        As for `ObjectStore`.
    bucket, prefix
        Keep runs apart below this place instead of in the datastore; only with ``run``.
    s3root
        URL below which keys lie.

    Raises
    ------
    StoreError
        When ``bucket`` and ``prefix`` are given without a run, or a ``prefix`` without a bucket.
    """

    def __init__(
        self,
        tmproot: str | None = None,
        bucket: str | None = None,
        prefix: str | None = None,
        run: object = None,
        s3root: str | None = None,
    ) -> None:
        root = s3root
        if bucket or prefix:
            if run is None or not bucket:
                raise StoreError(
                    "bucket= goes together with run=, and prefix= with bucket=",
                    where="S3(...)",
                    mend=f"write s3root='s3://bucket/prefix', or set {variable('datastore_root')}.",
                )
            root = f"s3://{bucket}/{(prefix or '').strip('/')}".rstrip("/")
        super().__init__(root, run=run, tmproot=tmproot)


def _range_of(key: Key) -> tuple[str, int, int | None]:
    """Read a key, and which part of the object is asked for; Metaflow's own class serves, too."""
    if isinstance(key, str):
        return key, 0, None
    return key.key, max(key.offset or 0, 0), key.length


def _all_there(found: list[StoredObject]) -> list[StoredObject]:
    gone = [one for one in found if not one.exists]
    if gone:
        what = "is no such object" if len(gone) == 1 else f"are no such objects, {len(gone)} of {len(found)}"
        raise NotFound(
            f"there {what}",
            where=", ".join(one.url for one in gone[:5]) + (", ..." if len(gone) > 5 else ""),
            mend="look at the keys, or ask with return_missing=True.",
        )
    return found
