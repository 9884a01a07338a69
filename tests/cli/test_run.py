"""``run``: parameters from the command line and from variables, and its options."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airloom.client import Flow
from airloom.compiler.parameter_checks import RESERVED_PARAMETERS

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]
Write = Callable[..., Path]

FLOW = """
class Typed(FlowSpec):
    '''A flow of parameters.'''

    whole = Parameter("whole", default=1, help="a whole number")
    share = Parameter("the-share", default=0.5)
    text = Parameter("some_text", default="x")
    yes = Parameter("yes", default=False)
    data = Parameter("data", type=JSONType, default={"a": [1]})
    names = Parameter("names", separator=",", default="a,b")
    free = Parameter("free", type=int)
    hidden = Parameter("hidden", default="secret", show_default=False)
    table = IncludeFile("table", default="table.txt")

    @step
    def start(self):
        self.seen = {
            name: getattr(self, name)
            for name in ("whole", "share", "text", "yes", "data", "names", "free", "table")
        }
"""
DEFAULTS: dict[str, Any] = {
    "whole": 1,
    "share": 0.5,
    "text": "x",
    "yes": False,
    "data": {"a": [1]},
    "names": ["a", "b"],
    "free": None,
    "table": "of the flow",
}


@pytest.fixture
def run(airloom: Airloom, write: Write, tmp_path: Path) -> Airloom:
    write("typed.py", FLOW)
    (tmp_path / "table.txt").write_text("of the flow")

    def start(*arguments: str) -> Ended:
        return airloom("run", "typed.py", *arguments)

    return start


def seen() -> dict[str, Any]:
    found = Flow("Typed").latest_run
    assert found is not None
    values: dict[str, Any] = found["start"].task["seen"].data
    return values


def test_without_options_the_defaults_hold(run: Airloom) -> None:
    done = run()
    assert (done.code, done.err) == (0, "")
    assert seen() == DEFAULTS


def test_values_of_every_type_are_given_as_text(run: Airloom, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("another")
    options = {
        "--whole": "-7",
        "--the-share": "1e-3",
        "--some_text": "two words",
        "--yes": "True",
        "--data": '["x", null]',
        "--names": "p,q,",
        "--free": "0",
        "--table": "other.txt",
    }
    assert run(*[part for pair in options.items() for part in pair]).code == 0
    assert seen() == {
        "whole": -7,
        "share": 0.001,
        "text": "two words",
        "yes": True,
        "data": ["x", None],
        "names": ["p", "q", ""],
        "free": 0,
        "table": "another",
    }


def test_an_underscore_can_be_written_as_a_dash(run: Airloom) -> None:
    assert run("--some-text", "y").code == 0
    assert seen()["text"] == "y"


@pytest.mark.parametrize("prefix", ["AIRLOOM_RUN_", "METAFLOW_RUN_"])
def test_variables_give_values_too(run: Airloom, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    for name, text in (("WHOLE", "5"), ("THE_SHARE", "0.25"), ("SOME_TEXT", ""), ("YES", "1")):
        monkeypatch.setenv(prefix + name, text)
    assert run().code == 0
    assert seen() == {**DEFAULTS, "whole": 5, "share": 0.25, "text": "", "yes": True}


def test_an_option_counts_more_than_our_variable_and_ours_more_than_metaflows(
    run: Airloom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAFLOW_RUN_WHOLE", "1")
    monkeypatch.setenv("AIRLOOM_RUN_WHOLE", "2")
    monkeypatch.setenv("AIRLOOM_RUN_FREE", "3")
    assert run("--free", "4").code == 0
    assert (seen()["whole"], seen()["free"]) == (2, 4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--whole", "much"], "'much' is not a whole number"),
        (["--whole", "1.5"], "'1.5' is not a whole number"),
        (["--the-share", "nan"], "nan is not a number"),
        (["--yes", "perhaps"], "'perhaps' is not true or false"),
        (["--data", "{"], "'{' is not JSON"),
        (["--table", "none.txt"], "the file 'none.txt' does not exist"),
        (["--yes"], "requires an argument"),
        (["--whloe", "1"], "'--whole'"),
        (["--max-workers", "0"], "0 is not in the range"),
        (["extra"], "extra"),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_has_run(run: Airloom, options: list[str], told: str) -> None:
    done = run(*options)
    assert done.code == 2
    assert told in done.err
    assert "Traceback" not in done.err
    assert not Path(".airloom", "flows").exists()


def test_a_wrong_variable_is_named(run: Airloom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_RUN_WHOLE", "much")
    done = run()
    assert done.code == 2
    assert "where: METAFLOW_RUN_WHOLE" in done.err


def test_a_required_parameter_is_asked_for(airloom: Airloom, write: Write) -> None:
    write("typed.py", FLOW.replace('"free", type=int', '"free", type=int, required=True'))
    Path("table.txt").write_text("of the flow")
    done = airloom("run", "typed.py")
    assert done.code == 2
    assert "the parameter 'free' is required and has no value" in done.err
    assert airloom("run", "typed.py", "--free", "1").code == 0


def test_help_lists_the_parameters_with_type_default_and_text(run: Airloom) -> None:
    done = run("--help")
    assert done.code == 0
    text = " ".join(done.out.split())
    assert "--whole INTEGER a whole number [default: 1]" in text
    assert "--the-share NUMBER [default: 0.5]" in text
    assert "--some-text, --some_text TEXT" in text
    assert "--yes BOOLEAN" in text
    assert "--data JSON" in text
    assert "--table PATH" in text
    assert "--max-workers INTEGER RANGE" in text
    assert "secret" not in text


def test_required_parameters_are_marked_in_the_help(airloom: Airloom, write: Write) -> None:
    write("typed.py", FLOW.replace('"free", type=int', '"free", type=int, required=True'))
    assert re.search(r"--free INTEGER +\[required\]", airloom("run", "typed.py", "--help").out)


def test_the_runs_id_is_written_where_it_is_asked_for(run: Airloom, tmp_path: Path) -> None:
    assert run("--run-id-file", "id.txt").code == 0
    found = Flow("Typed").latest_run
    assert found is not None
    assert (tmp_path / "id.txt").read_text() == found.id


def test_a_file_for_the_id_that_cannot_be_written_is_refused_first(run: Airloom) -> None:
    done = run("--run-id-file", "no/such/folder/id.txt")
    assert done.code == 3
    assert "where: --run-id-file no/such/folder/id.txt" in done.err
    assert not Path(".airloom/flows/Typed/runs").exists()


def test_each_run_has_an_id_of_its_own_and_the_newest_is_first(run: Airloom) -> None:
    for whole in ("1", "2"):
        assert run("--whole", whole).code == 0
    values = [one["start"].task["seen"].data["whole"] for one in Flow("Typed")]
    assert values == [2, 1]


def test_plain_lines_tell_what_happens(run: Airloom) -> None:
    done = run()
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in done.out.splitlines()]
    assert re.fullmatch(r"Typed/\d+ started, plan b3:[0-9a-f]{8}", lines[0])
    assert lines[1:3] == ["[start/0] started", "[start/0] done"]
    assert re.fullmatch(r"run \d+ succeeded after \d+\.\d s", lines[3])
    assert len(lines) == 4


def test_the_user_of_a_run_is_the_setting(run: Airloom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRLOOM_USER", "ada")
    assert run().code == 0
    found = Flow("Typed", _namespace_check=False).latest_run
    assert found is not None
    assert found.user == "ada"


@pytest.mark.parametrize("verb", ["run", "resume", "sandbox"])
def test_every_option_of_a_verb_is_a_name_that_no_parameter_can_have(
    airloom: Airloom, write: Write, verb: str
) -> None:
    write("bare.py", "class Bare(FlowSpec):\n    @step\n    def start(self):\n        pass\n")
    text = airloom(verb, "bare.py", "--help").out
    options = set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", text, re.MULTILINE))
    assert "help" in options
    assert options <= RESERVED_PARAMETERS
