"""Named values to blobs and records, and back.

A value of 256 KiB and more is a blob of its own. The smaller values of one save lie one
after another in blobs of up to 16 MiB, so that a task of many small values writes one file.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from airloom.digests import Digest, digest_of
from airloom.errors import CorruptBlob, NotFound, StoreError
from airloom.store.blobs import LARGEST_PACK, Blobs
from airloom.store.records import ArtifactRecord
from airloom.store.serializers import Encoded, Loaded, decode, encode

if TYPE_CHECKING:
    from typing_extensions import Buffer

LARGE = 256 << 10

SIDE_BY_SIDE = 16
"""So many values are read at once."""


def save(blobs: Blobs, values: Mapping[str, object]) -> dict[str, ArtifactRecord]:
    """Save values; one record a name, in the order of the names.

    Raises
    ------
    ArtifactError
        When a value cannot be saved.
    StoreError
        When the store cannot take the bytes.
    """
    records: dict[str, ArtifactRecord] = {}
    small: dict[str, Encoded] = {}
    waiting = 0
    for name, value in values.items():
        encoded = encode(name, value)
        if encoded.size >= LARGE:
            records[name] = _record(encoded, blobs.put(encoded.parts))
            continue
        if waiting + encoded.size > LARGEST_PACK:
            records.update(_save_pack(blobs, small))
            small, waiting = {}, 0
        small[name] = encoded
        waiting += encoded.size
    if small:
        records.update(_save_pack(blobs, small))
    return {name: records[name] for name in values}


def load(blobs: Blobs, record: ArtifactRecord, where: str, fetched: memoryview | None = None) -> Loaded:
    """Load a value.

    Parameters
    ----------
    where
        Pathspec of the artifact, for the errors.
    fetched
        Its stored bytes, where `fetch` has read them already.

    Raises
    ------
    NotFound
        When its blob is gone.
    CorruptBlob
        When its bytes are not the ones that were saved.
    ArtifactError
        When its class or a package of it is missing.
    """
    at_hand = [] if fetched is None else [fetched]

    def stored() -> memoryview:
        # Once: who asks again wants the bytes as they were saved, and the value may have changed these.
        return at_hand.pop() if at_hand else _fetch(blobs, record)

    try:
        return decode(record, stored, where)
    except (NotFound, CorruptBlob) as error:
        raise type(error)(error.what, where=f"{where} ({error.where})", mend=error.mend) from error


def fetch(blobs: Blobs, records: Mapping[str, ArtifactRecord]) -> dict[str, memoryview]:
    """Read the stored bytes of several values at once, side by side; leave out what cannot be read.

    For a store behind a network: `load` says what is wrong with those that are left out.
    """

    def stored(record: ArtifactRecord) -> memoryview | None:
        with suppress(StoreError):
            return _fetch(blobs, record)
        return None

    with ThreadPoolExecutor(min(len(records), SIDE_BY_SIDE) or 1) as pool:
        found = dict(zip(records, pool.map(stored, records.values()), strict=True))
    return {name: data for name, data in found.items() if data is not None}


def _fetch(blobs: Blobs, record: ArtifactRecord) -> memoryview:
    if record.pack is None:
        return blobs.get(record.digest, record.size)
    return blobs.get_slice(record.pack, record.offset, record.size, record.digest)


def _save_pack(blobs: Blobs, small: Mapping[str, Encoded]) -> dict[str, ArtifactRecord]:
    if len(small) == 1:
        ((name, encoded),) = small.items()
        return {name: _record(encoded, blobs.put(encoded.parts))}
    offsets: dict[Digest, int] = {}
    digests: dict[str, Digest] = {}
    packed: list[Buffer] = []
    end = 0
    for name, encoded in small.items():
        digest = digests[name] = digest_of(encoded.parts)
        if digest not in offsets:
            offsets[digest] = end
            packed += encoded.parts
            end += encoded.size
    pack = blobs.put([b"".join(packed)])
    return {
        name: _record(encoded, digests[name], pack, offsets[digests[name]]) for name, encoded in small.items()
    }


def _record(encoded: Encoded, digest: Digest, pack: Digest | None = None, offset: int = 0) -> ArtifactRecord:
    return ArtifactRecord(
        digest=digest,
        size=encoded.size,
        type=encoded.type,
        serializer=encoded.serializer,
        compression=encoded.compression,
        preview=encoded.preview,
        pack=pack,
        offset=offset,
    )
