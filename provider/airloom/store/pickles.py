"""Any value to bytes and back by pickle; the only module that knows pickle and cloudpickle.

Form of ``pickle/2``, numbers in little-endian order. Part 0 is the pickle, protocol 5; the
others are the buffers that stand outside of it: the memory of arrays::

    8 bytes   b"ALpickl2"
    u64       n, the number of parts
    n x       u64 plain length, u64 stored length, u64 form: 0 as it is, 1 zstd, 2 zstd-frames
    each part, from the next multiple of 64 bytes on

So a memory map of the file is, without a copy, the memory of the arrays in it, and one array
that shrinks does not cost the others beside it that they are maps.

Form of ``pickle/1``, which is read and no longer written::

    8 bytes   b"ALpickl1"
    u64       n, the number of buffers
    u64       length of the pickle
    n x u64   length of each buffer
    the pickle
    each buffer, from the next multiple of 64 bytes on
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from mmap import mmap
from typing import TYPE_CHECKING, Any

from airloom.digests import Digest, digest_of
from airloom.store import compression, strings
from airloom.store.compression import malformed
from airloom.store.objects import flat, total

if TYPE_CHECKING:
    from types import ModuleType

    from typing_extensions import Buffer

NAME, OLD = "pickle/2", "pickle/1"

_MAGIC, _OLD_MAGIC = b"ALpickl2", b"ALpickl1"
_HEAD = struct.Struct("<8sQ")
_OLD_HEAD = struct.Struct("<8sQQ")
_ALIGNED = 64
_FORMS = ("", compression.ZSTD, compression.FRAMES)
# Shorter memory stays in the pickle: 64-byte steps and a length each would cost more than a copy.
_OUT_OF_BAND = 4 << 10
_SECOND_LOOK = 64 << 20

_by_value = {b"__main__"}


@dataclass(frozen=True, slots=True)
class _Part:
    stored: memoryview
    size: int
    form: str

    def plain(self) -> memoryview:
        return compression.decompressed(self.form, self.stored) if self.form else self.stored


def dump(value: object) -> list[Buffer]:
    """Give a value's stored bytes, in parts; whatever pickling raises comes through."""
    inband, buffers = pickled(value)
    lengths: list[int] = []
    stored: list[tuple[Sequence[Buffer], int]] = []
    for plain in (flat(inband), *buffers):
        smaller = compression.compressed([plain])
        form: str = smaller[0] if smaller else ""
        parts: Sequence[Buffer] = smaller[1] if smaller else [plain]
        size = total(parts)
        stored.append((parts, size))
        lengths += (plain.nbytes, size, _FORMS.index(form))
    out: list[Buffer] = [_HEAD.pack(_MAGIC, len(stored)) + struct.pack(f"<{len(lengths)}Q", *lengths)]
    end = memoryview(out[0]).nbytes
    for parts, size in stored:
        padding = -end % _ALIGNED
        out += (bytes(padding), *parts)
        end += padding + size
    return out


def load(
    name: str, data: memoryview, digest: str | None, again: Callable[[], memoryview]
) -> tuple[object, Callable[[object], bool]]:
    """Make a value of its stored bytes, and what tells whether another is the same still.

    Parameters
    ----------
    name
        `NAME` or `OLD`.
    data
        Private memory, which becomes the value's own.
    digest
        Digest of these bytes as they are stored; None where they were stored in another form.
    again
        Gives the same bytes once more, in other memory.

    Raises
    ------
    CorruptBlob
        When the bytes have not the form.
    """
    parts = _split(name, data)
    mapped = isinstance(data.obj, mmap) and digest is not None
    plain = [part.plain() for part in parts]
    # Memory that is no map keeps no trace of a change: its digests are taken before anyone can make one.
    digests = None if mapped else [digest_of([view]) for view in plain]
    sizes = [part.size for part in parts]
    value = unpickled(plain[0], plain[1:])
    # What was decompressed belongs to the value alone from here on.
    del plain

    def same(other: object) -> bool:
        try:
            inband, buffers = pickled(other)
        except MemoryError:
            raise
        except Exception:
            return False
        if [view.nbytes for view in buffers] != sizes[1:]:
            return False
        if not _is_the_pickle(inband) and not _is_second_look(inband, name, data.nbytes, again):
            return False
        if digests is not None:
            return digests[1:] == [digest_of([view]) for view in buffers]
        return _is_untouched(data, Digest(digest or ""), parts[1:], buffers)

    def _is_the_pickle(inband: bytes) -> bool:
        if digests is not None:
            return digest_of([inband]) == digests[0]
        if parts[0].form:
            return compression.is_what(parts[0].form, parts[0].stored, memoryview(inband))
        return bytes(parts[0].stored) == inband

    return value, same


def pickled(value: object) -> tuple[bytes, list[memoryview]]:
    """Pickle a value; the memory of large arrays in it stays where it is."""
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _OUT_OF_BAND:
            return True
        buffers.append(view)
        return False

    try:
        inband = _plainly(value, keep)
        # What plain pickle finds there is not to be found in the process that loads it.
        if not any(name in inband for name in _by_value):
            return inband, buffers
    except MemoryError:
        raise
    except Exception:
        cloudpickle = _cloudpickle()
        if cloudpickle is None:
            raise
    else:
        cloudpickle = _cloudpickle()
        if cloudpickle is None:
            return inband, buffers
    buffers.clear()
    return cloudpickle(value, protocol=5, buffer_callback=keep), buffers


