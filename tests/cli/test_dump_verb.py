"""``dump``: artifacts on the terminal, or in a file."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.client import Flow

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]
Write = Callable[..., Path]

FLOW = """
class Shop(FlowSpec):
    @step
    def start(self):
        self.names = ["ada", "bob"]
        self.many = list(range(2000))
        self._secret = 1
        self.items = [0, 1]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.double = self.input * 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.call = lambda: 1
        self.next(self.end)

    @step
    def end(self):
        pass
"""


@pytest.fixture
def shop(airloom: Airloom, write: Write) -> Airloom:
    write("shop.py", FLOW)
    assert airloom("run", "shop.py").code == 0
    return airloom


def latest() -> str:
    run = Flow("Shop").latest_run
    assert run is not None
    return run.pathspec


def test_values_are_printed(shop: Airloom) -> None:
    out = shop("dump", f"{latest()}/start/0").out
    assert f"{latest()}/start/0  attempt 0" in out
    assert "    names = ['ada', 'bob']" in out
    assert "_secret" not in out


def test_large_values_are_named_only(shop: Airloom) -> None:
    assert "many = <" in shop("dump", f"{latest()}/start").out
    assert "1999]" in shop("dump", f"{latest()}/start", "--max-value-size", "100000").out


def test_some_artifacts_are_chosen(shop: Airloom) -> None:
    out = shop("dump", f"{latest()}/start", "--include", "names,_secret", "--private").out
    assert [line.split(" = ")[0].strip() for line in out.splitlines()[1:]] == ["names", "_secret"]


def test_values_are_written_into_a_file(shop: Airloom) -> None:
    assert shop("dump", f"{latest()}/work", "--file", "out.pickle", "--include", "double,many").code == 0
    held = pickle.loads(Path("out.pickle").read_bytes())
    assert held[f"{latest()}/work/1"] == {"double": 2, "many": list(range(2000))}
    assert sorted(held) == [f"{latest()}/work/0", f"{latest()}/work/1"]


def test_a_file_leaves_large_values_out_only_when_told(shop: Airloom) -> None:
    shop("dump", f"{latest()}/start", "--file", "out.pickle", "--max-value-size", "100")
    (values,) = pickle.loads(Path("out.pickle").read_bytes()).values()
    assert "many" not in values
    assert "names" in values


def test_what_plain_pickle_cannot_write_is_told(shop: Airloom) -> None:
    done = shop("dump", f"{latest()}/join", "--file", "out.pickle")
    assert done.code == 2
    assert "cannot be pickled into one file" in done.err
    assert not Path("out.pickle").exists()
