"""One step of a flow by itself, and the examples of docs/testing.md."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from airloom import (
    FlowSpec,
    IncludeFile,
    JSONType,
    Parameter,
    catch,
    current,
    environment,
    retry,
    step,
    timeout,
)
from airloom.errors import ArtifactError, CheckFailed, GraphError, ParameterError
from airloom.flow.spec import UnhandledInMergeArtifacts
from airloom.store.objects import MemoryObjects
from airloom.testing import NextSteps, run_step


class Scores(FlowSpec):
    """A foreach, a split, a switch."""

    rate = Parameter("rate", default=0.5)
    options = Parameter("options", type=JSONType, default={})
    needed = Parameter("needed", type=int, required=True)
    notes = IncludeFile("notes", default=__file__)
    LIMIT = 10

    @step
    def start(self) -> None:
        self.rows = [1, 2, 3]
        self.unread = "passed on"
        self.first_line = self.notes.splitlines()[0]
        self.next(self.fit, foreach="rows")

    @retry(times=5)
    @catch(var="problem")
    @timeout(seconds=1)
    @environment(vars={"SCORES_OF": "fit"})
    @step
    def fit(self) -> None:
        if self.input is None:
            raise ZeroDivisionError("no input")
        self.score = self.input * self.rate + len(self.options)
        self.place = (self.index, self.foreach_stack())
        self.facts = (current.step_name, current.task_id, current.flow_name, current.retry_count)
        self.variables = (os.environ["SCORES_OF"], os.environ.get("EXTRA"))
        Path(current.tempdir, "scratch").touch()
        self.next(self.join)

    @step
    def join(self, inputs: Any) -> None:
        self.best = max(inputs, key=lambda branch: branch.score).input
        self.scores = [branch.score for branch in inputs]
        self.limits = [branch.LIMIT + branch.rate for branch in inputs]
        self.next(self.a, self.b)

    @step
    def a(self) -> None:
        self.scores.append(0)
        self.x = 1
        self.next(self.meet)

    @step
    def b(self) -> None:
        self.x = 2
        self.next(self.meet)

    @step
    def meet(self, inputs: Any) -> None:
        self.merge_artifacts(inputs)
        self.mode = "big" if self.x > self.LIMIT else "small"
        self.next({"big": self.big, "small": self.end}, condition="mode")

    @step
    def big(self) -> None:
        self.lock = threading.Lock()
        self.next(self.end)

    @step
    def end(self) -> None:
        self.done = current.is_running_flow


def test_the_first_step_needs_no_inputs() -> None:
    left = run_step(Scores, "start", parameters={"needed": 1})
    assert left.rows == [1, 2, 3]
    assert left.next == NextSteps(("fit",), width=3)
    assert left.first_line.startswith('"""One step')
    assert sorted(left.artifacts) == ["first_line", "rows", "unread"]
    assert dict(left)["unread"] == left["unread"] == "passed on"


def test_a_foreach_step_gets_its_item_by_index() -> None:
    start = run_step(Scores, "start", parameters={"needed": 1})
    left = run_step(Scores, "fit", inputs=start, index=2, parameters={"needed": 1, "options": {"a": 1}})
    assert left.score == 2.5
    assert left.place == (2, [(2, 3, 3)])
    assert left.facts == ("fit", "2", "Scores", 0)
    assert left.unread == "passed on"
    assert left.next == NextSteps(("join",))


def test_item_and_environment_and_retry_count_are_given() -> None:
    given = {"needed": 1, "rate": 2}
    left = run_step(Scores, "fit", item=8, parameters=given, environment={"EXTRA": "more"}, retry_count=3)
    assert (left.score, left.place) == (16.0, (0, [(0, 1, 8)]))
    assert left.variables == ("fit", "more")
    assert left.facts[-1] == 3
    assert "EXTRA" not in os.environ
    assert "SCORES_OF" not in os.environ
    assert not current.is_running_flow


