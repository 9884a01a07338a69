"""--with, --config, --config-value and --params-file: wherever they stand, for every verb that compiles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airloom.client import Flow
from airloom.settings import Settings
from airloom.store.datastore import Datastore

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]
Write = Callable[..., Path]

FLOW = """
from dataclasses import dataclass
from datetime import date
from enum import Enum
from airloom import Config, FlowMutator, resources, user_step_decorator

class Colour(Enum):
    RED = "red"
    BLUE = "blue"

@dataclass
class Layer:
    size: int
    rate: float = 0.5

@user_step_decorator
def marked(step_name, flow, inputs, attributes):
    flow.marked = attributes
    yield

class Adds(FlowMutator):
    def pre_mutate(self, flow):
        for name in flow.cfg["add"]:
            flow.add_parameter(name, Parameter(name, default=flow.cfg.memory))

@Adds
class Wide(FlowSpec):
    cfg = Config("cfg", default_value={"memory": 100, "add": ["extra"]})
    other = Config("other", default="other.json")
    alpha = Parameter("alpha", default=1)
    layer = Parameter("layer", type=Layer, default=Layer(1))
    colour = Parameter("colour", type=Colour, default=Colour.RED)
    day = Parameter("day", type=date, default="2026-11-25")
    words = Parameter("some-words", separator=",", default="a")
    table = IncludeFile("table")

    @retry(times=1)
    @resources(memory=cfg.memory)
    @step
    def start(self):
        self.seen = [self.cfg.memory, self.extra, self.alpha, self.layer.size, self.colour.value]
        self.more = [self.day.isoformat(), self.words, self.table]
        self.next(self.end)

    @step
    def end(self):
        self.tries = 1
