"""Every example runs on this machine and gives what its text promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airloom.client import Flow, Run
from airloom.settings import Settings
from airloom.store.datastore import Datastore
from airloom.store.objects import open_objects

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def program(file: str, *arguments: str, store: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRLOOM_")}
    return subprocess.run(
        [sys.executable, str(EXAMPLES / file), *arguments],
        env={**environment, "AIRLOOM_DATASTORE_ROOT": store},
        cwd=Path(store).parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run(file: str, flow: str, *arguments: str, store: str) -> Run:
    ended = program(file, "run", *arguments, store=store)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = Flow(flow, datastore=store).latest_successful_run
    assert found is not None
    return found


def test_hello_hands_its_message_on(store: str) -> None:
    assert run("01_hello/hello_flow.py", "HelloFlow", store=store).data.message == "hello from Airloom"


def test_greetings_follow_the_parameters_and_the_file(store: str) -> None:
    file = "02_parameters_and_files/greetings_flow.py"
    plain = run(file, "GreetingsFlow", store=store)
    assert plain.data.greetings == ["hello Ada!", "hello Admiral Grace!", "hello Katherine!"]
    assert plain.data.style == "friendly"
    options = ("--greeting", "ahoy", "--times", "2", "--loud", "true", "--left-out", "Grace")
    loud = run(file, "GreetingsFlow", *options, store=store)
    assert loud.data.greetings == ["AHOY AHOY ADA!", "AHOY AHOY KATHERINE!"]


def test_the_nested_foreach_joins_in_order(store: str) -> None:
    found = run("03_foreach_and_join/word_lengths_flow.py", "WordLengthsFlow", store=store)
    assert found.data.longest_by_text == ["steps", "artifact", "weave"]
    assert found.data.longest == "artifact"
    assert found["measure"]["1.2"].data.word == "is"
    assert found["measure"]["1.2"].data.place == [1, 2]


def test_the_penguins_of_one_species_are_told_best(store: str) -> None:
    found = run("04_penguins/penguins_flow.py", "PenguinsFlow", store=store)
    assert found.data.best == "Chinstrap"
    assert found.data.fits["Gentoo"] == {"g_per_mm": 54.6, "error_g": 357, "count": 123}
    assert found.data.trouble is None


def test_failures_are_retried_ended_and_caught(store: str) -> None:
    found = run("05_retry_catch_timeout/shaky_flow.py", "ShakyFlow", store=store)
    assert found["flaky"].task.attempts == [0, 1]
    assert found.data.slowness.type == "airloom.errors.StepTimedOut"
    assert found.data.begun
    assert found.data.results == [3.0, None, 6.0]
    assert found.data.failures == {1: "division by zero"}


@pytest.mark.parametrize(("number", "size", "text"), [("1500", "big", "about 2,000"), ("42", "small", "4 2")])
def test_the_switch_chooses_by_size(store: str, number: str, size: str, text: str) -> None:
    found = run("06_branch_and_switch/triage_flow.py", "TriageFlow", "--number", number, store=store)
    assert (found.data.size, found.data.text) == (size, text)
    assert ("shorten" in found, "spell" in found) == (size == "big", size == "small")


def test_the_client_script_reads_the_penguins(store: str) -> None:
    run("04_penguins/penguins_flow.py", "PenguinsFlow", store=store)
    said = program("07_read_results_with_the_client/read_results.py", store=store)
    assert said.returncode == 0, said.stderr
    assert "best: Chinstrap" in said.stdout
    assert "judge/1: off by 293 g" in said.stdout
    assert said.stdout.count("compare read PenguinsFlow/") == 3


def test_the_client_script_says_what_is_missing(store: str) -> None:
    said = program("07_read_results_with_the_client/read_results.py", store=store)
    assert said.returncode != 0
    assert "PenguinsFlow" in said.stderr


@pytest.mark.parametrize("folder", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_an_example_has_a_readme(folder: str) -> None:
    text = (EXAMPLES / folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {folder.partition('_')[0]}")


def test_the_examples_leave_nothing_beside_their_files(store: str) -> None:
    run("01_hello/hello_flow.py", "HelloFlow", store=store)
    assert not (EXAMPLES / "01_hello" / ".airloom").exists()
    datastore = Datastore(open_objects(store, Settings()))
    assert datastore.flows() == ["HelloFlow"]
