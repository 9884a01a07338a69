"""Blobs are named by their bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airloom.errors import CorruptBlob, NotFound
from airloom.store import blobs as blobs_module
from airloom.store.blobs import Blobs, blob_key
from airloom.store.objects import Objects


def test_equal_bytes_are_one_blob(objects: Objects) -> None:
    blobs = Blobs(objects)
    assert blobs.put([b"air", b"loom"]) == blobs.put([b"airloom"])
    assert len(list(objects.list("blobs"))) == 1


def test_a_blob_is_read_by_its_digest(objects: Objects) -> None:
    blobs = Blobs(objects)
    assert bytes(blobs.get(blobs.put([b"air", b"loom"]), 7)) == b"airloom"


def test_an_unknown_digest_is_not_found(objects: Objects) -> None:
    with pytest.raises(NotFound):
        Blobs(objects).get("b3:" + "0" * 64)


@pytest.mark.parametrize("text", ["", "b3:", "b3:../../etc/passwd", "sha256:" + "0" * 64])
def test_what_is_no_digest_names_no_file(objects: Objects, text: str) -> None:
    with pytest.raises(CorruptBlob, match="not a digest"):
        Blobs(objects).get(text)


def test_another_length_is_corrupt(objects: Objects) -> None:
    blobs = Blobs(objects)
    digest = blobs.put([b"airloom"])
    with pytest.raises(CorruptBlob, match="7 bytes instead of 8"):
        blobs.get(digest, 8)


def test_other_bytes_are_corrupt(objects: Objects) -> None:
    blobs = Blobs(objects)
    digest = blobs.put([b"airloom"])
    objects.put(blob_key(digest), [b"airlooM"])
    with pytest.raises(CorruptBlob, match="other bytes"):
        blobs.get(digest)


def test_large_local_blobs_are_verified_when_the_settings_say_so(
    root: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs_module, "ALWAYS_VERIFIED", 1000)
    digest = blobs.put([os.urandom(2000)])
    path = root / blob_key(digest)
    data = bytearray(path.read_bytes())
    data[1500] ^= 1
    path.write_bytes(data)
    assert blobs.get(digest, 2000) == data
    with pytest.raises(CorruptBlob):
        Blobs(blobs._objects, "always").get(digest, 2000)
    with pytest.raises(CorruptBlob):
        blobs.get(digest, 1999)
