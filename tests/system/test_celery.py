"""The CeleryExecutor over PostgreSQL and Redis: a wide foreach, and a worker that is lost on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airloom import settings
from airloom.client import Run, Task
from airloom.compiler.planner import compile_flow
from airloom.deploy import deploy
from airloom.runtime.code import import_flow
from support.celery_airflow import SLOTS, WORKERS, CeleryAirflow, celery_airflow
from support.postgres import postgres
from support.redis_server import redis_server

pytestmark = [pytest.mark.system, pytest.mark.slow]

WIDTH = 200
# In the middle of the run as many tasks as there are slots leave a note and wait for a file.
FLOW = f"""
import os, time
from pathlib import Path
from airloom import FlowSpec, Parameter, retry, step

class CeleryFlow(FlowSpec):
    folder = Parameter("folder", required=True)

    @step
    def start(self):
        self.numbers = list(range({WIDTH}))
        self.next(self.square, foreach="numbers")

    @retry(times=2, minutes_between_retries=0)
    @step
    def square(self):
        go = Path(self.folder, "go")
        if 80 <= self.input < {80 + SLOTS * len(WORKERS)} and not go.exists():
            Path(self.folder, f"waits-{{self.input}}").write_text(str(os.getpid()))
            while not go.exists():
                time.sleep(0.1)
        self.result = self.input ** 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.results = [branch.result for branch in inputs]
        self.next(self.end)

    @step
    def end(self):
        self.total = sum(self.results)

if __name__ == "__main__":
    CeleryFlow()
"""


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[CeleryAirflow]:
    pytest.importorskip("airflow.providers.celery", reason="Airflow's Celery provider is not installed")
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    with (
        postgres() as database,
        redis_server(tmp_path) as broker,
        celery_airflow(tmp_path / "home", database=database, broker=broker) as running,
    ):
        yield running


def test_a_worker_is_lost_and_every_index_is_committed_once(airflow: CeleryAirflow, tmp_path: Path) -> None:
    (tmp_path / "celery_flow.py").write_text(FLOW)
    found = settings.load({"datastore_root": str(airflow.store)})
    deploy(compile_flow(import_flow(tmp_path / "celery_flow.py"), found), found, airflow.dags_folder)
    airflow.api.wait_for_dag("CeleryFlow")
    run_id = airflow.api.trigger("CeleryFlow", {"folder": str(tmp_path)})

    waiting = wait_for_all_slots(airflow, tmp_path)
    by_worker = {worker: {i for i, where in waiting.items() if where == worker} for worker in WORKERS}
    assert [len(indices) for indices in by_worker.values()] == [SLOTS, SLOTS]
    airflow.lose("worker1")
    (tmp_path / "go").touch()
    ended = airflow.api.wait_for_run("CeleryFlow", run_id, timeout_s=300)
    assert ended.state == "success"

    where = {"datastore": str(airflow.store), "_namespace_check": False}
    run = Run(f"CeleryFlow/{run_id}", **where)
    assert run.data.total == sum(n**2 for n in range(WIDTH))
    tasks = {task.index: task for task in run["square"]}
    assert {index: task.data.result for index, task in tasks.items()} == {n: n**2 for n in range(WIDTH)}
    committed = {
        index: [number for number in task.attempts if Task(task.pathspec, number, **where).successful]
        for index, task in tasks.items()
    }
    assert {index: len(attempts) for index, attempts in committed.items()} == dict.fromkeys(range(WIDTH), 1)
    assert {index for index, task in tasks.items() if len(task.attempts) > 1} == by_worker["worker1"]


def wait_for_all_slots(airflow: CeleryAirflow, folder: Path) -> dict[int, str | None]:
    """Wait until each slot of both workers holds a task that waits; which worker holds which index."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        notes = {int(file.name.removeprefix("waits-")): file for file in folder.glob("waits-*")}
        pids = {index: file.read_text() for index, file in notes.items()}
        if len(pids) == SLOTS * len(WORKERS) and all(pids.values()):
            return {index: airflow.worker_of(int(pid)) for index, pid in pids.items()}
        time.sleep(0.1)
    logs = "\n".join(f"{name}:\n{airflow.log_tail(name)}" for name in ("scheduler", *WORKERS))
    raise AssertionError(f"only these wait: {sorted(pids)}\n{logs}")
