"""Every good flow leaves the same artifacts here as in Airflow, task by task."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airloom.client import DataArtifact, Flow, Run, Task
from airloom.flow.caught import CaughtException
from airloom.sandbox import Sandbox

pytestmark = pytest.mark.system

CommandLine = Callable[..., subprocess.CompletedProcess[str]]

# Their pickles differ, their values do not: they hold the path of the code, a traceback with it,
# or equal texts that are one object here and two there.
_UNLIKE_BYTES = {
    ("OwnTypesFlow", "shifted"),
    ("FailingStepsFlow", "problem"),
    ("FailingStepsFlow", "late"),
    ("RetryByTypeFlow", "trouble"),
    ("FactsOfCurrentFlow", "place"),
}


@pytest.fixture(scope="module")
def runs(
    sandbox: Sandbox, command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Run, Run]]]:
    """The local run and the Airflow run of every good flow, by its module's name."""
    files = _good_flows()
    folder, root = tmp_path_factory.mktemp("runs"), sandbox.home / "store"

    def start_in_airflow(file: Path) -> tuple[str, str]:
        flow = _flow_of(file)
        sandbox.api.wait_for_dag(flow, 300)
        return flow, sandbox.api.trigger(flow, run_id="same~as+local:1")

    def run_here(file: Path) -> str:
        command_line(file, "--quiet", "run", "--run-id-file", str(folder / file.stem), root=root)
        return (folder / file.stem).read_text()

    for file in files:
        command_line(file, "deploy", "--dags-folder", str(sandbox.dags_folder), root=root)
    # One after another: triggers side by side meet a locked database on SQLite.
    started = list(map(start_in_airflow, files))
    here = list(map(run_here, files))
    found: dict[str, tuple[Run, Run]] = {}
    for file, (flow, run), local in zip(files, started, here, strict=True):
        ended = sandbox.api.wait_for_run(flow, run, 500)
        assert ended.state == "success" or _failures(sandbox, flow, run) is None
        found[file.stem] = Run(f"{flow}/{local}", datastore=root), Run(f"{flow}/{run}", datastore=root)
    yield found
    for file in files:
        (sandbox.dags_folder / f"{_flow_of(file)}.py").unlink()


def _good_flows() -> list[Path]:
    folder = Path(__file__).parents[1] / "flows" / "good"
    return [file for file in sorted(folder.glob("*.py")) if "__main__" in file.read_text()]


def _flow_of(file: Path) -> str:
    return file.read_text().rsplit("__main__", 1)[1].split("(")[0].split()[-1]


def _failures(sandbox: Sandbox, flow: str, run: str) -> str | None:
    tasks = [task for task in sandbox.api.task_instances(flow, run) if task.state == "failed"]
    logs = [
        sandbox.api.task_log(flow, run, task.task_id, task.try_number, map_index=task.map_index)
        for task in tasks
    ]
    pytest.fail(f"{flow} failed in Airflow\n" + "\n".join(logs))


def tasks_of(run: Run) -> dict[str, Task]:
    return {f"{step.id}/{task.id}": task for step in run for task in step}


def artifacts_of(task: Task) -> dict[str, DataArtifact]:
    private = {name: task[name] for name in task.private_artifacts}
    return private | {artifact.id: artifact for artifact in task}


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, CaughtException):
        # The rest of the text names the run.
        return (one.type, one.exception.split("\n")[0]) == (other.type, other.exception.split("\n")[0])
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and np.array_equal(one, other))
    if callable(one) and not isinstance(one, type):
        return bool(one(7) == other(7))
    return type(one) is type(other) and bool(one == other)


def test_artifacts_are_the_same_in_airflow(runs: dict[str, tuple[Run, Run]], good_flow: Path) -> None:
    here, airflow = runs[good_flow.stem]
    assert here.successful
    mine, theirs = tasks_of(here), tasks_of(airflow)
    assert mine.keys() == theirs.keys()
    for name, task in mine.items():
        ours, others = artifacts_of(task), artifacts_of(theirs[name])
        assert ours.keys() == others.keys(), name
        for artifact, saved in ours.items():
            where = f"{name}/{artifact}"
            if (here.path_components[0], artifact) in _UNLIKE_BYTES:
                assert equal(saved.data, others[artifact].data), where
            else:
                assert saved.sha == others[artifact].sha, where


def test_lineage_is_the_same_in_airflow(runs: dict[str, tuple[Run, Run]], good_flow: Path) -> None:
    def parents(run: Run) -> dict[str, list[str]]:
        return {
            name: [parent.pathspec.split("/", 2)[2] for parent in task.parent_tasks]
            for name, task in tasks_of(run).items()
        }

    here, airflow = runs[good_flow.stem]
    assert parents(here) == parents(airflow)


def test_values_load_with_the_classes_of_the_flow(runs: dict[str, tuple[Run, Run]]) -> None:
    here, airflow = runs["own_types"]
    for name in ("model", "point", "colour", "pair", "raw", "big", "array", "results"):
        one, other = (run["end"].task[name].data for run in (here, airflow))
        assert equal(one, other), name
    assert airflow["start"].task["shifted"].data(1) == 11


def test_both_runs_are_runs_of_one_flow(runs: dict[str, tuple[Run, Run]], sandbox: Sandbox) -> None:
    here, airflow = runs["hello"]
    listed = [run.id for run in Flow("HelloFlow", datastore=sandbox.home / "store")]
    assert set(listed) == {here.id, airflow.id}
