"""A real run leaves cards, and the client and the command line read them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from airloom.cards import get_cards
from airloom.cli.main import airloom_group
from airloom.client import Flow, Run, Task
from airloom.errors import NotFound

FLOWS = Path(__file__).parents[1] / "flows" / "good"


@pytest.fixture(scope="module")
def run(
    command_line: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Run:
    root = tmp_path_factory.mktemp("cards") / "store"
    command_line(FLOWS / "cards_of_steps.py", "run", root=root)
    found = Flow("CardsOfStepsFlow", datastore=str(root)).latest_run
    assert found is not None
    return found


def root_of(run: Run) -> str:
    return get_cards(run["start"]["0"])[0].path.partition("/flows/")[0]


def airloom(run: Run, *arguments: str) -> Any:
    return CliRunner().invoke(
        airloom_group(), [*arguments, "--datastore-root", root_of(run)], catch_exceptions=True
    )


def test_cards_are_listed_by_type_and_id(run: Run) -> None:
    task = run["start"]["0"]
    cards = get_cards(task)
    assert [(card.type, card.id) for card in cards] == [("default", None), ("blank", "plots")]
    assert [card.id for card in get_cards(task, type="blank")] == ["plots"]
    assert [card.type for card in get_cards(task, id="plots")] == ["blank"]
    assert len(get_cards(task, id="other")) == 0
    assert len(get_cards(run["join"]["0"])) == 0


def test_a_default_card_shows_the_task(run: Run, parse: Any) -> None:
    card = get_cards(run["start"]["0"])[0]
    page = parse(card.get())
    assert page.is_quiet
    for text in (run["start"]["0"].pathspec, "Count, and show how it went.", "rows", "'a', 'b'", "3 / 3"):
        assert text in page.text
    assert "current.card.append(Markdown(" in page.text
    assert card.is_final
    assert card.hash.startswith("b3:")
    assert Path(card.path).read_text() == card.get()


def test_a_blank_card_shows_what_was_appended_only(run: Run, parse: Any) -> None:
    page = parse(get_cards(run["start"]["0"], id="plots")[0].get())
    assert "svg" in page.tags
    assert "Artifacts" not in page.text


def test_every_task_of_a_foreach_has_its_own(run: Run, parse: Any) -> None:
    texts = [parse(get_cards(task)[0].get()).texts for task in run["each"]]
    assert [item in text for item, text in zip("ab", texts, strict=True)] == [True, True]


def test_every_attempt_has_its_own(run: Run, parse: Any) -> None:
    failed, done = (
        parse(get_cards(Task(run["again"]["0"].pathspec, attempt=n, datastore=root_of(run)))[0].get()).text
        for n in (0, 1)
    )
    assert "ValueError: the first attempt fails </script>" in failed
    assert "Traceback" in failed
    assert "Traceback" not in done


def test_a_caught_failure_stands_on_the_card(run: Run, parse: Any) -> None:
    text = parse(get_cards(run["caught"]["0"])[0].get()).text
    assert "failed, and caught" in text
    assert "before the failure" in text
    assert "RuntimeError: it is caught" in text


def test_a_notebook_shows_cards_in_frames_without_rights(run: Run, parse: Any) -> None:
    html = get_cards(run["start"]["0"])._repr_html_()
    page = parse(html)
    assert page.tags == {"iframe"}
    assert [name for _, name, _ in page.attributes].count("sandbox") == 2


def test_a_pathspec_that_is_no_task_is_refused(run: Run) -> None:
    with pytest.raises(NotFound, match="is not the pathspec of a task"):
        get_cards(run.pathspec, datastore=root_of(run))


def test_the_command_line_lists_and_gets(run: Run, tmp_path: Path) -> None:
    pathspec = run["start"]["0"].pathspec
    listed = airloom(run, "card", "list", pathspec).output.splitlines()
    assert [line.split()[:3] for line in listed] == [["0", "default", "-"], ["1", "blank", "plots"]]
    shown = airloom(run, "card", "get", pathspec, "--id", "plots").output
    assert shown == get_cards(run["start"]["0"])[1].get()
    airloom(run, "card", "get", pathspec, str(tmp_path / "card.html"), "--type", "default")
    assert (tmp_path / "card.html").read_text() == get_cards(run["start"]["0"])[0].get()


def test_the_command_line_wants_one_card(run: Run) -> None:
    pathspec = run["start"]["0"].pathspec
    assert "2 cards that fit" in str(airloom(run, "card", "get", pathspec).exception)
    assert "no such card" in str(airloom(run, "card", "get", run["join"]["0"].pathspec).exception)
    assert airloom(run, "card", "get", pathspec, "--number", "1").exit_code == 0
    first = airloom(run, "card", "get", f"{run['again']['0'].pathspec}@0")
    assert "the first attempt fails" in first.output


def test_view_names_the_file_that_it_opened(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = Path(airloom(run, "card", "view", run["again"]["0"].pathspec).output.strip())
    assert opened == [file.as_uri()]
    assert "<!DOCTYPE html>" in file.read_text()


KILLED = """
import os, signal
from airloom import FlowSpec, card, current, step
from airloom.cards import Markdown


class KilledFlow(FlowSpec):
    @card
    @step
    def start(self):
        current.card.append(Markdown("made in run " + current.run_id))
        self.next(self.middle)

    @card
    @step
    def middle(self):
        current.card.append(Markdown("the last words"))
        current.card.refresh()
        if "KILLED_FLOW" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    KilledFlow()
"""


def test_of_a_killed_task_the_refreshed_card_remains_and_a_resumed_run_shows_the_first_ones(
    command_line: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    parse: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, root = tmp_path / "killed_flow.py", tmp_path / "store"
    file.write_text(KILLED)
    monkeypatch.setenv("KILLED_FLOW", "1")
    assert command_line(file, "run", root=root, check=False).returncode == 1
    flow = Flow("KilledFlow", datastore=str(root))
    killed = flow.latest_run
    assert killed is not None
    (card,) = get_cards(killed["middle"]["0"])
    assert not card.is_final
    assert "the last words" in parse(card.get()).text
    monkeypatch.delenv("KILLED_FLOW")
    command_line(file, "resume", root=root)
    resumed = Flow("KilledFlow", datastore=str(root)).latest_run
    assert resumed is not None
    assert resumed != killed
    first = get_cards(resumed["start"]["0"])[0]
    assert first.pathspec == killed["start"]["0"].pathspec
    assert f"made in run {killed.id}" in first.get()
    assert len(get_cards(resumed["start"]["0"], follow_resumed=False)) == 0
    assert get_cards(resumed["middle"]["0"])[0].is_final


def test_a_step_without_cards_loads_nothing_of_them() -> None:
    code = (
        "import sys, airloom, airloom.runtime.task, airloom.runtime.local\n"
        "sys.exit(any(name.startswith(('airloom.cards', 'markdown_it')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.browser
def test_a_browser_runs_nothing_and_asks_nothing(run: Run) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        told: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        for card in (*get_cards(run["start"]["0"]), *get_cards(run["caught"]["0"])):
            page.goto(Path(card.path).as_uri())
        browser.close()
    assert [url for url in asked if not url.startswith("file:")] == []
    assert told == []


def _chromium() -> str | None:
    import shutil

    return shutil.which("chromium") or shutil.which("chromium-browser")
