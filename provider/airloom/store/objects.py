"""Bytes by key: the one protocol that every kind of store fulfils, and the kinds of this version.

A key is a relative path of one or more segments, ``flows/Train/runs/7/run.json``. No segment
is empty, begins with a dot, or holds a slash, a backslash or a NUL, so no key leaves the root,
and the names with a dot in front are free for the store's own use::

    <root>/.tmp/<unique>     a file that is being written; never a key
    <root>/<key>             complete, always
"""

# Every task goes through here, and a function of os takes half the time of a Path's method.
# ruff: noqa: PTH100, PTH103, PTH108, PTH110, PTH112, PTH116, PTH120

from __future__ import annotations

import errno
import mmap
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from airloom.errors import NotFound, SettingsError, StoreError, StoreUnavailable
from airloom.settings import Settings, variable

if TYPE_CHECKING:
    from typing_extensions import Buffer

# The classes have a method called list, which hides the type from their annotations.
Names: TypeAlias = "list[str]"
_Entries: TypeAlias = "list[tuple[str, bool]]"

_CHUNK = 8 << 20
_AT_ONCE = 1 << 20
# A map keeps a file descriptor open, and a process may have 1024 of them by default.
_MOST_MAPS = 256

_KEY = re.compile(r"[^./\\\0][^/\\\0]*(/[^./\\\0][^/\\\0]*)*\Z")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


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
        name: then the bytes are not written, or no longer.
        """

    def get(self, key: str) -> bytes:
        """Read an object; NotFound when there is none."""

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """Read up to ``length`` bytes from ``offset``; fewer where the object ends."""

    def map(self, key: str) -> memoryview:
        """Give an object's bytes as private, writable memory: changes reach no one else."""

    def exists(self, key: str) -> bool: ...

    def size(self, key: str) -> int:
        """Count an object's bytes; NotFound when there is none."""

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        """Give the keys below the folder ``prefix`` lazily, sorted, those after ``start_after``."""

    def children(self, prefix: str = "") -> Names:
        """Give the names directly below the folder ``prefix``, sorted."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""


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


def flat(part: Buffer) -> memoryview:
    """View C-contiguous memory as bytes, without a copy."""
    view = memoryview(part)
    if view.ndim == 1 and view.format == "B":
        return view
    return view.cast("B") if view.nbytes else memoryview(b"")


def total(parts: Sequence[Buffer]) -> int:
    """Count the bytes of all parts."""
    return sum(memoryview(part).nbytes for part in parts)


class LocalObjects:
    """Files in a folder, which is made when the first object is written.

    Parameters
    ----------
    root
        The folder.
    fsync
        Whether to force every file, and its name, to the disk before going on.
    """

    is_local: ClassVar[bool] = True

    def __init__(self, root: Path, fsync: bool = False) -> None:
        # Absolute: the user's code may change the working folder.
        self._root = os.path.abspath(root)
        self._tmp = f"{self._root}/.tmp"
        self._fsync = fsync
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    @property
    def root(self) -> str:
        return self._root

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        path = self._path(key)
        with self._told(key, "written"):
            staged = self._stage(parts)
            self._move(os.replace, staged, path)

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        path = self._path(key)
        with self._told(key, "written"):
            return self._create(self._stage(parts), path)

    def put_named(self, parts: Sequence[Buffer], name: Callable[[], str]) -> bool:
        if total(parts) < _AT_ONCE:
            key = name()
            return not self.exists(key) and self.put_if_absent(key, parts)
        return self._put_while_named(parts, name)

    def get(self, key: str) -> bytes:
        return self._read(key, 0, None)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        return self._read(key, offset, length)

    def map(self, key: str) -> memoryview:
        if len(self._maps) >= _MOST_MAPS:
            return memoryview(bytearray(self.get(key)))
        path = self._path(key)
        with self._told(key, "read"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if not os.fstat(fd).st_size:
                    return memoryview(bytearray())
                mapped = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
            finally:
                os.close(fd)
        self._maps.add(mapped)
        return memoryview(mapped)

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except NotFound:
            return False
        return True

    def size(self, key: str) -> int:
        path = self._path(key)
        with self._told(key, "read"):
            return os.stat(path).st_size

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        for name, is_folder in self._entries(prefix):
            key = f"{prefix}/{name}" if prefix else name
            if not is_folder:
                if key > start_after:
                    yield key
            elif f"{key}/" > start_after or start_after.startswith(f"{key}/"):
                yield from self.list(key, start_after)

    def children(self, prefix: str = "") -> Names:
        return sorted(name for name, _ in self._entries(prefix))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._told(key, "deleted"), suppress(FileNotFoundError):
            os.unlink(path)

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_key(key)}"

    def _read(self, key: str, offset: int, length: int | None) -> bytes:
        path = self._path(key)
        with self._told(key, "read"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                left = max(0, os.fstat(fd).st_size - offset)
                left = left if length is None else min(left, length)
                pieces = []
                # One read takes at most 2 GiB on Linux.
                while left and (piece := os.pread(fd, left, offset)):
                    pieces.append(piece)
                    offset += len(piece)
                    left -= len(piece)
            finally:
                os.close(fd)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _entries(self, prefix: str) -> _Entries:
        path = self._path(prefix) if prefix else self._root
        with self._told(prefix, "listed"):
            try:
                with os.scandir(path) as entries:
                    found = [(e.name, e.is_dir()) for e in entries if not e.name.startswith(".")]
            except FileNotFoundError:
                return []
            except NotADirectoryError:
                if prefix and os.path.isdir(self._root):
                    return []
                raise
        # As keys sort: "a-b" stands before "a/b", although "a" stands before "a-b".
        return sorted(found, key=lambda entry: f"{entry[0]}/" if entry[1] else entry[0])

    def _stage(self, parts: Sequence[Buffer], stop: threading.Event | None = None) -> str:
        # Unique across the hosts that share the folder, too.
        path = f"{self._tmp}/{os.urandom(12).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o666)
        except FileNotFoundError:
            os.makedirs(self._tmp, exist_ok=True)
            fd = os.open(path, flags, 0o666)
        try:
            try:
                _write(fd, parts, stop)
                if self._fsync:
                    os.fsync(fd)
            finally:
                os.close(fd)
        except BaseException:
            _discard(path)
            raise
        return path

    def _create(self, staged: str, path: str) -> bool:
        try:
            self._move(os.link, staged, path)
        except FileExistsError:
            if os.path.exists(path):
                return False
            raise
        os.unlink(staged)
        return True

    def _move(self, move: Callable[[str, str], None], staged: str, path: str) -> None:
        try:
            try:
                move(staged, path)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                move(staged, path)
            if self._fsync:
                _sync_folder(os.path.dirname(path))
        except BaseException:
            _discard(staged)
            raise

    def _put_while_named(self, parts: Sequence[Buffer], name: Callable[[], str]) -> bool:
        from concurrent.futures import ThreadPoolExecutor

        stop = threading.Event()
        with self._told("a blob", "written"), ThreadPoolExecutor(1) as pool:
            writing = pool.submit(self._stage, parts, stop)
            try:
                key = name()
                path = self._path(key)
                if not self.exists(key):
                    return self._create(writing.result(), path)
            except BaseException:
                _abandon(writing.result, stop)
                raise
            _abandon(writing.result, stop)
            return False

    @contextmanager
    def _told(self, key: str, done: str) -> Iterator[None]:
        """Turn the system's errors into ours; the one place that knows their numbers."""
        where = f"{self._root}/{key}"
        try:
            yield
        except OSError as error:
            raise _translated(error, where, done) from error


