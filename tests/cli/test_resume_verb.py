"""``airloom resume FILE``, and the verbs of a flow's own command line that name its runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom import client
from airloom.client import Flow, Run

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]
Write = Callable[..., Path]
CommandLine = Callable[..., subprocess.CompletedProcess[str]]

FLOW = """
class Shop(FlowSpec):
    rate = Parameter("rate", default=1)

    @step
    def start(self):
        self.x = self.rate
        self.next(self.end)

    @step
    def end(self):
        {end}
"""


def latest() -> Run:
    run = Flow("Shop").latest_run
    assert run is not None
    return run


def test_a_flow_is_resumed_by_its_file(airloom: Airloom, write: Write) -> None:
    write("shop.py", FLOW.format(end="raise ValueError"))
    assert airloom("run", "shop.py", "--rate", "3").code == 1
    write("shop.py", FLOW.format(end="self.y = self.x"))
    done = airloom("resume", "shop.py", "--tag", "second")
    assert done.code == 0
    assert "1 task is taken over" in done.out
    assert latest().user_tags == {"second"}
    assert latest()["end"].task.data.y == 3


def test_the_help_names_the_step_and_no_parameters(airloom: Airloom, write: Write) -> None:
    write("shop.py", FLOW.format(end="pass"))
    out = airloom("resume", "shop.py", "--help").out
    assert "[STEP]" in out
    assert "--origin-run-id" in out
    assert "--rate" not in out


@pytest.fixture
def shop(write: Write, command_line: CommandLine, tmp_path: Path) -> tuple[Path, Path]:
    """A flow's file that is a command line of its own, and a store with one run."""
    file = write("shop.py", FLOW.format(end="pass"))
    file.write_text(file.read_text().replace("raise SystemExit", "Shop()"))
    command_line(file, "run", root=tmp_path / "store")
    return file, tmp_path / "store"


def test_a_flows_file_tags_its_runs(shop: tuple[Path, Path], command_line: CommandLine) -> None:
    file, root = shop
    with client.datastore(root):
        run = latest()
    command_line(file, "tag", "add", "--run-id", run.id, "good", "small", root=root)
    assert run.user_tags == {"good", "small"}
    command_line(file, "tag", "replace", "small", "large", root=root)
    command_line(file, "tag", "remove", "good", root=root)
    listed = command_line(file, "tag", "list", "--hide-system-tags", root=root).stdout
    assert listed == "large\n"


def test_a_flows_file_dumps_its_artifacts(shop: tuple[Path, Path], command_line: CommandLine) -> None:
    file, root = shop
    with client.datastore(root):
        run = latest()
    for named in (f"{run.id}/start", f"{run.pathspec}/start/0"):
        assert "    x = 1" in command_line(file, "dump", named, root=root).stdout
