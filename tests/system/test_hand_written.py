"""DAGs that people wrote, in a real Airflow: @task.artifacts, the XCom backend, classic operators.

The DAGs are those of examples/dags. What they leave is read by programs that never import Airflow.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airloom.client import Flow, Run, Task
from airloom.sandbox import Sandbox
from support.stores import Server, only

pytestmark = pytest.mark.system

EXAMPLES = Path(__file__).parents[2] / "examples" / "dags"


def finished(airflow: Sandbox, dag_id: str, run_id: str = "") -> str:
    """Run an example DAG to its good end."""
    if not run_id:
        shutil.copy(EXAMPLES / f"{dag_id}.py", airflow.dags_folder)
        airflow.api.wait_for_dag(dag_id, 120)
        run_id = airflow.api.trigger(dag_id)
    if airflow.api.wait_for_run(dag_id, run_id, 240).state != "success":
        failed = [one for one in airflow.api.task_instances(dag_id, run_id) if one.state == "failed"]
        logs = [airflow.api.task_log(dag_id, run_id, one.task_id, map_index=one.map_index) for one in failed]
        pytest.fail("\n".join(logs))
    return run_id


def without_airflow(code: str, root: Path | str, pathspec: str, server: Server | None = None) -> Any:
    """What an expression over ``run`` gives in a process of its own, which has no Airflow."""
    program = (
        "import json, sys\n"
        "sys.modules['airflow'] = None\n"
        "import airloom\n"
        "airloom.namespace(None)\n"
        f"run = airloom.Run({pathspec!r})\n"
        f"print(json.dumps({code}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**({} if server is None else only(server)), "AIRLOOM_DATASTORE_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def shown(airflow: Sandbox, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
    """What the page of XComs in Airflow's user interface asks for and gets."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
    query = {"deserialize": "true", "stringify": "false", "map_index": -1}
    return airflow.api.request("GET", path.replace(" ", "%20"), query=query)["value"]


@dataclass(frozen=True)
class WithBackend:
    """An Airflow with the XCom backend, whose datastore is a bucket that a connection opens."""

    airflow: Sandbox
    root: str
    server: Server

    def read(self, code: str, pathspec: str) -> Any:
        return without_airflow(code, self.root, pathspec, self.server)


