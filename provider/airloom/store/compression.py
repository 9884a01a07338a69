"""Bytes made smaller by zstd, in frames that threads take on side by side.

Forms, by the name in the record of a value:

- ``zstd``: one frame, which tells its plain length;
- ``zstd-frames``: what follows, which any zstd decoder reads, too::

      u32       0x184D2A5B, a frame that decoders skip, numbers in little-endian order
      u32       length of the rest of this head
      u64       plain length of all
      u32       plain length of each frame but the last
      n x u32   stored length of each frame
      the frames, each of which tells its plain length

The digest of a blob is that of its stored bytes, and is checked before anything is
decompressed: so no second checksum is kept.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from airloom.errors import ArtifactError, CorruptBlob
from airloom.store.objects import flat, total

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")
R = TypeVar("R")

ZSTD, FRAMES = "zstd", "zstd-frames"

SMALLEST = 4 << 10
"""Fewer bytes than these are never compressed."""

_LEAST_RATIO = 1.2
_SAMPLES, _SAMPLE = 16, 16 << 10
_LEVEL = 1

# What stays in a core's cache between being decompressed and being compared.
_FRAME = 2 << 20
_SKIPPED = 0x184D2A5B
_HEAD = struct.Struct("<IIQI")
_HUGE = 4 << 20
_MOST_THREADS = 8


def compressed(parts: Sequence[Buffer]) -> tuple[str, list[bytes]] | None:
    """Compress bytes that shrink enough; None for others, of which mostly a sample was tried.

    Returns
    -------
    tuple or None
        The form's name, and the stored bytes in parts.
    """
    size = total(parts)
    if size < SMALLEST:
        return None
    import zstandard

    views = [flat(part) for part in parts]
    if size > _SAMPLES * _SAMPLE:
        sample = _sample(views, size)
        if len(zstandard.ZstdCompressor(level=_LEVEL).compress(sample)) * _LEAST_RATIO > len(sample):
            return None
    if size <= _FRAME:
        one = zstandard.ZstdCompressor(level=_LEVEL).compress(_joined(views))
        return (ZSTD, [one]) if len(one) * _LEAST_RATIO <= size else None

    def smaller(pieces: list[memoryview]) -> bytes:
        return zstandard.ZstdCompressor(level=_LEVEL).compress(_joined(pieces))

    frames = _side_by_side(smaller, list(_cut(views)))
    lengths = [len(frame) for frame in frames]
    if sum(lengths) * _LEAST_RATIO > size:
        return None
    rest = _HEAD.size - 8 + 4 * len(lengths)
    head = _HEAD.pack(_SKIPPED, rest, size, _FRAME) + struct.pack(f"<{len(lengths)}I", *lengths)
    return FRAMES, [head, *frames]


def decompressed(form: str, stored: memoryview) -> memoryview:
    """Give the plain bytes as private, writable memory.

    Raises
    ------
    CorruptBlob
        When the bytes have not the form.
    ArtifactError
        When a newer version of Airloom compressed them, in a form that this one cannot read.
    """
    pieces, out = _opened(form, stored)
    _side_by_side(lambda piece: _fill(*piece), [(frame, out[start:end]) for frame, start, end in pieces])
    return out


def is_what(form: str, stored: memoryview, plain: memoryview) -> bool:
    """Say whether these are the plain bytes of what is stored, without room for a second copy."""
    pieces, _ = _opened(form, stored, room=False)
    if (pieces[-1][2] if pieces else 0) != len(plain):
        return False

    def same(piece: tuple[memoryview, int, int]) -> bool:
        frame, start, end = piece
        scratch = bytearray(end - start)
        with memoryview(scratch) as out:
            _fill(frame, out)
        # A bytearray in front compares whole memory; a memoryview would compare byte by byte.
        return scratch == plain[start:end]

    return all(_side_by_side(same, pieces))


_Pieces = list[tuple[memoryview, int, int]]


def _opened(form: str, stored: memoryview, room: bool = True) -> tuple[_Pieces, memoryview]:
    """Frames with the places of their plain bytes, and memory for all of these."""
    if form == ZSTD:
        pieces = _of_one_frame(stored)
    elif form == FRAMES:
        pieces = _of_frames(stored)
    else:
        raise ArtifactError(
            f"a saved value is compressed in the form {form!r}, which this version of Airloom does not know",
            where="its record",
            mend="it was written by a newer Airloom: use that version, or a later one.",
        )
    size = pieces[-1][2] if pieces else 0
    try:
        return pieces, _room(size if room else 0)
    except (OverflowError, OSError) as error:
        raise MemoryError(f"no room for a value of {size} bytes") from error


def _of_one_frame(stored: memoryview) -> _Pieces:
    import zstandard

    try:
        size = zstandard.get_frame_parameters(stored[:32]).content_size
    except zstandard.ZstdError as error:
        raise malformed(f"cannot be decompressed: {error}") from error
    if size >= 2**63:
        raise malformed("does not tell its length")
    return [(stored, 0, size)]


def _of_frames(stored: memoryview) -> _Pieces:
    try:
        magic, rest, size, step = _HEAD.unpack_from(stored)
        lengths = struct.unpack_from(f"<{(rest - (_HEAD.size - 8)) // 4}I", stored, _HEAD.size)
    except struct.error:
        magic, rest, size, step, lengths = 0, 0, 0, 1, ()
    at = 8 + rest
    if magic != _SKIPPED or not step or len(lengths) != -(-size // step) or at + sum(lengths) != len(stored):
        raise malformed("has not the form of zstd-frames")
    pieces = []
    for number, length in enumerate(lengths):
        pieces.append((stored[at : at + length], number * step, min((number + 1) * step, size)))
        at += length
    return pieces


def _fill(frame: memoryview, out: memoryview) -> None:
    import zstandard

    filled = 0
    try:
        if zstandard.get_frame_parameters(frame[:32]).content_size != len(out):
            raise malformed("has a frame of another length")
        with zstandard.ZstdDecompressor().stream_reader(frame) as reader:
            while filled < len(out) and (count := reader.readinto(out[filled:])):
                filled += count
    except zstandard.ZstdError as error:
        raise malformed(f"cannot be decompressed: {error}") from error
    if filled < len(out):
        raise malformed("is cut off")


def _room(size: int) -> memoryview:
    """Writable memory; for much of it from the system, in large pages and zeroed by nobody twice."""
    if size < _HUGE:
        return memoryview(bytearray(size))
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # A kernel may have no large pages.
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


def _side_by_side(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    threads = min(len(items), os.cpu_count() or 1, _MOST_THREADS)
    if threads < 2:
        return [work(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def _cut(views: list[memoryview]) -> Iterator[list[memoryview]]:
    """The bytes of all views in pieces of one frame each."""
    pieces: list[memoryview] = []
    left = _FRAME
    for view in views:
        start = 0
        while start < len(view):
            piece = view[start : start + left]
            pieces.append(piece)
            start += len(piece)
            left -= len(piece)
            if not left:
                yield pieces
                pieces, left = [], _FRAME
    if pieces:
        yield pieces


def _joined(pieces: list[memoryview]) -> bytes | memoryview:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _sample(views: list[memoryview], size: int) -> bytes:
    step = size // _SAMPLES
    pieces: list[memoryview] = []
    start = 0
    for view in views:
        at = -start % step
        while at < len(view):
            pieces.append(view[at : at + _SAMPLE])
            at += step
        start += len(view)
    return b"".join(pieces)


def malformed(what: str) -> CorruptBlob:
    """Make the error for bytes that are no value."""
    return CorruptBlob(
        f"a saved value {what}",
        where="its blob",
        mend="delete the blob, and run the task that made it again.",
    )


def compress(data: bytes) -> bytes:
    """Compress text such as a log."""
    import zstandard

    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(data)


def decompress(data: bytes) -> bytes:
    """Give back what `compress` made small.

    Raises
    ------
    ValueError
        When the bytes are not what `compress` gave.
    """
    import zstandard

    # No digest vouches for these bytes: the length that they claim must reserve no memory.
    reader = zstandard.ZstdDecompressor().decompressobj()
    try:
        out = reader.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if not reader.eof:
        raise ValueError("the bytes end too soon")
    return out


def last_bytes(data: bytes, most: int) -> tuple[bytes, bool]:
    """Give the end of what `compress` made small, in memory of that order; whether it is all.

    Raises
    ------
    ValueError
        When the bytes are not what `compress` gave.
    """
    import zstandard

    tail, length = b"", 0
    try:
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            while piece := reader.read(max(most, 1 << 16)):
                length += len(piece)
                tail = (tail + piece)[-most:]
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    return tail, length <= most