class MemoryObjects:
    """Objects in this process's memory, by name: for tests."""

    is_local: ClassVar[bool] = False
    _spaces: ClassVar[dict[str, dict[str, bytes]]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, name: str) -> None:
        self._name = name
        self._held = self._spaces.setdefault(name, {})

    @property
    def root(self) -> str:
        return f"memory://{self._name}"

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        self._held[check_key(key)] = b"".join(parts)

    def put_if_absent(self, key: str, parts: Sequence[Buffer]) -> bool:
        with self._lock:
            if check_key(key) in self._held:
                return False
            self._held[key] = b"".join(parts)
            return True

    def put_named(self, parts: Sequence[Buffer], name: Callable[[], str]) -> bool:
        return self.put_if_absent(name(), parts)

    def get(self, key: str) -> bytes:
        try:
            return self._held[check_key(key)]
        except KeyError:
            raise _missing(f"{self.root}/{key}") from None

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        return self.get(key)[offset : offset + length]

    def map(self, key: str) -> memoryview:
        return memoryview(bytearray(self.get(key)))

    def exists(self, key: str) -> bool:
        return check_key(key) in self._held

    def size(self, key: str) -> int:
        return len(self.get(key))

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        folder = f"{check_key(prefix)}/" if prefix else ""
        yield from sorted(key for key in self._held if key.startswith(folder) and key > start_after)

    def children(self, prefix: str = "") -> Names:
        skipped = len(prefix) + 1 if prefix else 0
        return sorted({key[skipped:].split("/", 1)[0] for key in self.list(prefix)})

    def delete(self, key: str) -> None:
        self._held.pop(check_key(key), None)


