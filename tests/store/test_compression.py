"""What shrinks is compressed in frames, comes back as it was, and tells when it cannot."""

from __future__ import annotations

import os
import struct

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airloom.errors import ArtifactError, CorruptBlob
from airloom.store import compression
from airloom.store.compression import FRAMES, ZSTD, compressed, decompressed, is_what

FRAME = 64 << 10


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_FRAME", FRAME)


def stored(*parts: bytes) -> tuple[str, memoryview]:
    found = compressed(parts)
    assert found is not None
    return found[0], memoryview(b"".join(found[1]))


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    lengths=st.lists(st.sampled_from([0, 1, 5000, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME]), min_size=1),
    word=st.binary(min_size=1, max_size=9),
)
@pytest.mark.usefixtures("small_frames")
def test_parts_come_back_as_one(lengths: list[int], word: bytes) -> None:
    parts = [(word * length)[:length] for length in lengths]
    whole = b"".join(parts)
    found = compressed(parts)
    if found is None:
        assert len(whole) < compression.SMALLEST
        return
    form, data = found[0], memoryview(b"".join(found[1]))
    assert form == (ZSTD if len(whole) <= FRAME else FRAMES)
    again = decompressed(form, data)
    assert again == whole
    assert not again.readonly
    assert is_what(form, data, memoryview(whole))
    assert not is_what(form, data, memoryview(whole + b"x"))
    assert not is_what(form, data, memoryview(bytes([whole[0] ^ 1]) + whole[1:]))
    assert not is_what(form, data, memoryview(whole[:-1] + bytes([whole[-1] ^ 1])))


def test_any_zstd_decoder_reads_the_frames() -> None:
    whole = b"airloom " * 1_000_000
    form, data = stored(whole)
    assert form == FRAMES
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    assert reader.read() == whole


def test_of_what_does_not_shrink_only_samples_are_compressed() -> None:
    noise = os.urandom(1 << 20)
    assert compressed([noise]) is None
    assert compressed([noise, bytes(100)]) is None


def test_what_only_seemed_to_shrink_stays_as_it_was() -> None:
    step = (2 << 20) // 16
    # Zeros where the samples are taken, and noise between them.
    parts = [bytes(16 << 10) + os.urandom(step - (16 << 10)) for _ in range(16)]
    assert compressed(parts) is None


@pytest.mark.usefixtures("small_frames")
@pytest.mark.parametrize("at", [0, 4, 8, 16, 20])
def test_a_changed_head_is_told(at: int) -> None:
    _, data = stored(b"airloom " * 50_000)
    broken = bytearray(data)
    broken[at] ^= 0x81
    with pytest.raises(CorruptBlob):
        decompressed(FRAMES, memoryview(broken))


@pytest.mark.usefixtures("small_frames")
def test_bytes_that_end_too_soon_are_told() -> None:
    for form, data in (stored(b"airloom " * 50_000), stored(b"air" * 5000)):
        for end in (0, 3, 19, len(data) // 2, len(data) - 1):
            with pytest.raises(CorruptBlob):
                decompressed(form, data[:end])


def test_a_frame_without_its_length_is_told() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    data = compressor.compress(b"air" * 5000) + compressor.flush()
    with pytest.raises(CorruptBlob, match="length"):
        decompressed(ZSTD, memoryview(data))


def test_a_head_that_claims_too_much_reserves_nothing() -> None:
    head = struct.pack("<IIQI", 0x184D2A5B, 12, 2**62, 2**31)
    with pytest.raises(CorruptBlob):
        decompressed(FRAMES, memoryview(head))


def test_a_form_of_a_newer_version_is_told() -> None:
    with pytest.raises(ArtifactError, match="zstd-frames-2") as caught:
        decompressed("zstd-frames-2", memoryview(b"x"))
    assert "newer Airloom" in caught.value.mend
