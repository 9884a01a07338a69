"""Content-addressed blobs: immutable bytes under the digest that names them.

::

    blobs/<dd>/<digest>     dd: the first two hexadecimal digits, so that no folder grows too large

The digest stands in its whole form, ``b3:...``, escaped as every part of a key is:
``blobs/af/b3%3Aaf13...``. So the file says by which algorithm it is to be checked.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airloom.digests import PREFIX, Digest, digest_of, is_digest
from airloom.errors import CorruptBlob
from airloom.names import escape
from airloom.settings import Verify
from airloom.store.cache import CachedObjects
from airloom.store.objects import Objects
from airloom.store.sweeping import put_to_stay

if TYPE_CHECKING:
    from typing_extensions import Buffer

ALWAYS_VERIFIED = 64 << 20
"""Local blobs of this many bytes and more are verified only where the settings say ``always``."""

LARGEST_PACK = 16 << 20
"""So many bytes of small values share a blob at most, and are held while they are read."""


def blob_key(digest: str) -> str:
    """Key of a blob.

    Raises
    ------
    CorruptBlob
        When the text is not a digest.
    """
    if not is_digest(digest):
        raise CorruptBlob(
            f"{digest!r} is not a digest",
            where=digest,
            mend="the record that holds it was changed: run the task again.",
        )
    return f"blobs/{digest[len(PREFIX) : len(PREFIX) + 2]}/{escape(digest)}"


class Blobs:
    """The blobs of a store.

    Parameters
    ----------
    objects
        Where they lie.
    verify
        ``always`` to check the digest of large local blobs at every read, too.
    """

    def __init__(self, objects: Objects, verify: Verify = "auto") -> None:
        self._objects = objects
        self._verify = verify
        self._pack: tuple[str, memoryview | None] = "", None
        self._reading = threading.Lock()

    def put(self, parts: Sequence[Buffer]) -> Digest:
        """Save the parts' bytes, one after another, as one blob, unless it is there already.

        The parts must be C-contiguous; no copy of them is made.
        """
        found: list[Digest] = []

        def name() -> str:
            found.append(digest_of(parts))
            return blob_key(found[0])

        put_to_stay(self._objects, parts, name)
        return found[0]

    def get(self, digest: str, size: int | None = None) -> memoryview:
        """Read a blob as private, writable memory: a memory map in a local store.

        Parameters
        ----------
        digest
            The blob's name.
        size
            How many bytes it must have; None when that is not known.

        Raises
        ------
        NotFound
            When there is no such blob.
        CorruptBlob
            When its bytes are not the ones that were saved.
        """
        key = blob_key(digest)
        data = self._objects.map(key)
        if size is not None and len(data) != size:
            raise self._corrupt(key, f"has {len(data)} bytes instead of {size}")
        trusted = self._objects.is_local and len(data) >= ALWAYS_VERIFIED and self._verify != "always"
        trusted = trusted or isinstance(self._objects, CachedObjects)  # which has compared it
        if not trusted and digest_of([data]) != digest:
            raise self._corrupt(key, "has other bytes than the ones that were saved")
        return data

    def get_slice(self, pack: str, offset: int, size: int, digest: str) -> memoryview:
        """Read one of several values that share a blob, as private, writable memory.

        Parameters
        ----------
        pack
            The shared blob's digest.
        offset, size
            Where the value begins, and how many bytes it has.
        digest
            The value's own digest.

        Raises
        ------
        NotFound
            When there is no such blob.
        CorruptBlob
            When the value's bytes are not the ones that were saved.
        """
        held = self._hold(pack)
        if held is not None:
            data = bytearray(held[offset : offset + size])
            if digest_of([data]) == digest:
                return memoryview(data)
        key = blob_key(pack)
        data = bytearray(self._objects.get_range(key, offset, size))
        if len(data) != size or digest_of([data]) != digest:
            raise self._corrupt(
                key, f"has other bytes than the ones that were saved, in {size} from {offset}"
            )
        return memoryview(data)

    def _hold(self, pack: str) -> memoryview | None:
        """The pack, from the second value on that is asked for in a row: then it is read as a whole, once."""
        last, held = self._pack
        if last == pack and held is not None:
            return held
        with self._reading:
            last, held = self._pack
            if last != pack:
                # One value of many may be all that is wanted of this pack.
                self._pack = pack, None
                return None
            if held is None:
                held = memoryview(self._objects.get_range(blob_key(pack), 0, LARGEST_PACK + 1))
                # An earlier version wrote packs of any size: of such a one nothing is held.
                held = held if len(held) <= LARGEST_PACK else held[:0]
                self._pack = pack, held
            return held

    def exists(self, digest: str) -> bool:
        """Say whether there is such a blob."""
        return self._objects.exists(blob_key(digest))

    def _corrupt(self, key: str, what: str) -> CorruptBlob:
        return CorruptBlob(
            f"a blob {what}",
            where=f"{self._objects.root}/{key}",
            mend="delete the blob, and run the task that made it again.",
        )
