"""Flows whose store is a bucket: on this machine, in Airflow, and read from anywhere by its URL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from airloom.sandbox import Sandbox
from support.stores import Server, only

SECRET = "secret-of-the-connection"

FLOW = """
from airloom import FlowSpec, current, parallel, step

class Bucketed(FlowSpec):
    @step
    def start(self):
        self.numbers = [1, 2, 3]
        self.next(self.square, foreach="numbers")

    @step
    def square(self):
        print("squaring", self.input)
        self.result = self.input ** 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(i.result for i in inputs)
        self.next(self.work, num_parallel=2)

    @parallel
    @step
    def work(self):
        self.place = current.parallel.node_index
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.places = [i.place for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        from airloom.client import Run, namespace
        namespace(None)
        self.seen = Run(f"Bucketed/{current.run_id}")["join"].task.data.total

if __name__ == "__main__":
    Bucketed()
"""

READ = """
import json, sys
from airloom.client import Flow, namespace
namespace(None)
run = Flow("Bucketed", datastore=sys.argv[1]).latest_run
squares = sorted(task.data.result for task in run["square"])
places = run["gather"].task.data.places
print(json.dumps([run.successful, run["join"].task.data.total, run.data.seen, squares, places]))
"""

SINGLE = """
from airloom import FlowSpec, step

class Counting(FlowSpec):
    @step
    def start(self):
        self.number = 1
        self.next(self.middle)

    @step
    def middle(self):
        self.number += 1
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Counting()
"""


def program(*command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.store
@pytest.mark.parametrize("kind", ["s3", "az", "gs"])
def test_a_flow_runs_here_and_its_store_is_a_bucket(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: Server = request.getfixturevalue(f"{kind}_server")
    root = f"{server.bucket()}/flows of mine"
    file = tmp_path / "bucketed.py"
    file.write_text(FLOW)
    cache = {"AIRLOOM_CACHE_DIR": str(tmp_path / "cache")}
    environment = only(server, AIRLOOM_DATASTORE_ROOT=root, AIRLOOM_USER="somebody", **cache)
    assert "succeeded" in program(str(file), "run", environment=environment)
    # Read with nothing but the URL, from another folder than the flow's.
    elsewhere = only(server, **cache)
    assert json.loads(program("-c", READ, root, environment=elsewhere)) == [True, 14, 14, [1, 4, 9], [0, 1]]
    verbs = ["-m", "airloom", "runs", "--datastore-root", root, "Bucketed"]
    assert "succeeded" in program(*verbs, environment=environment)


@pytest.mark.store
def test_a_task_makes_few_requests(s3_server: Server, tmp_path: Path) -> None:
    root = s3_server.bucket()
    file = tmp_path / "counting.py"
    file.write_text(SINGLE)
    environment = only(s3_server, AIRLOOM_DATASTORE_ROOT=root, AIRLOOM_CACHE_DIR=str(tmp_path / "cache"))
    s3_server.forget()
    program(str(file), "run", environment=environment)
    requests = [line for line in s3_server.requests() if "/middle" in line or "%2Fmiddle%2F" in line]
    asked = Counter(line.partition(" ")[0] for line in requests)
    # Claimed: a listing and begin.json. Committed: a look for failed.json, and done.json. Found by
    # the runner: a listing and done.json. Read by the next task: the same once more.
    assert asked == {"GET": 5, "PUT": 2, "HEAD": 1}
    # All in all: eleven for the run itself, and per task three for the run and its artifacts.
    assert len(s3_server.requests()) <= 60


@pytest.mark.system
@pytest.mark.store
def test_a_flow_runs_in_airflow_with_a_connection(
    s3_server: Server, tmp_path: Path, command_line: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow", reason="Airflow is not installed")
    root = f"{s3_server.bucket()}/flows"
    file = tmp_path / "bucketed.py"
    file.write_text(FLOW)
    dags = tmp_path / "airflow" / "airflow" / "dags"
    dags.mkdir(parents=True)
    environment = only(s3_server, AIRLOOM_DATASTORE_ROOT=root, AIRLOOM_CACHE_DIR=str(tmp_path / "cache"))
    program(str(file), "deploy", "--dags-folder", str(dags), environment=environment)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    connection = {
        "conn_type": "aws",
        "login": "key-of-the-connection",
        "password": SECRET,
        "extra": {"endpoint_url": s3_server.url, "region_name": "us-east-1"},
    }
    airflow = {
        "AIRLOOM_DATASTORE_CONNECTION": "the_store",
        "AIRFLOW_CONN_THE_STORE": json.dumps(connection),
        "AIRLOOM_CACHE_DIR": str(tmp_path / "worker's cache"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with Sandbox(tmp_path / "airflow", datastore_root=root, environment=airflow) as running:
        running.api.wait_for_dag("Bucketed", 300)
        run = running.api.trigger("Bucketed")
        ended = running.api.wait_for_run("Bucketed", run, 300)
        tasks = {task.task_id: task.state for task in running.api.task_instances("Bucketed", run)}
        assert ended.state == "success", (tasks, running.api.task_log("Bucketed", run, "start"))
    assert json.loads(program("-c", READ, root, environment=environment))[:3] == [True, 14, 14]
    told = [path for path in tmp_path.rglob("*.log") if SECRET in path.read_text(errors="replace")]
    assert told == []
