"""``tag``, and the tags that a run is started with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.client import Flow, Run

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]
Write = Callable[..., Path]

FLOW = """
from airloom import current

class Shop(FlowSpec):
    @step
    def start(self):
        self.tags = sorted(current.tags)
        self.space = current.namespace
        self.next(self.end)

    @step
    def end(self):
        pass
"""


@pytest.fixture
def shop(airloom: Airloom, write: Write) -> Airloom:
    write("shop.py", FLOW)
    assert airloom("run", "shop.py", "--tag", "nightly", "--tag", "good").code == 0
    return airloom


def latest() -> Run:
    run = Flow("Shop").latest_run
    assert run is not None
    return run


def test_a_run_is_started_with_tags(shop: Airloom) -> None:
    assert latest().user_tags == {"nightly", "good"}
    assert latest()["start"].task.data.tags == ["good", "nightly"]
    assert latest()["start"].task.data.space == f"user:{latest().user}"


def test_a_tag_that_cannot_be_given_starts_no_run(airloom: Airloom, write: Write) -> None:
    write("shop.py", FLOW)
    done = airloom("run", "shop.py", "--tag", " ")
    assert done.code == 5
    assert "cannot be a tag" in done.err
    assert not Path(".airloom/flows").exists()


def test_tags_are_listed(shop: Airloom) -> None:
    lines = shop("tag", "list", latest().pathspec).out.splitlines()
    assert lines[:2] == ["good", "nightly"]
    assert f"user:{latest().user}  (system)" in lines
    assert shop("tag", "list", latest().pathspec, "--hide-system-tags").out == "good\nnightly\n"


def test_tags_are_added_removed_and_replaced(shop: Airloom) -> None:
    spec = latest().pathspec
    assert shop("tag", "add", spec, "a", "b").out.split() == ["a", "b", "good", "nightly"]
    assert shop("tag", "remove", spec, "a", "good").out.split() == ["b", "nightly"]
    assert shop("tag", "replace", spec, "b", "c").out.split() == ["c", "nightly"]
    assert latest().user_tags == {"c", "nightly"}


def test_a_system_tag_is_not_removed(shop: Airloom) -> None:
    done = shop("tag", "remove", latest().pathspec, "runtime:local")
    assert done.code == 5
    assert "'runtime:local' cannot be removed" in done.err


def test_the_run_may_be_somebody_elses(shop: Airloom, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = latest().pathspec
    monkeypatch.setenv("AIRLOOM_USER", "somebody")
    assert shop("tag", "add", spec, "seen").code == 0
    assert shop("runs", "Shop").out.startswith(spec)
    assert spec in shop("artifacts", "Shop").out


def test_an_unknown_run_is_told(shop: Airloom) -> None:
    done = shop("tag", "add", "Shop/1", "a")
    assert done.code == 5
    assert "no run '1'" in done.err
