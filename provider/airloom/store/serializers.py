"""Values to bytes and back; the only module that knows pickle and cloudpickle.

A serializer has a name with a version, which the record of every value keeps:

- ``json/1``: None, bool, int, finite float, str, and small lists and dicts of these;
- ``bytes/1``: bytes, as they are;
- ``pickle/1``: all else, by pickle protocol 5, or by cloudpickle where that is needed.

Form of ``pickle/1``, numbers in little-endian order::

    8 bytes   b"ALpickl1"
    u64       n, the number of buffers
    u64       length of the pickle
    n x u64   length of each buffer
    the pickle
    each buffer (an array's memory), from the next multiple of 64 bytes on

So a memory map of the file is, without a copy, the memory of the arrays in it. Bytes that
shrink are compressed by zstd as a whole; the record says so.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import TYPE_CHECKING, Protocol

from airloom.digests import digest_of
from airloom.errors import ArtifactError, CorruptBlob
from airloom.store.objects import flat, total
from airloom.store.previews import class_name, preview, type_name
from airloom.store.records import ArtifactRecord
from airloom.store.unpicklable import explain

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SMALLEST_COMPRESSED = 4 << 10
_LEAST_RATIO = 1.2
_SAMPLES, _SAMPLE = 16, 16 << 10
_ZSTD_LEVEL = 1

_MAGIC = b"ALpickl1"
_HEAD = struct.Struct("<8sQQ")
_ALIGNED = 64
# Shorter memory stays in the pickle: 64-byte steps and a length each would cost more than a copy.
_OUT_OF_BAND = 4 << 10
_SECOND_LOOK = 64 << 20

_JSON_ITEMS, _JSON_DEPTH = 1000, 16
_CONSTANT = (type(None), bool, int, float, complex, str, bytes)


class Serializer(Protocol):
    """Values of some types to bytes and back."""

    name: str
    """Name and version, ``text/1``; bytes of this name can be read for ever."""

    def dump(self, value: object) -> Sequence[Buffer] | None:
        """Give the value's bytes in C-contiguous parts; None when it cannot keep this value exactly."""

    def load(self, data: memoryview) -> object:
        """Make the value of its bytes; the memory is private, and may become the value's own."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as it is stored."""

    parts: Sequence[Buffer]
    size: int
    type: str
    serializer: str
    compression: str
    preview: str


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A value that was loaded, and what is needed to tell whether it is still the same.

    ``record`` is the record that it was loaded by.
    """

    value: object
    record: ArtifactRecord
    same: Callable[[object], bool]

    def unchanged(self, value: object) -> bool:
        """Say whether a value is what was loaded, and so needs no saving.

        An unsure answer is False. Values that were changed in place are found out.
        """
        if value is self.value and type(value) in _CONSTANT:
            return True
        return self.same(value)


_by_name: dict[str, Serializer] = {}
_by_type: dict[str, Serializer] = {}


def register(serializer: Serializer, *types: type | str) -> None:
    """Let a serializer save the values of exactly these types, and load what it saved.

    Parameters
    ----------
    serializer
        Where its ``dump`` gives None, pickle saves the value.
    types
        Classes, or their qualified names where the package need not be imported.
    """
    _by_name[serializer.name] = serializer
    for cls in types:
        _by_type[cls if isinstance(cls, str) else class_name(cls)] = serializer


def encode(name: str, value: object) -> Encoded:
    """Turn a value into bytes.

    Parameters
    ----------
    name
        The artifact's name, for the error.

    Raises
    ------
    ArtifactError
        When the value, or something in it, cannot be saved.
    """
    kind = type_name(value)
    serializer = _by_type.get(kind)
    parts = serializer.dump(value) if serializer is not None else None
    if serializer is None or parts is None:
        serializer = _by_name["pickle/1"]
        try:
            parts = _container(*pickled(value))
        except MemoryError:
            raise
        except Exception as error:
            raise explain(name, value, error, pickled) from error
    size = total(parts)
    smaller = _compressed(parts, size)
    if smaller is not None:
        return Encoded(smaller, total(smaller), kind, serializer.name, "zstd", preview(value))
    return Encoded(parts, size, kind, serializer.name, "", preview(value))


def decode(record: ArtifactRecord, fetch: Callable[[], memoryview], where: str) -> Loaded:
    """Turn bytes back into the value.

    Parameters
    ----------
    record
        How the value was saved.
    fetch
        Reads the stored bytes, verified, into private memory.
    where
        Pathspec, for the error.

    Raises
    ------
    ArtifactError
        When the value's class or a package of it is missing, or its own code fails.
    CorruptBlob
        When the bytes have not the serializer's form.
    """
    serializer = _by_name.get(record.serializer)
    if serializer is None:
        raise ArtifactError(
            f"the value was saved by the serializer {record.serializer!r}, which is not known here",
            where=where,
            mend="import the module that registers it, or use the version of Airloom that saved it.",
        )
    stored = fetch()
    data = _decompressed(stored) if record.compression else stored
    try:
        if serializer is _by_name["pickle/1"]:
            return _loaded_pickle(record, data, fetch)
        before = digest_of([data])
        value = serializer.load(data)
    except (MemoryError, CorruptBlob):
        raise
    except Exception as error:
        raise _unloadable(record, where, error) from error

    def same(other: object) -> bool:
        if _by_type.get(type_name(other)) is not serializer:
            return False
        again = serializer.dump(other)
        return again is not None and digest_of(again) == before

    return Loaded(value, record, same)


def _unloadable(record: ArtifactRecord, where: str, error: Exception) -> ArtifactError:
    if isinstance(error, ModuleNotFoundError):
        mend = f"install the package of {error.name!r}, or put the run's code package on sys.path."
    elif isinstance(error, (ImportError, AttributeError)):
        mend = "use the code that saved it: the class or function is not where it was."
    else:
        mend = "use the code and the packages of the run that saved it."
    what = f"the value of type {record.type} cannot be loaded: {type(error).__name__}: {error}"
    return ArtifactError(what, where=where, mend=mend)


class _JsonSerializer:
    name = "json/1"

    def dump(self, value: object) -> Sequence[Buffer] | None:
        kind = type(value)
        if kind is int:
            # Python refuses to read very long numbers from text.
            return [str(value).encode()] if _is_short(value) else None
        if kind in (list, dict) and not _is_plain(value, 0, set()):
            return None
        try:
            # Lone surrogates would come back as other text: encoding refuses them.
            return [json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()]
        except ValueError:
            return None

    def load(self, data: memoryview) -> object:
        return json.loads(bytes(data))


def _is_short(value: object) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**64


def _is_plain(value: object, depth: int, seen: set[int]) -> bool:
    """Say whether JSON keeps a value exactly: exact types, no container twice, few items."""
    kind = type(value)
    if kind is int:
        return _is_short(value)
    if value is None or kind in (bool, float, str):
        return True
    if kind not in (list, dict) or depth > _JSON_DEPTH or id(value) in seen:
        return False
    seen.add(id(value))
    if len(value) > _JSON_ITEMS or len(seen) > _JSON_ITEMS:  # type: ignore[arg-type]
        return False
    if kind is list:
        return all(_is_plain(item, depth + 1, seen) for item in value)  # type: ignore[attr-defined]
    return all(
        type(key) is str and _is_plain(item, depth + 1, seen)
        for key, item in value.items()  # type: ignore[attr-defined]
    )


class _BytesSerializer:
    name = "bytes/1"

    def dump(self, value: object) -> Sequence[Buffer] | None:
        return [value] if isinstance(value, bytes) else None

    def load(self, data: memoryview) -> object:
        return bytes(data)


class _PickleSerializer:
    name = "pickle/1"

    def dump(self, value: object) -> Sequence[Buffer] | None:
        return _container(*pickled(value))

    def load(self, data: memoryview) -> object:
        inband, buffers = _split(data)
        return unpickled(inband, buffers)


register(_JsonSerializer(), type(None), bool, int, float, str, list, dict)
register(_BytesSerializer(), bytes)
register(_PickleSerializer())


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
        inband = pickle.dumps(value, protocol=5, buffer_callback=keep)
        # What plain pickle finds in __main__ is not to be found in the process that loads it.
        if b"__main__" not in inband:
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


def unpickled(inband: memoryview, buffers: list[memoryview]) -> object:
    """Give back what `pickled` took apart; runs whatever code the pickle names."""
    return pickle.loads(inband, buffers=buffers)  # noqa: S301 - who can write to the store is trusted


def _cloudpickle() -> Callable[..., bytes] | None:
    try:
        import cloudpickle  # type: ignore[import-untyped]
    except ImportError:
        return None
    return cloudpickle.dumps  # type: ignore[no-any-return]


def _container(inband: bytes, buffers: list[memoryview]) -> list[Buffer]:
    head = _HEAD.pack(_MAGIC, len(buffers), len(inband)) + struct.pack(
        f"<{len(buffers)}Q", *(view.nbytes for view in buffers)
    )
    parts: list[Buffer] = [head, inband]
    end = len(head) + len(inband)
    for view in buffers:
        padding = -end % _ALIGNED
        parts += (bytes(padding), view)
        end += padding + view.nbytes
    return parts


def _split(data: memoryview) -> tuple[memoryview, list[memoryview]]:
    try:
        magic, count, length = _HEAD.unpack_from(data)
        sizes = struct.unpack_from(f"<{count}Q", data, _HEAD.size) if count <= len(data) // 8 else ()
    except struct.error:
        magic, count, length, sizes = b"", 0, 0, ()
    end = _HEAD.size + 8 * len(sizes) + length
    inband = data[end - length : end]
    buffers = []
    for size in sizes:
        end += -end % _ALIGNED
        buffers.append(data[end : end + size])
        end += size
    if magic != _MAGIC or count != len(sizes) or end != len(data):
        raise _malformed("has not the form of pickle/1")
    return inband, buffers


def _loaded_pickle(record: ArtifactRecord, data: memoryview, fetch: Callable[[], memoryview]) -> Loaded:
    inband, buffers = _split(data)
    mapped = isinstance(data.obj, mmap)
    # Memory that is no map keeps no trace of a change: its digests are taken before anyone can make one.
    digests = None if mapped else [digest_of([view]) for view in buffers]
    pickle_digest = None if mapped else digest_of([inband])
    value = unpickled(inband, buffers)

    def same(other: object) -> bool:
        try:
            again, others = pickled(other)
        except MemoryError:
            raise
        except Exception:
            return False
        if [view.nbytes for view in others] != [view.nbytes for view in buffers]:
            return False
        if digest_of([again]) != (pickle_digest or digest_of([inband])) and not _is_second_look(
            again, record, fetch
        ):
            return False
        if digests is not None:
            return digests == [digest_of([view]) for view in others]
        return _is_untouched(record, data, buffers, others)

    return Loaded(value, record, same)


def _is_second_look(again: bytes, record: ArtifactRecord, fetch: Callable[[], memoryview]) -> bool:
    """Compare with the pickle of what was just loaded again.

    Loading shares what was not shared, e.g. equal keys of dicts, and then the pickle of
    the same value is another one than the stored.
    """
    if record.size > _SECOND_LOOK:
        return False
    try:
        stored = fetch()
        inband, buffers = _split(_decompressed(stored) if record.compression else stored)
        return pickled(unpickled(inband, buffers))[0] == again
    except MemoryError:
        raise
    except Exception:
        return False


def _is_untouched(
    record: ArtifactRecord, data: memoryview, buffers: list[memoryview], others: list[memoryview]
) -> bool:
    from airloom.store.pages import address_of, written

    spans = [(address_of(view), view.nbytes) for view in buffers]
    if spans != [(address_of(view), view.nbytes) for view in others]:
        return False
    answer = written(data, spans)
    if answer is None:
        return digest_of([data]) == record.digest
    return not answer


def _compressed(parts: Sequence[Buffer], size: int) -> list[bytes] | None:
    """Compress bytes that shrink enough; None for others, of which only a sample was tried."""
    if size < _SMALLEST_COMPRESSED:
        return None
    import zstandard

    if size > _SAMPLES * _SAMPLE:
        sample = _sample([flat(part) for part in parts], size)
        if len(zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(sample)) * _LEAST_RATIO > len(sample):
            return None
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj(size=size)
    out = [piece for part in parts if (piece := compressor.compress(flat(part)))]
    out.append(compressor.flush())
    return out if total(out) * _LEAST_RATIO <= size else None


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


def _decompressed(stored: memoryview) -> memoryview:
    import zstandard

    try:
        out = bytearray(zstandard.get_frame_parameters(stored[:32]).content_size)
        filled = 0
        with zstandard.ZstdDecompressor().stream_reader(stored) as reader, memoryview(out) as view:
            while filled < len(out) and (count := reader.readinto(view[filled:])):
                filled += count
    except (zstandard.ZstdError, OverflowError) as error:
        raise _malformed(f"cannot be decompressed: {error}") from error
    if filled < len(out):
        raise _malformed("is cut off")
    return memoryview(out)


def _malformed(what: str) -> CorruptBlob:
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
