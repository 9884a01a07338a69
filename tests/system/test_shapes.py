"""The hard shapes in Airflow: nested foreaches with a switch, rounds, gangs, very wide foreaches; cleared."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from airloom import settings
from airloom.client import Run
from airloom.compiler.planner import compile_flow
from airloom.deploy import deploy
from airloom.runtime.code import import_flow
from airloom.sandbox import Sandbox

pytestmark = pytest.mark.system

CommandLine = Callable[..., subprocess.CompletedProcess[str]]

SHAPES_NESTED = """
from airloom import FlowSpec, current, retry, step

class ShapesNested(FlowSpec):
    @step
    def start(self):
        self.xs = [1, 2]
        self.next(self.middle, foreach="xs")

    @step
    def middle(self):
        self.ys = list(range(self.input))
        self.next(self.inner, foreach="ys")

    @step
    def inner(self):
        self.zs = ["p", "q"]
        self.next(self.choose, foreach="zs")

    @step
    def choose(self):
        self.kind = "left" if self.input == "p" else "right"
        self.next({"left": self.left, "right": self.right}, condition="kind")

    @retry(times=1, minutes_between_retries=0)
    @step
    def left(self):
        if self.foreach_stack()[0].value == 2 and current.retry_count == 0:
            raise RuntimeError("the first try fails")
        self.word = "L%d" % current.retry_count
        self.next(self.meet)

    @step
    def right(self):
        self.word = "R"
        self.next(self.meet)

    @step
    def meet(self):
        self.word += "".join(str(frame.value) for frame in self.foreach_stack())
        self.next(self.join_z)

    @step
    def join_z(self, inputs):
        self.words = [i.word for i in inputs]
        self.next(self.join_y)

    @step
    def join_y(self, inputs):
        self.words = [i.words for i in inputs]
        self.next(self.join_x)

    @step
    def join_x(self, inputs):
        self.words = [i.words for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    ShapesNested()
"""
NESTED_WORDS = [[["L010p", "R10q"]], [["L120p", "R20q"], ["L121p", "R21q"]]]

SHAPES_ROUNDS = """
from airloom import FlowSpec, current, retry, step

class ShapesRounds(FlowSpec):
    @step
    def start(self):
        self.limits = [2, 3]
        self.next(self.prepare, foreach="limits")

    @step
    def prepare(self):
        self.count = 0
        self.next(self.loop)

    @retry(times=1, minutes_between_retries=0)
    @step
    def loop(self):
        if self.count == 1 and current.retry_count == 0:
            raise RuntimeError("the second round fails once")
        self.count += 1
        self.go = "again" if self.count < self.input else "done"
        self.next({"again": self.loop, "done": self.after}, condition="go")

    @step
    def after(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.counts = [i.count for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    ShapesRounds()
"""

SHAPES_WIDE = """
from airloom import FlowSpec, current, retry, step

class ShapesWide(FlowSpec):
    @step
    def start(self):
        self.xs = range(5000)
        self.next(self.body, foreach="xs")

    @retry(times=1, minutes_between_retries=0)
    @step
    def body(self):
        if self.index == 1234 and current.retry_count == 0:
            raise ValueError("once")
        self.y = self.input * 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(i.y for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    ShapesWide()
"""


def _put(sandbox: Sandbox, folder: Path, name: str, source: str) -> tuple[str, str]:
    (folder / f"{name}.py").write_text(source)
    store = sandbox.environment["AIRFLOW__AIRLOOM__DATASTORE_ROOT"]
    found = settings.load({"datastore_root": store})
    compiled = compile_flow(import_flow(folder / f"{name}.py"), found)
    deploy(compiled, found, sandbox.dags_folder)
    sandbox.api.wait_for_dag(compiled.plan.dag_id)
    return compiled.plan.dag_id, store


def _run(flow: str, run_id: str, store: str) -> Run:
    return Run(f"{flow}/{run_id}", datastore=store, _namespace_check=False)


def _labels(sandbox: Sandbox, flow: str, run_id: str, task: str) -> set[str]:
    """What Airflow calls the mapped tasks of a step in its grid."""
    path = f"/dags/{flow}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task}/listMapped"
    found = sandbox.api.request("GET", path)["task_instances"]
    return {str(one["rendered_map_index"]) for one in found}


def test_three_nested_foreaches_with_a_switch_end_right_also_after_a_clear_in_the_middle(
    sandbox: Sandbox, tmp_path: Path, command_line: CommandLine
) -> None:
    flow, store = _put(sandbox, tmp_path, "shapes_nested", SHAPES_NESTED)
    run_id = sandbox.api.trigger(flow)
    command_line(tmp_path / "shapes_nested.py", "run", "--run-id-file", str(tmp_path / "here"), root=store)
    assert _run(flow, (tmp_path / "here").read_text(), store).data.words == NESTED_WORDS
    assert sandbox.api.wait_for_run(flow, run_id, 180).state == "success"
    assert _run(flow, run_id, store).data.words == NESTED_WORDS
    before = _run(flow, run_id, store)["start"].task.attempts
    assert _labels(sandbox, flow, run_id, "meet") == {
        "1 / 0 / p", "1 / 0 / q", "2 / 0 / p", "2 / 0 / q", "2 / 1 / p", "2 / 1 / q"
    }  # fmt: skip

    sandbox.api.clear(flow, run_id, ["inner"], downstream=True)
    assert sandbox.api.wait_for_run(flow, run_id, 180).state == "success"
    after = _run(flow, run_id, store)
    assert after.data.words == NESTED_WORDS
    assert after["start"].task.attempts == before  # what was not cleared did not run again
    assert after["meet"]["1.1.0"].attempts == [0, 1]


def test_rounds_go_on_after_a_retry_and_begin_anew_after_a_clear(sandbox: Sandbox, tmp_path: Path) -> None:
    flow, store = _put(sandbox, tmp_path, "shapes_rounds", SHAPES_ROUNDS)
    run_id = sandbox.api.trigger(flow)
    assert sandbox.api.wait_for_run(flow, run_id).state == "success"
    run = _run(flow, run_id, store)
    assert run.data.counts == [2, 3]
    # Round 0, the failed round 1, and then round 1 (and 2) of the retry.
    assert [len(run["loop"][index].attempts) for index in "01"] == [3, 4]

    sandbox.api.clear(flow, run_id, ["loop"], downstream=True)
    assert sandbox.api.wait_for_run(flow, run_id).state == "success"
    assert _run(flow, run_id, store).data.counts == [2, 3]
    assert len(_run(flow, run_id, store)["loop"]["0"].attempts) == 6


def test_five_thousand_indices_run_as_a_few_tasks_and_a_retry_runs_one_of_them(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    flow, store = _put(sandbox, tmp_path, "shapes_wide", SHAPES_WIDE)
    run_id = sandbox.api.trigger(flow)
    assert sandbox.api.wait_for_run(flow, run_id, 300).state == "success"
    run = _run(flow, run_id, store)
    assert run.data.total == 5000 * 4999
    assert (run["body"]["1234"].attempts, run["body"]["1235"].attempts) == ([0, 1], [0])
    bodies = [task for task in sandbox.api.task_instances(flow, run_id) if task.task_id == "body"]
    assert len(bodies) <= 16
    assert sorted(task.try_number for task in bodies)[-2:] == [1, 2]
