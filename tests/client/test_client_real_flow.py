"""A flow that ran on this machine, read by its pathspecs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airloom.client import Flow, Run, Step, Task
from airloom.errors import NotFound
from airloom.store.datastore import Datastore

FLOW = """
from airloom import FlowSpec, Parameter, catch, retry, step


class Model:
    def __init__(self, rate):
        self.rate = rate


class Train(FlowSpec):
    scale = Parameter("scale", default=2)

    @step
    def start(self):
        self.rates = [1, 2, 3]
        print("starting")
        self.next(self.fit, foreach="rates")

    @catch(var="problem")
    @step
    def fit(self):
        self.model = Model(self.input * self.scale)
        if self.input == 3:
            raise ValueError("too fast")
        self.next(self.pick)

    @step
    def pick(self, inputs):
        self.best = max((i.model for i in inputs if not i.problem), key=lambda model: model.rate)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Train()
"""


NESTED = """
from airloom import FlowSpec, step


class Nested(FlowSpec):
    @step
    def start(self):
        self.rows = [[1, 2], [3]]
        self.next(self.row, foreach="rows")

    @step
    def row(self):
        self.cells = self.input
        self.next(self.cell, foreach="cells")

    @step
    def cell(self):
        self.value = self.input
        self.next(self.sum)

    @step
    def sum(self, inputs):
        self.total = sum(i.value for i in inputs)
        self.next(self.whole)

    @step
    def whole(self, inputs):
        self.all = sum(i.total for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Nested()
"""


def execute(text: str, tmp_path: Path, datastore: Datastore) -> None:
    file = tmp_path / "flow" / "train_models.py"
    file.parent.mkdir()
    file.write_text(text)
    environment = {**os.environ, "AIRLOOM_DATASTORE_ROOT": datastore.root}
    command = [sys.executable, "-W", "error", str(file), "run"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def run(tmp_path: Path, datastore: Datastore) -> Run:
    execute(FLOW, tmp_path, datastore)
    found = Flow("Train").latest_run
    assert found is not None
    return found


def test_a_run_of_the_local_runner_is_read_whole(run: Run) -> None:
    assert run.successful
    assert Flow("Train").latest_successful_run == run
    assert [step.id for step in run] == ["start", "fit", "pick", "end"]
    assert run.parameters == {"scale": 2}
    # The class lies in the flow's own file, which this process never imported.
    assert run.data is not None
    assert run.data.best.rate == 4
    assert type(run.data.best).__module__ == "train_models"
    assert run["start"].task.stdout == "starting\n"
    assert run["start"].task.data.scale == 2


def test_a_caught_failure_of_the_local_runner_is_told(run: Run) -> None:
    task = Task(f"{run.pathspec}/fit/2")
    assert task.successful
    assert task.exception is not None
    assert task.exception.type.endswith("ValueError")
    assert task.exception.exception == "too fast"
    assert Task(f"{run.pathspec}/fit/1").exception is None


def test_lineage_of_the_local_runner_is_read_both_ways(run: Run) -> None:
    pick = run["pick"].task
    assert pick.parent_tasks == list(Step(f"{run.pathspec}/fit"))
    assert list(run["start"].task.child_tasks) == list(run["fit"])
    assert list(run["fit"]["1"].child_tasks) == [pick]
    assert list(pick.child_tasks) == [run.end_task]


def test_nested_foreaches_are_read_by_their_indices(tmp_path: Path, datastore: Datastore) -> None:
    execute(NESTED, tmp_path, datastore)
    run = Flow("Nested").latest_run
    assert run is not None
    assert run.data is not None
    assert run.data.all == 6
    assert [(task.id, task.index) for task in run["cell"]] == [("0.0", 0), ("0.1", 1), ("1.0", 0)]
    assert list(run["row"]["0"].child_tasks) == [run["cell"]["0.0"], run["cell"]["0.1"]]
    assert list(run["cell"]["1.0"].child_tasks) == [run["sum"]["1"]]
    assert list(run["sum"]["1"].child_tasks) == [run["whole"].task]
    with pytest.raises(NotFound, match="named by its indices"):
        run["cell"]["2"]