"""


@pytest.fixture
def wide(airloom: Airloom, write: Write, tmp_path: Path) -> Airloom:
    """Run a verb on a flow with configs, a mutator and typed parameters."""
    write("wide.py", FLOW)
    (tmp_path / "other.json").write_text('{"x": 1}')

    def run(verb: str, *arguments: str) -> Ended:
        return airloom(verb, "wide.py", *arguments)

    return run


def shown(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found | {"by_name": {step["name"]: step for step in found["steps"]}}


def seen() -> Any:
    run = Flow("Wide").latest_run
    assert run is not None
    return run["start"].task.data


def test_with_goes_to_all_steps_that_lack_it(wide: Airloom) -> None:
    plan = shown(wide("show", "--format", "json", "--with", "retry:times=3,minutes_between_retries=0"))
    assert {name: step["retry"]["times"] for name, step in plan["by_name"].items()} == {"start": 1, "end": 3}
    assert plan["attached"] == ["retry:times=3,minutes_between_retries=0"]


def test_with_is_repeatable_and_takes_all_kinds(wide: Airloom) -> None:
    given = (
        "--with",
        "timeout:minutes=2",
        "--with=catch:var=failure",
        "--with",
        "card",
        "--with",
        "marked:a=1",
    )
    plan = shown(wide("show", "--format", "json", *given, "--with", 'environment:vars={"A": "b,c=d"}'))
    for step in plan["by_name"].values():
        assert (step["timeout_s"], step["catch"]["variable"], len(step["cards"])) == (120, "failure", 1)
        assert step["variables"] == {"A": "b,c=d"}
        assert step["wrappers"] == ["wide.marked"]


def test_with_may_stand_before_the_verb(
    write: Write, tmp_path: Path, command_line: Callable[..., Any]
) -> None:
    file = write("wide.py", FLOW)
    file.write_text(file.read_text().replace("raise SystemExit", "Wide()"))
    (tmp_path / "other.json").write_text("{}")
    config = ("--config-value", "cfg", '{"memory": 7, "add": ["extra"]}')
    command_line(file, "--with", "marked:a=1", *config, "run", "--alpha", "5", root=tmp_path / "store")
    run = Flow("Wide", datastore=tmp_path / "store").latest_run
    assert run is not None
    assert run["end"].task["marked"].data == {"a": 1}
    assert run["start"].task["seen"].data == [7, 7, 5, 1, "red"]


@pytest.mark.parametrize(
    ("spec", "message", "mend"),
    [
        ("retyr", "there is no decorator 'retyr'", "did you mean 'retry'?"),
        ("marekd", "there is no decorator 'marekd'", "did you mean 'marked'?"),
        ("retry:tmies=2", "@retry has no argument 'tmies'", "did you mean 'times'?"),
        ("retry:times=-2", "@retry: times=-2 is refused", "write a whole number"),
        ("retry:times", "'retry:times' cannot be read at 'times'", "write e.g. retry:times=2."),
        ("timeout", "@timeout: the time is 0", "give seconds, minutes or hours above 0."),
        ("environment", "@environment: ", "look at the decorator's arguments."),
    ],
)
def test_a_wrong_with_is_told(wide: Airloom, spec: str, message: str, mend: str) -> None:
    done = wide("check", "--with", spec)
    assert done.code == 2
    assert message in done.err
    assert f"where: --with {spec}" in done.err
    assert mend in done.err


def test_an_option_without_its_value_is_refused(wide: Airloom) -> None:
    done = wide("check", "--config", "cfg")
    assert done.code == 2
    assert "--config takes 2 values" in done.err


def test_configs_come_from_options_then_variables_then_defaults(
    wide: Airloom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def configs(*arguments: str) -> Any:
        return shown(wide("show", "--format", "json", *arguments))["configs"]

    (tmp_path / "mine.json").write_text('{"x": 2}')
    assert configs() == {"cfg": {"add": ["extra"], "memory": 100}, "other": {"x": 1}}
    monkeypatch.setenv("AIRLOOM_FLOW_CONFIG_OTHER", "mine.json")
    assert configs()["other"] == {"x": 2}
    monkeypatch.setenv("AIRLOOM_FLOW_CONFIG_VALUE_OTHER", '{"x": 3}')
    assert configs()["other"] == {"x": 3}
    assert configs("--config-value", "other", '{"x": 4}')["other"] == {"x": 4}
    assert configs("--config", "other", "mine.json")["other"] == {"x": 2}


def test_tasks_see_what_was_compiled_though_the_file_is_gone(wide: Airloom, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    assert (
        wide("deploy", "--dags-folder", str(dags), "--config-value", "cfg", '{"memory": 5, "add": []}').code
        == 0
    )
    (tmp_path / "other.json").unlink()
    (file,) = dags.glob("*.py")
    (digest,) = [line for line in file.read_text().splitlines() if line.startswith("PLAN")]
    plan = Datastore.open(Settings(datastore_root=str(tmp_path / ".airloom"))).plan(
        "Wide", digest.split('"')[1]
    )
    assert plan.configs == {"cfg": {"add": [], "memory": 5}, "other": {"x": 1}}
    assert plan.step("start").resources.memory_mib == 5
    assert [parameter.name for parameter in plan.parameters][-1] == "table"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config", "cfg", "none.json"), "the file 'none.json' does not exist"),
        (("--config-value", "cfg", "{"), "the config 'cfg' is not JSON"),
        (("--config-value", "cgf", "{}"), "did you mean 'cfg'?"),
        (("--config-value", "cfg", "{}", "--config", "cfg", "x"), "the config 'cfg' is given twice"),
        (("--config-value", "cfg", '{"add": []}'), "there is no key 'memory'"),
    ],
)
def test_a_wrong_config_is_told(wide: Airloom, arguments: tuple[str, ...], message: str) -> None:
    done = wide("run", *arguments)
    assert done.code == 2
    assert message in done.err


def test_parameters_that_mutators_add_are_options(wide: Airloom) -> None:
    done = wide(
        "run", "--extra", "3", "--config-value", "cfg", '{"memory": 5, "add": ["extra", "z"]}', "--z", "1"
    )
    assert done.code == 0, done.err
    assert seen().seen == [5, 3, 1, 1, "red"]
    assert wide("run", "--z", "1").code == 2


def test_the_help_is_shown_also_when_a_config_is_missing(wide: Airloom, tmp_path: Path) -> None:
    (tmp_path / "other.json").unlink()
    done = wide("run", "--help")
    assert done.code == 0
    assert "--alpha" in done.out
    assert "red|blue" in done.out
    assert wide("run").code == 2


def test_typed_values_come_from_the_command_line(wide: Airloom) -> None:
    done = wide("run", "--layer", '{"size": 9}', "--colour", "blue", "--day", "2026-01-02")
    assert done.code == 0, done.err
    assert (seen().seen[3:], seen().more[0]) == ([9, "blue"], "2026-01-02")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", '{"size": "x"}'), "parameter 'layer': size: 'x' is not a whole number"),
        (("--layer", "{"), "parameter 'layer': '{' is not JSON"),
        (("--colour", "green"), "parameter 'colour': 'green' is not one of 'red', 'blue'"),
        (("--day", "soon"), "parameter 'day': 'soon' is not a date"),
    ],
)
def test_a_wrong_value_is_told_with_its_option(
    wide: Airloom, arguments: tuple[str, str], message: str
) -> None:
    done = wide("run", *arguments)
    assert done.code == 2
    assert message in done.err
    assert f"where: {arguments[0]}" in done.err


# -- --params-file -----------------------------------------------------------------------

JSON = {"alpha": 2, "layer": {"size": 4}, "colour": "blue", "some_words": ["x", "y"], "table": "table.txt"}
YAML = "alpha: 2\nlayer: {size: 4}\ncolour: blue\nsome-words: x,y\nday: 2026-01-02\ntable: table.txt\n"


@pytest.mark.parametrize(("name", "text"), [("p.json", json.dumps(JSON)), ("p.yaml", YAML), ("p.yml", YAML)])
def test_parameters_come_from_a_file(wide: Airloom, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "table.txt").write_text("of a file")
    done = wide("run", "--params-file", name, "--alpha", "3")
    assert done.code == 0, done.err
    assert seen().seen == [100, 100, 3, 4, "blue"]
    day = "2026-11-25" if name == "p.json" else "2026-01-02"
    assert seen().more == [day, ["x", "y"], "of a file"]


def test_the_file_wins_over_variables(wide: Airloom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p.json").write_text('{"alpha": 2}')
    monkeypatch.setenv("AIRLOOM_RUN_ALPHA", "8")
    assert wide("run", "--params-file", "p.json").code == 0
    assert seen().seen[2] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"alhpa": 1}',
            "has no parameter 'alhpa'\n  where: p.json\n  mend:  did you mean 'alpha'?",
        ),
        ('{"alpha": "x"}', "parameter 'alpha': 'x' is not a whole number"),
        (
            '{"layer": {"size": 1, "rate": "x"}}',
            "'layer': rate: 'x' is not a number\n  where: p.json",
        ),
        ("{", "cannot be parsed"),
        ("[1]", "holds list, not names and values"),
        ('{"table": "none.txt"}', "the file 'none.txt' does not exist"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_wrong_file_is_told(wide: Airloom, tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "p.json").write_text(text)
    done = wide("run", "--params-file", "p.json")
    assert done.code == 2
    assert message in done.err


def test_a_flow_without_configs_may_have_a_parameter_of_that_name(airloom: Airloom, write: Write) -> None:
    text = """
class Plain(FlowSpec):
    config = Parameter("config", default="x")

    @step
    def start(self):
        self.value = self.config
"""
    write("plain.py", text)
    assert airloom("run", "plain.py", "--config", "y").code == 0
    run = Flow("Plain").latest_run
    assert run is not None
    assert run["start"].task["value"].data == "y"
    write(
        "taken.py",
        "from airloom import Config\n" + text.replace("config = P", 'c = Config("c")\n    config = P'),
    )
    done = airloom("check", "taken.py")
    assert "the command line has an option of that name" in done.err
