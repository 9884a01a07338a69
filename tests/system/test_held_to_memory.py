"""A step on an Airflow worker that is held to its memory: it grows within one try of Airflow's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airloom.sandbox import Sandbox
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory"),
]

FLOW = """\
from airloom import FlowSpec, catch, current, resources, retry, step


class HeldToMemory(FlowSpec):
    @retry(times=1, minutes_between_retries=0)
    @resources(memory=400)
    @step
    def start(self):
        self.retry_count = current.retry_count
        bytearray(450 * 2**20)
        self.next(self.small)

    @catch(var="failure")
    @resources(memory=400, max_memory=500)
    @step
    def small(self):
        bytearray(450 * 2**20)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    HeldToMemory()
"""
RUN = """\
import sys
sys.path.insert(0, sys.argv[1])
import HeldToMemory
from airflow.sdk import DAG
(dag,) = [one for one in vars(HeldToMemory).values() if isinstance(one, DAG)]
print("state", dag.test().state)
"""


@pytest.fixture
def deployed(airflow_home: Sandbox, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Environment for programs that run the flow, which is in Airflow's DAG folder."""
    file = tmp_path / "held_flow.py"
    file.write_text(FLOW)
    store = str(airflow_home.home / "store")
    environment = {
        **airflow_home.environment,
        "AIRLOOM_DATASTORE_ROOT": store,
        "AIRLOOM_ENFORCE_MEMORY": "true",
    }
    command = [sys.executable, str(file), "deploy", "--dags-folder", str(airflow_home.dags_folder)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    yield environment
    (airflow_home.dags_folder / "HeldToMemory.py").unlink()


def test_a_step_grows_within_one_try_of_airflow(airflow_home: Sandbox, deployed: dict[str, str]) -> None:
    command = [sys.executable, "-c", RUN, str(airflow_home.dags_folder)]
    ended = subprocess.run(command, env=deployed, capture_output=True, text=True, check=False)
    assert "state success" in ended.stdout, ended.stdout + ended.stderr
    datastore = Datastore.open(Settings(datastore_root=str(airflow_home.home / "store")))
    run = next(datastore.runs("HeldToMemory"))

    start = TaskKey("HeldToMemory", run, "start", "0")
    sizes = [datastore.begin(start, number).size for number in datastore.attempts(start)]
    assert [size and (size.memory_mib, size.why) for size in sizes] == [
        (400, "declared"),
        (800, "grown after out of memory"),
    ]
    tries = {datastore.begin(start, number).origin["try_number"] for number in datastore.attempts(start)}
    assert tries == {1}
    done = datastore.done(start)
    assert datastore.load_artifact(done.artifacts["retry_count"], "x").value == 0

    small = TaskKey("HeldToMemory", run, "small", "0")
    kinds = [failed and failed.failure for failed in (datastore.failed(small, n) for n in range(2))]
    assert kinds == ["out_of_memory", None]
    assert datastore.done(small).caught is not None
