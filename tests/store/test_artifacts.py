"""Named values: one blob for the small ones, one each for the large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airloom.store import artifacts
from airloom.store.blobs import Blobs


def count(root: Path) -> int:
    return len(list((root / "blobs").glob("*/*")))


def test_no_values_write_nothing(blobs: Blobs, root: Path) -> None:
    assert artifacts.save(blobs, {}) == {}
    assert not root.exists()


def test_small_values_share_a_blob(blobs: Blobs, root: Path) -> None:
    records = artifacts.save(blobs, {f"x{number}": number for number in range(100)})
    assert count(root) == 1
    assert len({record.pack for record in records.values()}) == 1
    assert [artifacts.load(blobs, record, name).value for name, record in records.items()] == list(range(100))


def test_a_large_value_is_a_blob_of_its_own(blobs: Blobs, root: Path) -> None:
    array = np.random.default_rng(1).random(100_000)
    records = artifacts.save(blobs, {"a": 1, "large": array, "b": 2})
    assert count(root) == 2
    assert list(records) == ["a", "large", "b"]
    assert records["large"].pack is None
    np.testing.assert_array_equal(artifacts.load(blobs, records["large"], "x").value, array)


def test_equal_values_of_two_saves_share_a_blob(blobs: Blobs, root: Path) -> None:
    array = np.random.default_rng(1).random(100_000)
    first = artifacts.save(blobs, {"a": array})
    assert artifacts.save(blobs, {"b": array.copy()})["b"].digest == first["a"].digest
    assert count(root) == 1


def test_equal_small_values_of_a_save_are_stored_once(blobs: Blobs) -> None:
    records = artifacts.save(blobs, {"a": "same", "b": "same", "c": "other"})
    assert records["a"] == records["b"]


def test_one_small_value_is_its_own_blob(blobs: Blobs, root: Path) -> None:
    record = artifacts.save(blobs, {"a": [1, 2]})["a"]
    assert record.pack is None
    assert count(root) == 1


def test_a_record_describes_its_value(blobs: Blobs) -> None:
    record = artifacts.save(blobs, {"a": np.zeros((2, 3), dtype=np.int32)})["a"]
    assert record.type == "numpy.ndarray"
    assert record.preview == "numpy.ndarray of int32 (2, 3)"
    assert record.serializer == "pickle/2"


@settings(max_examples=50, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    values=st.dictionaries(st.from_regex(r"[a-z_]\w*", fullmatch=True), st.lists(st.binary(max_size=9000)))
)
def test_any_mix_of_sizes_comes_back(blobs: Blobs, values: dict[str, list[bytes]]) -> None:
    records = artifacts.save(blobs, values)
    assert {name: artifacts.load(blobs, record, name).value for name, record in records.items()} == values