def test_what_the_step_raises_comes_through() -> None:
    with pytest.raises(ZeroDivisionError, match="no input") as raised:
        run_step(Scores, "fit", parameters={"needed": 1})
    assert raised.value.__cause__ is None
    assert "raise ZeroDivisionError" in str(raised.traceback[-1].statement)
    assert not current.is_running_flow


def test_a_join_gets_a_list_for_a_foreach() -> None:
    branches = [{"score": 1.0}, {"score": 3.0}, {"score": 2.0}]
    left = run_step(Scores, "join", inputs=branches, items=["p", "q", "r"], parameters={"needed": 1})
    assert (left.best, left.scores, left.limits) == ("q", [1.0, 3.0, 2.0], [10.5] * 3)
    assert left.next.targets == ("a", "b")


def test_a_join_gets_a_dict_for_a_split() -> None:
    before = run_step(Scores, "join", inputs=[{"score": 1}], parameters={"needed": 1})
    a, b = (run_step(Scores, name, inputs=before, parameters={"needed": 1}) for name in "ab")
    assert a.scores == [1, 0]
    assert before.scores == [1]
    with pytest.raises(UnhandledInMergeArtifacts, match="scores, x"):
        run_step(Scores, "meet", inputs={"a": a, "b": b}, parameters={"needed": 1})
    same = {"a": {"x": 11}, "b": {"x": 11}}
    left = run_step(Scores, "meet", inputs=same, parameters={"needed": 1})
    assert left.next == NextSteps(("big",), choice="big")


def test_what_a_run_could_not_save_is_named() -> None:
    with pytest.raises(ArtifactError, match="lock"):
        run_step(Scores, "big", parameters={"needed": 1})


def test_after_the_last_step_there_is_nothing_next() -> None:
    left = run_step(Scores, "end", parameters={"needed": 1})
    assert left.next == NextSteps()
    assert left.done is True


@pytest.mark.parametrize(
    ("name", "given", "error", "message"),
    [
        ("fitt", {}, GraphError, "did you mean 'fit'"),
        ("fit", {"parameters": {}}, ParameterError, "'needed' is required"),
        ("fit", {"parameters": {"needed": 1, "rat": 1}}, ParameterError, "did you mean 'rate'"),
        ("fit", {"parameters": {"needed": "one"}}, ParameterError, "whole number"),
        ("fit", {"inputs": [{}]}, GraphError, "is no join, and gets several inputs"),
        ("fit", {"index": 3, "items": [1]}, GraphError, "gets index 3 of 1 items"),
        ("fit", {"foreach_stack": [(0, 1, 0)] * 2}, GraphError, "stands in 1 foreaches"),
        ("end", {"index": 0}, GraphError, "stands in no foreach"),
        ("start", {"inputs": {"x": 1}}, GraphError, "is the first one, and gets inputs"),
        ("join", {"inputs": {"fit": {}}}, GraphError, "joins a foreach"),
        ("join", {"inputs": [1]}, GraphError, "gets 1 as a branch"),
        ("meet", {"inputs": {"a": {}}}, GraphError, "joins 2 branches, and gets 1"),
        ("meet", {"inputs": {"a": {}, "c": {}}}, GraphError, "gets a branch 'c'"),
        ("meet", {"inputs": [{}]}, GraphError, "joins 2 branches, and gets 1"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, given: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        run_step(Scores, name, **{"parameters": {"needed": 1}, **given})


def test_a_flow_that_cannot_run_is_refused() -> None:
    class Broken(Scores):
        @step
        def a(self) -> None:
            print(self.unsett)
            self.next(self.meet)

    with pytest.raises(CheckFailed, match=r"reads self\.unsett"):
        run_step(Broken, "start")


def test_nothing_is_left_on_the_disk_or_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = set(MemoryObjects._spaces)
    run_step(Scores, "start", parameters={"needed": 1})
    assert not list(tmp_path.iterdir())
    assert set(MemoryObjects._spaces) == before
