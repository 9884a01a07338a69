"""A run that failed in Airflow goes on here, with code that was mended; and whose run it is."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from airloom.client import Flow, Run
from airloom.sandbox import Sandbox

pytestmark = pytest.mark.system

CommandLine = Callable[..., subprocess.CompletedProcess[str]]

FLOW = """
import os
from airloom import FlowSpec, Parameter, current, step

class ResumedHere(FlowSpec):
    scale = Parameter("scale", default=1)

    @step
    def start(self):
        self.pid = os.getpid()
        self.kind = "wide"
        self.next({"wide": self.wide, "narrow": self.narrow}, condition="kind")

    @step
    def narrow(self):
        self.next(self.meet)

    @step
    def wide(self):
        self.items = [1, 2, 3]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        if BROKEN and self.input == 2:
            raise ValueError("not this one")
        self.made = (self.input * self.scale, current.origin_run_id)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.made = [i.made for i in inputs]
        self.next(self.meet)

    @step
    def meet(self):
        self.count = 0
        self.next(self.rounds)

    @step
    def rounds(self):
        self.count += 1
        self.again = self.count < 3
        self.next({True: self.rounds, False: self.end}, condition="again")

    @step
    def end(self):
        pass

BROKEN = True

if __name__ == "__main__":
    ResumedHere()
"""


@pytest.fixture(scope="module")
def failed(
    sandbox: Sandbox, command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Run]:
    """The flow's file, and a run of it that failed in Airflow."""
    root = sandbox.home / "store"
    file = tmp_path_factory.mktemp("resumed") / "resumed_here.py"
    file.write_text(FLOW)
    command_line(file, "deploy", "--dags-folder", str(sandbox.dags_folder), root=root)
    sandbox.api.wait_for_dag("ResumedHere", 60)
    run = sandbox.api.trigger("ResumedHere", {"scale": 10})
    assert sandbox.api.wait_for_run("ResumedHere", run, 120).state == "failed"
    return file, Run(f"ResumedHere/{run}", datastore=root, _namespace_check=False)


def test_a_run_of_airflow_is_its_users(failed: tuple[Path, Run], sandbox: Sandbox) -> None:
    _, run = failed
    assert {f"user:{sandbox.user}", "runtime:airflow"} < run.tags
    assert any(tag.startswith("python_version:3.") for tag in run.tags)


def test_a_run_that_failed_in_airflow_is_resumed_here(
    failed: tuple[Path, Run], sandbox: Sandbox, command_line: CommandLine
) -> None:
    file, origin = failed
    root = sandbox.home / "store"
    file.write_text(FLOW.replace("BROKEN = True", "BROKEN = False"))
    told = command_line(file, "resume", "--origin-run-id", origin.id, root=root).stdout
    run = Flow("ResumedHere", datastore=root, _namespace_check=False).latest_run
    assert run is not None
    assert "4 tasks are taken over" in told
    assert run.successful
    assert run.origin_pathspec == origin.pathspec
    assert run.data is not None
    assert run.data.made == [(10, None), (20, origin.id), (30, None)]
    assert run.data.count == 3
    assert run["start"].task["pid"].sha == origin["start"].task["pid"].sha
    assert run["work"]["0"].origin_pathspec == f"{origin.pathspec}/work/0"
    assert run["work"]["1"].origin_pathspec is None