@pytest.fixture(scope="module")
def with_backend(s3_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithBackend]:
    home, root = tmp_path_factory.mktemp("backend"), f"{s3_server.bucket()}/xcoms"
    connection = {
        "conn_type": "aws",
        "login": "key",
        "password": "secret",
        "extra": {"endpoint_url": s3_server.url, "region_name": "us-east-1"},
    }
    environment = {
        "AIRFLOW__CORE__XCOM_BACKEND": "airloom.xcom.ArtifactXComBackend",
        "AIRFLOW__AIRLOOM__DATASTORE_CONNECTION": "the_store",
        "AIRFLOW_CONN_THE_STORE": json.dumps(connection),
        "AIRLOOM_CACHE_DIR": str(home / "cache"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    python = Path(sys.executable)
    with Sandbox(home, datastore_root=root, python=python, environment=environment) as running:
        yield WithBackend(running, root, s3_server)


def test_results_of_taskflow_tasks_are_versions(sandbox: Sandbox) -> None:
    dag_id = "artifacts_in_taskflow"
    run_id = finished(sandbox, dag_id)
    root, pathspec = sandbox.home / "store", f"{dag_id}/{run_id}"

    assert without_airflow("run['summary'].task.data.steepest", root, pathspec) == 2.0
    # The class stands in the DAG file, and is there all the same.
    assert without_airflow("[t.data.model.slope for t in run['fit']]", root, pathspec) == [0.0, 1.0, 2.0]
    assert without_airflow("[t.id for t in run['fit'].task.parent_tasks[0].parent]", root, pathspec) == ["0"]
    assert without_airflow("run['fit']['1'].stdout", root, pathspec).startswith("fitting south")

    reference = shown(sandbox, dag_id, run_id, "summary", "steepest")
    assert reference["pathspec"] == f"{pathspec}/summary/0/steepest"
    assert (reference["type"], reference["preview"], reference["attempt"]) == ("float", "2.0", 0)
    assert sandbox.api.xcom(dag_id, run_id, "report") == "3 models, the steepest has 2"

    run = Run(pathspec, datastore=root)
    assert [step.id for step in run] == ["measure", "fit", "summary"]
    assert run.parameters == {"regions": ["north", "south", "west"]}
    fit = run["fit"]["2"]
    assert "class Model" in fit.code.flowspec
    assert fit.usage is not None
    assert fit.usage.peak_memory_mib > 0
    assert fit.parent_pathspecs == (f"{pathspec}/measure/0@0",)
    assert {parent.partition("@")[0] for parent in run["summary"].task.parent_pathspecs} == {
        f"{pathspec}/measure/0",
        *(f"{pathspec}/fit/{n}" for n in range(3)),
    }
    assert run_id in [run.id for run in Flow(dag_id, datastore=root)]

    # A clear makes a new version; the one before stays.
    sandbox.api.clear(dag_id, run_id, ["summary"], downstream=True)
    finished(sandbox, dag_id, run_id)
    again = Task(f"{pathspec}/summary/0", datastore=root)
    assert again.attempts == [0, 1]
    assert Task(f"{pathspec}/summary/0", attempt=0, datastore=root).data.steepest == 2.0
    assert shown(sandbox, dag_id, run_id, "summary", "steepest")["attempt"] == 1


@pytest.mark.store
def test_the_backend_keeps_xcoms_of_a_dag_that_knows_nothing_of_it(with_backend: WithBackend) -> None:
    airflow, read, dag_id = with_backend.airflow, with_backend.read, "xcom_backend"
    run_id = finished(airflow, dag_id)
    pathspec = f"{dag_id}/{run_id}"

    last = "run['report'].task.data.return_value"
    assert read(f"[{last}['sums'], {last}['rows']]", pathspec) == [[4498500, 8995500500], 3]
    assert read("run['columns'].task['raw text'].data[:6]", pathspec) == "1,2,3\n"
    lengths = "[len(t.data.return_value['values']) for t in run['total']]"
    assert read(lengths, pathspec) == [3000, 3000]
    # Its last task has left something there: so the end of the run is known, too.
    assert read("[run.finished, run.successful]", pathspec) == [True, True]

    reference = shown(airflow, dag_id, run_id, "columns")
    assert reference["pathspec"] == f"{pathspec}/columns/0/return_value"
    assert reference["type"] == "dict"
    assert reference["preview"].startswith("dict of 2")
    assert shown(airflow, dag_id, run_id, "columns", "rows") == 3
    assert len(json.dumps(airflow.api.xcom(dag_id, run_id, "columns", "raw text"))) < 1000

    airflow.api.clear(dag_id, run_id, ["parts"], downstream=True)
    finished(airflow, dag_id, run_id)
    assert read("run['parts'].task.attempts", pathspec) == [0, 1]
    both = f"[airloom.Task('{pathspec}/parts/0', attempt=n).data.return_value for n in (0, 1)]"
    assert read(f"(lambda old, new: old == new)(*{both})", pathspec) is True
    assert read("run['parts'].task.parent_pathspecs", pathspec) == [f"{pathspec}/columns/0@1"]


@pytest.mark.store
def test_with_the_backend_taskflow_tasks_hand_values_on_as_without_it(with_backend: WithBackend) -> None:
    dag_id = "artifacts_in_taskflow"
    run_id = finished(with_backend.airflow, dag_id)
    assert with_backend.airflow.api.xcom(dag_id, run_id, "report") == "3 models, the steepest has 2"
    slopes = "[task.data.model.slope for task in run['fit']]"
    assert with_backend.read(slopes, f"{dag_id}/{run_id}") == [0.0, 1.0, 2.0]
    attempts = "[task.attempts for step in run for task in step if step.id != 'report']"
    assert with_backend.read(attempts, f"{dag_id}/{run_id}") == [[0]] * 5


def test_classic_operators_put_files_into_the_datastore_and_back(sandbox: Sandbox) -> None:
    dag_id = "classic_operators"
    run_id = finished(sandbox, dag_id)
    run = Run(f"{dag_id}/{run_id}", datastore=sandbox.home / "store")
    assert run["keep"].task.data.text == f"hello from {run_id}\n".encode()
    assert run["note"].task.data.note == "kept by classic_operators"
    assert sandbox.api.xcom(dag_id, run_id, "size") == len(f"hello from {run_id}\n")
    assert sandbox.api.xcom(dag_id, run_id, "fetch") == f"/tmp/airloom_example/{run_id}/out.txt"
