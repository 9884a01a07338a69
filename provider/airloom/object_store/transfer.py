"""Bytes between files and stores: many at once, with bounded memory."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TypeVar

from airloom.errors import NotFound, StoreError, StoreUnavailable
from airloom.object_store.places import Place

if TYPE_CHECKING:
    from typing_extensions import Buffer

A = TypeVar("A")
B = TypeVar("B")

PIECE = 4 << 20
"""Bytes that are in memory at once for one object on its way down."""

SIDE_BY_SIDE = 16
"""So many objects go at once; and so many pieces of large ones."""


def side_by_side(do: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """Do something for each item, on threads; the results in the order of the items.

    The first error ends it: what has not begun by then is not done.
    """
    every = list(items)
    if len(every) < 2:
        return [do(item) for item in every]
    with ThreadPoolExecutor(min(len(every), SIDE_BY_SIDE)) as pool:
        running = [pool.submit(do, item) for item in every]
        try:
            return [one.result() for one in running]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def download(place: Place, path: str, offset: int = 0, length: int | None = None) -> int:
    """Write an object's bytes, or a part of them, to a file; return how many.

    Raises
    ------
    NotFound
        When there is no such object.
    StoreUnavailable
        When it was replaced by one of another length meanwhile.
    """
    with open(path, "wb") as file:
        if place.objects.is_local:
            # A map of the file that is there now: one that is put in its place meanwhile changes nothing.
            data = place.objects.map(place.key)
            end = len(data) if length is None else offset + length
            return _write(file, data[offset:end])
        if length is not None and length <= PIECE:
            return _write(file, place.objects.get_range(place.key, offset, length) if length else b"")
        first = place.objects.get_range(place.key, offset, PIECE)
        _write(file, first)
        if len(first) < PIECE:
            return len(first)
        left = place.objects.size(place.key) - offset
        wanted = left if length is None else min(left, length)

        def piece(start: int) -> None:
            size = min(PIECE, wanted - start)
            data = place.objects.get_range(place.key, offset + start, size)
            if len(data) != size:
                raise StoreUnavailable(
                    "the object was replaced while it was read", where=place.url, mend="read it again."
                )
            view = memoryview(data)
            while view:
                done = os.pwrite(file.fileno(), view, start)
                start, view = start + done, view[done:]

        file.flush()
        side_by_side(piece, range(PIECE, wanted, PIECE))
        return wanted


def upload(place: Place, data: Buffer, *, overwrite: bool) -> None:
    """Put bytes at a place; unless ``overwrite``, only where nothing is."""
    if overwrite:
        place.objects.put(place.key, [data])
    elif place.objects.is_local:
        place.objects.put_if_absent(place.key, [data])
    elif not place.objects.exists(place.key):
        place.objects.put(place.key, [data])


@contextmanager
def bytes_of(value: object, key: str) -> Iterator[Buffer]:
    """View what somebody wants to put as bytes: text as UTF-8, an open file by what it holds.

    Raises
    ------
    StoreError
        When it is none of these.
    """
    if isinstance(value, str):
        yield value.encode()
    elif isinstance(value, io.IOBase):
        with _bytes_of_stream(value, key) as data:
            yield data
    else:
        try:
            yield memoryview(value).cast("B") if memoryview(value).nbytes else b""  # type: ignore[arg-type]
        except TypeError:
            raise StoreError(
                f"a {type(value).__name__} cannot be put as bytes",
                where=key,
                mend="put text, bytes, an array in one piece, or an open file; other values are artifacts.",
            ) from None


@contextmanager
def bytes_of_file(path: str | os.PathLike[str]) -> Iterator[Buffer]:
    """View a file as bytes, without reading all of it into memory.

    Raises
    ------
    NotFound
        When there is no such file.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - as the store's own files
        raise NotFound("there is no such file", where=str(path), mend="look at its name.")
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
            yield view


@contextmanager
def _bytes_of_stream(stream: IO[Any] | io.IOBase, key: str) -> Iterator[Buffer]:
    if not stream.readable():
        raise StoreError("the file was not opened for reading", where=key, mend="open it with mode 'rb'.")
    data = stream.read()
    yield data.encode() if isinstance(data, str) else data


def _write(file: IO[bytes], data: Buffer) -> int:
    view = memoryview(data)
    for start in range(0, len(view), PIECE):
        file.write(view[start : start + PIECE])
    return len(view)
