"""DAGs that people wrote, in a real Airflow: @task.artifacts, the XCom backend, classic operators.

The DAGs are those of examples/dags. What they leave is read by programs that never import Airflow.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airloom.client import Flow, Run, Task
from airloom.sandbox import Sandbox

pytestmark = pytest.mark.system

EXAMPLES = Path(__file__).parents[2] / "examples" / "dags"
BACKEND = {"AIRFLOW__CORE__XCOM_BACKEND": "airloom.xcom.ArtifactXComBackend"}


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


def without_airflow(code: str, root: Path, pathspec: str) -> Any:
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
        env={"AIRLOOM_DATASTORE_ROOT": str(root), "PATH": "/usr/bin:/bin"},
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


@pytest.fixture(scope="module")
def with_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    home = tmp_path_factory.mktemp("backend")
    with Sandbox(
        home, datastore_root=str(home / "store"), python=Path(sys.executable), environment=BACKEND
    ) as running:
        yield running


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


def test_the_backend_keeps_xcoms_of_a_dag_that_knows_nothing_of_it(with_backend: Sandbox) -> None:
    dag_id = "xcom_backend"
    run_id = finished(with_backend, dag_id)
    root, pathspec = with_backend.home / "store", f"{dag_id}/{run_id}"

    last = "run['report'].task.data.return_value"
    assert without_airflow(f"{last}['sums']", root, pathspec) == [4498500, 8995500500]
    assert without_airflow(f"{last}['rows']", root, pathspec) == 3
    assert without_airflow("run['columns'].task['raw text'].size > 0", root, pathspec) is True
    assert without_airflow("[len(t.data.return_value['values']) for t in run['total']]", root, pathspec) == [
        3000,
        3000,
    ]
    # Its last task has left something there: so the end of the run is known, too.
    assert without_airflow("[run.finished, run.successful]", root, pathspec) == [True, True]

    reference = shown(with_backend, dag_id, run_id, "columns")
    assert reference["pathspec"] == f"{pathspec}/columns/0/return_value"
    assert reference["type"] == "dict"
    assert reference["preview"].startswith("dict of 2")
    assert "return_value" not in reference
    assert shown(with_backend, dag_id, run_id, "columns", "rows") == 3
    assert len(json.dumps(with_backend.api.xcom(dag_id, run_id, "columns", "raw text"))) < 1000

    with_backend.api.clear(dag_id, run_id, ["parts"], downstream=True)
    finished(with_backend, dag_id, run_id)
    parts = Task(f"{pathspec}/parts/0", datastore=root)
    assert parts.attempts == [0, 1]
    assert Task(f"{pathspec}/parts/0", attempt=0, datastore=root).data.return_value == parts.data.return_value
    assert parts.parent_pathspecs == (f"{pathspec}/columns/0@1",)


def test_with_the_backend_taskflow_tasks_hand_values_on_as_without_it(with_backend: Sandbox) -> None:
    dag_id = "artifacts_in_taskflow"
    run_id = finished(with_backend, dag_id)
    run = Run(f"{dag_id}/{run_id}", datastore=with_backend.home / "store")
    assert with_backend.api.xcom(dag_id, run_id, "report") == "3 models, the steepest has 2"
    assert [task.data.model.slope for task in run["fit"]] == [0.0, 1.0, 2.0]
    assert all(task.attempts == [0] for step in run for task in step)


def test_classic_operators_put_files_into_the_datastore_and_back(sandbox: Sandbox) -> None:
    dag_id = "classic_operators"
    run_id = finished(sandbox, dag_id)
    run = Run(f"{dag_id}/{run_id}", datastore=sandbox.home / "store")
    assert run["keep"].task.data.text == f"hello from {run_id}\n".encode()
    assert run["note"].task.data.note == "kept by classic_operators"
    assert sandbox.api.xcom(dag_id, run_id, "fetch") == f"/tmp/airloom_example/{run_id}/out.txt"
