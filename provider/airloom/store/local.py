"""Bytes by key in a folder of a file system that has hard links.

::

    <root>/.tmp/<unique>     a file that is being written; never a key
    <root>/<key>             complete, always

An object is written to its end beside the keys and then moved or linked to its own, which the
system does at once: a reader sees all of it or nothing, and one of racing creators wins.
"""

# Every task goes through here, and a function of os takes half the time of a Path's method.
# ruff: noqa: PTH100, PTH103, PTH106, PTH108, PTH110, PTH112, PTH116, PTH120

from __future__ import annotations

import errno
import mmap
import os
import stat
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from airloom.errors import NotFound, StoreError, StoreUnavailable
from airloom.settings import variable
from airloom.store.objects import Entries, Entry, Names, check_key, flat, missing, total

if TYPE_CHECKING:
    from typing_extensions import Buffer

# The class has a method called list, which hides the type from its annotations.
_Entries: TypeAlias = "list[tuple[str, bool]]"

_CHUNK = 8 << 20
_AT_ONCE = 1 << 20
_RESERVED = 16 << 20
# A map keeps a file descriptor open, and a process may have 1024 of them by default.
_MOST_MAPS = 256
_TRIES = 100


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
        # Folders whose own names are on the disk, for sure.
        self._lasting: set[str] = set()

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
        if total(parts) >= _AT_ONCE:
            return self._put_while_named(parts, name)
        key = name()
        if self.refresh(key, total(parts)):
            return False
        if self._size(key) is None:
            return self.put_if_absent(key, parts)
        self.put(key, parts)
        return True

    def refresh(self, key: str, size: int) -> bool:
        path = self._path(key)
        with self._told(key, "refreshed"):
            try:
                os.utime(path)
                return os.stat(path).st_size == size
            except (FileNotFoundError, PermissionError):
                # Another user's file: put again, it is one of this user's.
                return False

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
                found = os.fstat(fd)
                if stat.S_ISDIR(found.st_mode):
                    raise missing(path)
                if not found.st_size:
                    return memoryview(bytearray())
                mapped = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
            except OSError as error:
                # Some network and container file systems map no files.
                if error.errno not in (errno.ENODEV, errno.EMFILE):
                    raise
                return memoryview(bytearray(self.get(key)))
            finally:
                os.close(fd)
        self._maps.add(mapped)
        return memoryview(mapped)

    def exists(self, key: str) -> bool:
        return self._size(key) is not None

    def size(self, key: str) -> int:
        return self.entry(key).size

    def entry(self, key: str) -> Entry:
        path = self._path(key)
        with self._told(key, "read"):
            found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise missing(path)
        return Entry(key, found.st_size, found.st_mtime)

    def list(self, prefix: str = "", start_after: str = "") -> Iterator[str]:
        for name, is_folder in self._entries(prefix):
            key = f"{prefix}/{name}" if prefix else name
            if not is_folder:
                if key > start_after:
                    yield key
            elif f"{key}/" > start_after or start_after.startswith(f"{key}/"):
                yield from self.list(key, start_after)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        for key in self.list(prefix):
            with self._told(key, "listed"), suppress(FileNotFoundError):
                found = os.stat(self._path(key))
                yield Entry(key, found.st_size, found.st_mtime)

    def children(self, prefix: str = "") -> Names:
        return sorted(name for name, _ in self._entries(prefix))

    def folder(self, prefix: str = "") -> tuple[Entries, Names]:
        found = self._entries(prefix)
        below = f"{prefix}/" if prefix else ""
        objects: Entries = []
        for name, is_folder in found:
            if not is_folder:
                with suppress(NotFound):  # deleted since
                    objects.append(self.entry(f"{below}{name}"))
        return objects, [name for name, is_folder in found if is_folder]

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._told(key, "deleted"), suppress(FileNotFoundError):
            os.unlink(path)
        # A folder without a file is no key, but `children` would name it.
        with suppress(OSError):
            while (path := os.path.dirname(path)) != self._root:
                os.rmdir(path)

    def delete_many(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.delete(key)

    def tidy(self, before: float) -> int:
        size = 0
        with self._told(".tmp", "tidied"), suppress(FileNotFoundError), os.scandir(self._tmp) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    if found.st_mtime < before:
                        os.unlink(entry.path)
                        size += found.st_size
        return size

    def _path(self, key: str) -> str:
        return f"{self._root}/{check_key(key)}"

    def _size(self, key: str) -> int | None:
        try:
            return self.size(key)
        except NotFound:
            return None

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
                if (size := total(parts)) >= _RESERVED:
                    _reserve(fd, size)
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
        _discard(staged)
        return True

    def _move(self, move: Callable[[str, str], None], staged: str, path: str) -> None:
        try:
            for _ in range(_TRIES):
                with suppress(FileNotFoundError):
                    move(staged, path)
                    break
                # Whoever deletes the last file of a folder takes it away, perhaps right now.
                self._lasting.clear()
                with suppress(FileNotFoundError):
                    os.makedirs(os.path.dirname(path), exist_ok=True)
            else:
                move(staged, path)
            if self._fsync:
                self._sync(os.path.dirname(path))
        except BaseException:
            _discard(staged)
            raise

    def _sync(self, folder: str) -> None:
        """Force a folder's list of names to the disk, and once those of the folders above it."""
        _sync_folder(folder)
        while folder not in self._lasting and len(folder) > len(self._root):
            above = os.path.dirname(folder)
            _sync_folder(above)
            self._lasting.add(folder)
            folder = above

    def _put_while_named(self, parts: Sequence[Buffer], name: Callable[[], str]) -> bool:
        from concurrent.futures import ThreadPoolExecutor

        stop = threading.Event()
        with self._told("a blob", "written"), ThreadPoolExecutor(1) as pool:
            writing = pool.submit(self._stage, parts, stop)
            try:
                key = name()
                path = self._path(key)
                if not self.refresh(key, total(parts)):
                    if self._size(key) is None:
                        return self._create(writing.result(), path)
                    self._move(os.replace, writing.result(), path)
                    return True
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


class _Stopped(Exception):
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


def _reserve(fd: int, size: int) -> None:
    """Ask for all of a file's room at once.

    The system then has less to do for each page, and a full disk is told before anything is
    written. Not by os.posix_fallocate: where a file system cannot do it, that writes to each block.
    """
    import ctypes

    reserve = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if reserve is None or ctypes.sizeof(ctypes.c_void_p) < 8:
        return
    reserve.argtypes = ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64
    if reserve(fd, 0, 0, size) and (number := ctypes.get_errno()) in _FULL:
        raise OSError(number, os.strerror(number))


def _discard(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG
_MENDS: dict[int, str] = {
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f), or choose another file system",
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
    if done == "read" and isinstance(error, (FileNotFoundError, IsADirectoryError)):
        return missing(where)
    number = error.errno or 0
    kind = StoreUnavailable if number in _PASSING else StoreError
    mend = _MENDS.get(number, "look at the disk or mount that holds the folder")
    return kind(
        f"the store's object could not be {done}: {error.strerror or error}",
        where=where,
        mend=f"{mend}; {variable('datastore_root')} names the store.",
    )
