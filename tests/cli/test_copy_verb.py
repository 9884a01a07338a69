"""``copy`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.settings import Settings
from airloom.store.objects import open_objects
from support.train import Store, noise

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]


@pytest.fixture
def store(airloom: Airloom, tmp_path: Path) -> Store:
    """The store that the command line finds by itself, with two runs."""
    made = Store(open_objects(str(tmp_path / ".airloom"), Settings()))
    made.whole("1", x=noise(1))
    made.whole("2", x=noise(2))
    return made


def test_a_run_is_read_where_it_was_copied_to(airloom: Airloom, store: Store) -> None:
    ended = airloom("copy", "Train/1", "--to", "other")
    assert ended.code == 0
    assert ended.out.startswith("copied 1 run: 10 records and 2 blobs, ")
    assert (
        airloom("artifacts", "Train/1", "--datastore-root", "other").out
        == airloom("artifacts", "Train/1").out
    )
    assert airloom("verify", "--datastore-root", "other").code == 0
    assert "2 blobs were there already" in airloom("copy", "Train/1", "--to", "other").out


def test_runs_come_from_another_store(airloom: Airloom, store: Store) -> None:
    airloom("copy", "Train", "--to", "other")
    copied = json.loads(airloom("copy", "Train", "--from", "other", "--to", "third", "--json").out)
    assert copied["runs"] == 2


def test_a_store_is_not_copied_into_itself(airloom: Airloom, store: Store) -> None:
    ended = airloom("copy", "Train", "--to", ".airloom")
    assert ended.code == 5
    assert "the store that they are in" in ended.err
