"""``show``: a flow as text, as a drawing, as JSON."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.plan import Plan

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]
Write = Callable[..., Path]

FLOW = """
class Shapes(FlowSpec):
    '''All shapes.

    And more of it.
    '''

    rate = Parameter("rate", default=0.5, help="how fast")
    must = Parameter("must", required=True)

    @step
    def start(self):
        '''Choose.'''
        self.mode = "a"
        self.next({"a": self.split, 'say "b" | \\\\\\\\': self.last}, condition="mode")

    @retry(times=2)
    @timeout(minutes=1)
    @step
    def split(self):
        self.items = [1]
        self.next(self.body, foreach="items")

    @step
    def body(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.last)

    @step
    def last(self):
        self.next(self.end)

    @step
    def end(self):
        pass
"""
EDGES = {
    ("start", "split"),
    ("start", "last"),
    ("split", "body"),
    ("body", "join"),
    ("join", "last"),
    ("last", "end"),
}
STEPS = {"start", "split", "body", "join", "last", "end"}


@pytest.fixture
def shown(airloom: Airloom, write: Write) -> Callable[[str], str]:
    write("flow.py", FLOW)

    def show(form: str) -> str:
        done = airloom("show", "flow.py", "--format", form)
        assert done.code == 0, done.err
        return done.out

    return show


def test_text_is_the_default_and_says_everything(shown: Callable[[str], str], airloom: Airloom) -> None:
    text = shown("text")
    assert airloom("show", "flow.py").out == text
    assert text.startswith("Shapes: All shapes.\n")
    assert "  parameter rate (float, default 0.5) how fast\n" in text
    assert "  parameter must (str, required)\n" in text
    assert "start\n  Choose.\n  => by mode: 'a': split, " in text
    assert "split (retries 2, timeout 60 s)\n  => body for each of items\n" in text
    assert "  body\n    => join\n" in text, "the body of a foreach is moved in"
    assert "join (joins split)\n" in text
    assert text.endswith("end\n")


def test_json_is_the_plan(shown: Callable[[str], str]) -> None:
    plan = Plan.from_bytes(json.dumps(json.loads(shown("json"))).encode())
    assert plan.flow == "Shapes"
    assert {step.name for step in plan.steps} == STEPS


def test_mermaid_has_every_step_and_edge(shown: Callable[[str], str]) -> None:
    first, *lines = shown("mermaid").splitlines()
    assert first == "flowchart TD"
    nodes = dict(re.findall(r"^    s_(\w+)([\[{].*[\]}])$", "\n".join(lines), re.MULTILINE))
    assert set(nodes) == STEPS
    assert nodes["start"] == "{start}"
    assert nodes["split"] == "[[split]]"
    assert nodes["end"] == "[end]"
    edges = [
        re.fullmatch(r'    s_(\w+) -->(\|(?:[\w .-]+|"[^"|]*")\|)? s_(\w+)', line)
        for line in lines
        if "-->" in line
    ]
    assert all(edges), lines
    assert {(edge[1], edge[3]) for edge in edges if edge} == EDGES
    labels = {edge[2] for edge in edges if edge}
    assert {"|a|", "|items|", '|"say #34;b#34; #124; \\\\"|'} <= labels


STATEMENT = re.compile(r'    ("\w+")(?: -> ("\w+"))?(?: \[(?:shape=\w+|label="(?:[^"\\]|\\.)*")\])?')


def test_dot_is_well_formed_and_has_every_step_and_edge(shown: Callable[[str], str]) -> None:
    first, box, *lines, last = shown("dot").splitlines()
    assert (first, box, last) == ('digraph "Shapes" {', "    node [shape=box]", "}")
    found = [STATEMENT.fullmatch(line) for line in lines]
    assert all(found), lines
    pairs = [(match[1], match[2]) for match in found if match]
    assert {node.strip('"') for node, target in pairs if target is None} == STEPS
    assert {(node.strip('"'), target.strip('"')) for node, target in pairs if target} == EDGES


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_graphviz_takes_the_drawing(shown: Callable[[str], str]) -> None:
    subprocess.run(["dot", "-Tplain"], input=shown("dot"), text=True, check=True, capture_output=True)


@pytest.mark.parametrize("form", ["text", "mermaid", "dot", "json"])
def test_every_good_flow_can_be_shown(airloom: Airloom, good_flow: Path, form: str) -> None:
    done = airloom("show", str(good_flow), "--format", form)
    assert done.code == 0, done.err
    assert done.out.strip()


DEPLOYED = """
from airloom import card, environment, exit_hook, project, schedule, secrets, trigger, trigger_on_finish


def tell(run):
    pass


def alarm():
    pass


@project(name="sales", branch="west")
@schedule(cron="0 6 * * *", timezone="Europe/Vienna")
@trigger(event={"name": "orders", "parameters": {"day": "date"}})
@trigger_on_finish(flow="Other")
@exit_hook(on_success=[tell], on_error=[alarm, tell])
class Deployed(FlowSpec):
    day = Parameter("day", default="today")

    @retry(times=2, on=OSError)
    @environment(vars={"LEVEL": "3"})
    @secrets(sources=["env:TOKEN"])
    @card
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass
"""


def test_text_tells_when_a_deployed_flow_runs_and_what_follows(airloom: Airloom, write: Write) -> None:
    write("deployed.py", DEPLOYED)
    done = airloom("show", "deployed.py")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    for line in (
        "  project sales, branch test.west: deployed as sales.test.west.Deployed",
        "  schedule 0 6 * * * in Europe/Vienna",
        "  triggered by the event orders (day from date)",
        "  triggered by a finished run of sales.test.west.Other",
        "  on success calls tell",
        "  on failure calls alarm, tell",
        "start (retries 2 after OSError, sets LEVEL, secrets env:TOKEN, card)",
    ):
        assert line in lines