def pickled_whole(value: object) -> bytes:
    """Pickle a value into one piece for ``pickle.load``; whatever pickling raises comes through."""
    cloudpickle = _cloudpickle()
    return pickle.dumps(value, protocol=5) if cloudpickle is None else cloudpickle(value, protocol=5)


def keep_whole(module: ModuleType) -> None:
    """Let functions and classes of a module travel with the values: it has no name that others know it by."""
    import cloudpickle  # type: ignore[import-untyped]

    cloudpickle.register_pickle_by_value(module)
    _by_value.add(module.__name__.encode())


def unpickled(inband: memoryview, buffers: list[memoryview]) -> object:
    """Give back what `pickled` took apart; runs whatever code the pickle names."""
    return pickle.loads(inband, buffers=buffers)  # noqa: S301 - who can write to the store is trusted


def _plainly(value: object, keep: Callable[[pickle.PickleBuffer], bool]) -> bytes:
    numpy: Any = sys.modules.get("numpy")
    # Also while numpy is still being imported by another thread.
    array = getattr(numpy, "ndarray", None)
    if array is None:
        return pickle.dumps(value, protocol=5, buffer_callback=keep)
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol=5, buffer_callback=keep)
    pickler.dispatch_table = copyreg.dispatch_table | {array: strings.reduced}
    pickler.dump(value)
    return out.getvalue()


def _cloudpickle() -> Callable[..., bytes] | None:
    try:
        import cloudpickle  # noqa: F401 - the next one needs it
    except ImportError:
        return None
    return _dumps()


@cache
def _dumps() -> Callable[..., bytes]:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        # It would take a file that is open for reading for its contents, and say nothing.
        dispatch_table = cloudpickle.Pickler.dispatch_table.new_child({io.TextIOWrapper: _stream})

    def dumps(value: object, **options: Any) -> bytes:
        out = io.BytesIO()
        Pickler(out, **options).dump(value)
        return out.getvalue()

    return dumps


def _stream(file: io.TextIOWrapper) -> tuple[Any, ...]:
    for name in ("stdout", "stderr"):
        if file is getattr(sys, name):
            return getattr, (sys, name)
    raise TypeError(f"cannot pickle {type(file).__name__!r} object")


def _split(name: str, data: memoryview) -> list[_Part]:
    parts = _parts(data) if name == NAME else _old_parts(data)
    if parts is None:
        raise malformed(f"has not the form of {name}")
    return parts


def _parts(data: memoryview) -> list[_Part] | None:
    try:
        magic, count = _HEAD.unpack_from(data)
        if magic != _MAGIC or not 0 < count <= len(data) // 24:
            return None
        numbers = struct.unpack_from(f"<{3 * count}Q", data, _HEAD.size)
    except struct.error:
        return None
    end = _HEAD.size + 24 * count
    parts = []
    for size, stored, form in zip(*(iter(numbers),) * 3, strict=True):
        end += -end % _ALIGNED
        if form >= len(_FORMS) or (not form and size != stored):
            return None
        parts.append(_Part(data[end : end + stored], size, _FORMS[form]))
        end += stored
    return parts if end == len(data) else None


def _old_parts(data: memoryview) -> list[_Part] | None:
    try:
        magic, count, length = _OLD_HEAD.unpack_from(data)
        if magic != _OLD_MAGIC or count > len(data) // 8:
            return None
        sizes = struct.unpack_from(f"<{count}Q", data, _OLD_HEAD.size)
    except struct.error:
        return None
    end = _OLD_HEAD.size + 8 * count
    parts = [_Part(data[end : end + length], length, "")]
    end += length
    for size in sizes:
        end += -end % _ALIGNED
        parts.append(_Part(data[end : end + size], size, ""))
        end += size
    return parts if end == len(data) else None


def _is_second_look(inband: bytes, name: str, size: int, again: Callable[[], memoryview]) -> bool:
    """Compare with the pickle of what was just loaded again.

    Loading shares what was not shared, e.g. equal keys of dicts, and then the pickle of
    the same value is another one than the stored.
    """
    if size > _SECOND_LOOK:
        return False
    try:
        plain = [part.plain() for part in _split(name, again())]
        return pickled(unpickled(plain[0], plain[1:]))[0] == inband
    except MemoryError:
        raise
    except Exception:
        return False


def _is_untouched(data: memoryview, digest: Digest, parts: list[_Part], buffers: list[memoryview]) -> bool:
    from airloom.store.pages import address_of, written

    spans = []
    for part, view in zip(parts, buffers, strict=True):
        if part.form:
            if not compression.is_what(part.form, part.stored, flat(view)):
                return False
        elif (span := (address_of(part.stored), part.size)) == (address_of(view), view.nbytes):
            spans.append(span)
        else:
            return False
    answer = written(data, spans)
    if answer is None:
        return digest_of([data]) == digest
    return not answer