def open_objects(url: str, settings: Settings) -> Objects:
    """Open a store by a folder's path, a ``file://`` URL, or ``memory://name``.

    Raises
    ------
    SettingsError
        When the URL is of a kind that this version does not offer.
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
        raise SettingsError(
            f"{url!r} is a remote object store, and this version of Airloom offers none",
            where=variable("datastore_root"),
            mend="write a folder, for several machines one that all of them mount, e.g. /mnt/shared/airloom.",
        )
    if not path:
        raise SettingsError(
            "the store has no folder", where=variable("datastore_root"), mend="write a folder, e.g. .airloom."
        )
    return LocalObjects(Path(path).expanduser(), fsync=settings.fsync == "true")


class _Stopped(Exception):  # noqa: N818 - no error: the bytes are there already
    pass


def _abandon(staged: Callable[[], str], stop: threading.Event) -> None:
    stop.set()
    with suppress(_Stopped, OSError):
        os.unlink(staged())


def _write(fd: int, parts: Sequence[Buffer], stop: threading.Event | None) -> None:
    views = [flat(part) for part in parts]
    if len(views) > 1 and total(views) <= _AT_ONCE:
        views = [memoryview(b"".join(views))]
    for view in views:
        for start in range(0, len(view), _CHUNK):
            if stop is not None and stop.is_set():
                raise _Stopped
            piece = view[start : start + _CHUNK]
            while piece:
                piece = piece[os.write(fd, piece) :]


def _discard(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_MENDS: dict[int, str] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room on the disk, or choose another folder"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "give this user the right to the folder"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file stands where a folder is needed: move it away"),
    errno.EISDIR: "a folder stands where a file is needed: move it away",
    errno.ENAMETOOLONG: "choose a shorter run id or a folder with a shorter path",
    **dict.fromkeys(
        (errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV), "choose a folder on one file system with hard links"
    ),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (ulimit -n)"),
}
_PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.EMFILE, errno.ENFILE)


def _translated(error: OSError, where: str, done: str) -> StoreError:
    if isinstance(error, FileNotFoundError):
        return _missing(where)
    number = error.errno or 0
    kind = StoreUnavailable if number in _PASSING else StoreError
    mend = _MENDS.get(number, "look at the disk or mount that holds the folder")
    return kind(
        f"the store's object could not be {done}: {error.strerror or error}",
        where=where,
        mend=f"{mend}; {variable('datastore_root')} names the store.",
    )


def _missing(where: str) -> NotFound:
    return NotFound(
        "the store has no such object",
        where=where,
        mend=f"check the name, and that {variable('datastore_root')} is the store that it was saved in.",
    )
