"""``gc`` on the command line."""

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
    """The store that the command line finds by itself, with an old run and a new one."""
    made = Store(open_objects(str(tmp_path / ".airloom"), Settings()))
    made.whole("1", days=40, x=noise(1))
    made.whole("2", x=noise(2))
    return made


def test_without_delete_it_is_only_said(airloom: Airloom, store: Store) -> None:
    before = list(store.objects.list())
    ended = airloom("gc", "--older-than", "30d", "--alone")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "would delete Train/1"
    assert lines[1].startswith("Train: 1 run, 10 records, 1 blob, 3")
    assert lines[-1] == "nothing is deleted without --delete"
    assert list(store.objects.list()) == before


def test_delete_deletes(airloom: Airloom, store: Store) -> None:
    ended = airloom("gc", "Train", "--older-than", "4w", "--alone", "--delete")
    assert ended.out.splitlines()[0] == "deleted Train/1"
    assert "kept 1 run, 0 running" in ended.out
    assert store.runs() == ["2"]
    assert airloom("verify").code == 0


def test_the_grace_period_holds_by_itself(airloom: Airloom, store: Store) -> None:
    ended = airloom("gc", "--older-than", "30d", "--delete")
    assert "deleted 0 bytes in all; kept 2 runs" in ended.out
    assert store.runs() == ["1", "2"]


def test_it_is_said_that_no_rule_was_given(airloom: Airloom, store: Store) -> None:
    ended = airloom("gc", "--keep-tag", "good", "--alone", "--delete")
    assert "no run goes without --older-than, --keep-latest or --only" in ended.out
    assert store.runs() == ["1", "2"]


def test_keep_rules_are_handed_on(airloom: Airloom, store: Store) -> None:
    store.tag("1", "good")
    for rule in (["--keep-tag", "good"], ["--keep-namespace", "user:ada"], ["--keep-latest", "2"]):
        assert airloom("gc", "--older-than", "0d", *rule, "--only", "successful", "--alone").code == 0
        assert "would delete Train/1" not in airloom("gc", "--older-than", "0d", *rule, "--alone").out


def test_programs_get_json(airloom: Airloom, store: Store) -> None:
    said = json.loads(airloom("gc", "--older-than", "30d", "--alone", "--json").out)
    assert said["dropped"] == ["Train/1"]
    assert said["flows"]["Train"]["runs"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--grace", "5m"], "less than 2h is too short"), (["--older-than", "30"], "is no time")],
)
def test_bad_times_are_refused(airloom: Airloom, arguments: list[str], said: str) -> None:
    ended = airloom("gc", *arguments)
    assert ended.code == 2
    assert said in ended.err
