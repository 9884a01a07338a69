"""Named values: one blob for the small ones, one each for the large."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airloom.store import artifacts
from airloom.store.blobs import Blobs
from airloom.store.local import LocalObjects


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


class Counted(LocalObjects):
    """A store that counts how often it is read from."""

    reads = 0

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        self.reads += 1
        return super().get_range(key, offset, length)


class TestPacks:
    def test_many_values_of_one_task_are_read_at_once(self, root: Path) -> None:
        store = Counted(root)
        records = artifacts.save(Blobs(store), {f"x{number}": number for number in range(1000)})
        blobs = Blobs(store)
        assert [artifacts.load(blobs, record, name).value for name, record in records.items()] == list(
            range(1000)
        )
        assert store.reads == 2

    def test_one_value_of_many_is_read_alone(self, root: Path) -> None:
        store = Counted(root)
        records = artifacts.save(Blobs(store), {"a": 1, "b": os.urandom(200_000)})
        assert artifacts.load(Blobs(store), records["a"], "a").value == 1
        assert store.reads == 1

    def test_values_of_two_tasks_in_turn_come_back(self, blobs: Blobs) -> None:
        tasks = [artifacts.save(blobs, {f"x{n}": (task, n) for n in range(9)}) for task in range(3)]
        for number in range(9):
            for task, records in enumerate(tasks):
                name = f"x{number}"
                assert artifacts.load(blobs, records[name], name).value == (task, number)

    def test_what_one_reader_changes_no_other_sees(self, blobs: Blobs) -> None:
        array = np.random.default_rng(1).random(1000)
        records = artifacts.save(blobs, {"a": array, "b": 1})
        for _ in range(3):
            value = artifacts.load(blobs, records["a"], "a").value
            assert isinstance(value, np.ndarray)
            np.testing.assert_array_equal(value, array)
            value[:] = 0

    def test_a_pack_has_a_largest_size(
        self, blobs: Blobs, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(artifacts, "LARGEST_PACK", 10_000)
        values = {f"x{number}": os.urandom(3000) for number in range(20)}
        records = artifacts.save(blobs, values)
        assert list(records) == list(values)
        assert count(root) == 7
        assert max(path.stat().st_size for path in (root / "blobs").glob("*/*")) <= 10_000
        assert {name: artifacts.load(blobs, record, name).value for name, record in records.items()} == values

    def test_a_larger_pack_of_an_earlier_version_is_read_in_parts(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = Counted(root)
        values = {f"x{number}": os.urandom(3000) for number in range(20)}
        records = artifacts.save(Blobs(store), values)
        monkeypatch.setattr("airloom.store.blobs.LARGEST_PACK", 10_000)
        blobs = Blobs(store)
        assert {name: artifacts.load(blobs, record, name).value for name, record in records.items()} == values
        assert store.reads == 21
