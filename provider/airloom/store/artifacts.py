"""Named values to blobs and records, and back.

A value of 256 KiB and more is a blob of its own. The smaller values of one save lie one
after another in one blob, so that a task of many small values writes one file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airloom.digests import Digest, digest_of
from airloom.errors import CorruptBlob, NotFound
from airloom.store.blobs import Blobs
from airloom.store.records import ArtifactRecord
from airloom.store.serializers import Encoded, Loaded, decode, encode

if TYPE_CHECKING:
    from typing_extensions import Buffer

LARGE = 256 << 10


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
    for name, value in values.items():
        encoded = encode(name, value)
        if encoded.size < LARGE:
            small[name] = encoded
        else:
            records[name] = _record(encoded, blobs.put(encoded.parts))
    if small:
        records.update(_save_pack(blobs, small))
    return {name: records[name] for name in values}


def load(blobs: Blobs, record: ArtifactRecord, where: str) -> Loaded:
    """Load a value.

    Parameters
    ----------
    where
        Pathspec of the artifact, for the errors.

    Raises
    ------
    NotFound
        When its blob is gone.
    CorruptBlob
        When its bytes are not the ones that were saved.
    ArtifactError
        When its class or a package of it is missing.
    """
    try:
        return decode(record, lambda: _fetch(blobs, record), where)
    except (NotFound, CorruptBlob) as error:
        raise type(error)(error.what, where=f"{where} ({error.where})", mend=error.mend) from error


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
