"""What every earlier form of the store's bytes held is still read.

``tests/compat/store_<n>`` is a store that the version of that time wrote: once its form was
left behind, it cannot be made again, and is never changed. A new form gets a new folder.
"""

from __future__ import annotations

import datetime as dt
import decimal
import shutil
from pathlib import Path

import numpy as np
import pytest

from airloom import codec
from airloom.store import artifacts
from airloom.store.blobs import Blobs
from airloom.store.local import LocalObjects
from airloom.store.records import DoneRecord

COMPAT = Path(__file__).parents[1] / "compat"


def random(seed: int, count: int) -> object:
    return np.random.default_rng(seed).random(count)


def wanted() -> dict[str, object]:
    rng = np.random.default_rng(1)
    return {
        "whole": 7,
        "text": "é" * 10,
        "plain": {"a": [1, 2.5, None, True]},
        "raw": b"\x00\x01\xff",
        "long_text": "air " * 3000,
        "long_bytes": bytes(range(256)) * 40,
        "pair": (1, "two"),
        "when": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc),
        "exact": decimal.Decimal("1.10"),
        "small_array": np.arange(5),
        "array": rng.random(2000),
        "shrinking_array": np.arange(3000),
        "arrays": {"a": rng.random(700), "b": [np.zeros((3, 4), dtype="i2")]},
        "alone": (1, 2),
        "large": random(2, 1000),
        "large_shrinking": np.repeat(np.arange(20.0), 400),
    }


@pytest.mark.parametrize("name", wanted())
def test_the_first_store_is_read(name: str, tmp_path: Path) -> None:
    shutil.copytree(COMPAT / "store_1", tmp_path / "copy")
    done = codec.loads(DoneRecord, (tmp_path / "copy" / "done.json").read_bytes())
    assert set(done.artifacts) == set(wanted())
    blobs = Blobs(LocalObjects(tmp_path / "copy" / "store"), "always")
    loaded = artifacts.load(blobs, done.artifacts[name], name)
    value = wanted()[name]
    assert type(loaded.value) is type(value)
    np.testing.assert_equal(loaded.value, value)
    assert loaded.unchanged(loaded.value)
    if isinstance(loaded.value, np.ndarray):
        loaded.value[3] += 1
        assert not loaded.unchanged(loaded.value)
    # What is saved now, in today's form, is the same value.
    again = artifacts.load(blobs, artifacts.save(blobs, {"x": value})["x"], name)
    np.testing.assert_equal(again.value, value)


def test_the_first_store_has_every_form_of_its_time() -> None:
    done = codec.loads(DoneRecord, (COMPAT / "store_1" / "done.json").read_bytes())
    forms = {(one.serializer, one.compression, one.pack is None) for one in done.artifacts.values()}
    assert {(name, form) for name, form, _ in forms} == {
        ("json/1", ""),
        ("json/1", "zstd"),
        ("bytes/1", ""),
        ("bytes/1", "zstd"),
        ("pickle/1", ""),
        ("pickle/1", "zstd"),
    }
    assert {alone for _, _, alone in forms} == {True, False}
