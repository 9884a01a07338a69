"""``logs``, ``card`` and ``code`` on a flow's own file: the flow's name may be left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from airloom.cli.store_commands import artifacts

FLOW = """
from airloom import FlowSpec, card, step

class Shop(FlowSpec):
    @card
    @step
    def start(self):
        print("open")
        self.next(self.end)

    @step
    def end(self):
        print("closed")

if __name__ == "__main__":
    Shop()
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a flow's file, and of its store after one run."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(FLOW)
    assert ended(folder, "run", "--run-id-file", "run.id").returncode == 0
    return folder


def ended(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AIRLOOM_")}
    command = [sys.executable, "shop.py", "--datastore-root", "store", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def run_of(shop: Path) -> str:
    return (shop / "run.id").read_text().strip()


def test_the_flow_is_left_out_of_the_pathspec_of_logs(shop: Path) -> None:
    run = run_of(shop)
    out = f"--- Shop/{run}/start/0, attempt 0\nopen\n"
    assert ended(shop, "logs", f"{run}/start").stdout == out
    assert ended(shop, "logs", f"Shop/{run}/start/0").stdout == out


def test_the_flow_alone_means_its_newest_run(shop: Path) -> None:
    assert "closed" in ended(shop, "logs", "Shop").stdout


def test_the_flow_is_left_out_of_the_pathspec_of_a_card(shop: Path) -> None:
    task = f"{run_of(shop)}/start/0"
    assert ended(shop, "card", "list", task).stdout.startswith("0  default  -")
    ended(shop, "card", "get", task, "card.html")
    assert "<html" in (shop / "card.html").read_text()


def test_the_code_of_a_run_is_compared_with_a_folder_and_with_a_run(shop: Path) -> None:
    run = run_of(shop)
    assert "    shop.py  (" in ended(shop, "code", "list", run).stdout
    for other in ((), (".",), (run,)):
        done = ended(shop, "code", "diff", "--exit-code", run, *other)
        assert (done.returncode, done.stdout) == (0, "")


def test_a_run_that_is_not_there_is_told(shop: Path) -> None:
    done = ended(shop, "logs", "17/start")
    assert done.returncode == 5
    assert "Flow('Shop') has no run '17'" in done.stderr


def test_a_task_that_failed_says_its_kind(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(FLOW.replace('print("closed")', 'raise MemoryError("full")'))
    assert ended(tmp_path, "run").returncode == 1
    assert ", attempt 0, failed: out of memory\n" in ended(tmp_path, "logs", "Shop").stdout
    listed = CliRunner().invoke(artifacts, ["Shop", "--datastore-root", str(tmp_path / "store")])
    assert "  attempt 0  failed: out of memory\n" in listed.stdout
