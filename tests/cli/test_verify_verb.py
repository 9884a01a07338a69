"""``verify`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.settings import Settings
from airloom.store.blobs import blob_key
from airloom.store.datastore import TaskKey
from airloom.store.objects import open_objects
from support.train import Store, noise

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]


@pytest.fixture
def store(airloom: Airloom, tmp_path: Path) -> Store:
    """The store that the command line finds by itself, with one run."""
    made = Store(open_objects(str(tmp_path / ".airloom"), Settings()))
    made.whole("1", x=noise(1), y=1)
    return made


def lose(store: Store) -> str:
    key = blob_key(store.datastore.done(TaskKey("Train", "1", "start", "0")).artifacts["x"].digest)
    store.objects.delete(key)
    return key


def test_a_whole_store_is_well(airloom: Airloom, store: Store) -> None:
    ended = airloom("verify")
    assert ended.code == 0
    assert ended.out.startswith("read 1 run, 10 records and 3 blobs, ")
    assert ended.out.endswith("all is well\n")
    assert airloom("verify", "Train/1/start", "--quick").out.startswith(
        "looked at 1 run, 5 records and 3 blobs"
    )


def test_what_is_missing_is_told_with_what_needs_it(airloom: Airloom, store: Store) -> None:
    key = lose(store)
    ended = airloom("verify", "Train")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[:2] == ["missing: the blob is missing", f"  where: {key}"]
    assert "  needed by Train/1/start/0@0 (the artifact 'x')" in lines
    assert lines[-2].startswith("  mend:  copy the run again")
    assert lines[-1].endswith("1 problem")


def test_programs_get_json(airloom: Airloom, store: Store) -> None:
    key = lose(store)
    ended = airloom("verify", "--json")
    assert ended.code == 1
    (finding,) = json.loads(ended.out)["findings"]
    assert (finding["kind"], finding["key"], finding["needed"]) == ("missing", key, 2)


def test_a_flow_that_is_not_there_is_told(airloom: Airloom, store: Store) -> None:
    ended = airloom("verify", "Other")
    assert ended.code == 5
    assert "the store has nothing of Other" in ended.err
