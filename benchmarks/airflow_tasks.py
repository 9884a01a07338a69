"""Inside of Airflow: a step beside a bare PythonOperator, in the same Airflow."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from datetime import datetime

from airloom.sandbox import AirflowApi, Sandbox
from benchmarks import flows
from benchmarks.dag_files import deploy
from benchmarks.measure import Bench, Row, environment

_TASKS = 20
_LIMIT_S = 300.0


def steps(bench: Bench) -> Iterator[Row]:
    """A chain of steps and a chain of bare tasks, run in turn by one embedded Airflow."""
    with bench.fresh() as folder:
        home = folder / "home"
        root = environment(folder)["AIRLOOM_DATASTORE_ROOT"]
        sandbox = Sandbox(home, datastore_root=root, python=bench.ours)
        deploy(
            bench, flows.write(folder, "airloom", "Chain", flows.linear(_TASKS)), sandbox.dags_folder, folder
        )
        (sandbox.dags_folder / "bare.py").write_text(_bare())
        with sandbox:
            for dag in ("Chain", "bare"):
                sandbox.api.wait_for_dag(dag)
            found = [
                (_run(sandbox.api, "Chain"), _run(sandbox.api, "bare")) for _ in range(bench.times(5) + 1)
            ][1:]
    for place, what in enumerate(("a task's duration", "wall time of the chain, a task")):
        ours = [pair[0][place] for pair in found]
        theirs = [pair[1][place] for pair in found]
        name = f"no-op step in Airflow, {what} ({_TASKS} in a row)"
        yield Row(name, "PythonOperator", "s", ours, theirs, target=0.15, kind="difference")


def _run(api: AirflowApi, dag: str) -> tuple[float, float]:
    """Median duration of the tasks of a run, and its wall time by their number, in seconds."""
    run = api.wait_for_run(dag, api.trigger(dag), _LIMIT_S)
    print(".", end="", file=sys.stderr, flush=True)
    tasks = api.task_instances(dag, run.run_id)
    if run.state != "success" or len(tasks) != _TASKS:
        raise RuntimeError(f"the run {run.run_id} of {dag} ended as {run.state} with {len(tasks)} tasks")
    took = _moment(run.raw["end_date"]) - _moment(run.raw["start_date"])
    return statistics.median(task.duration_s or 0.0 for task in tasks), took.total_seconds() / _TASKS


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 does not read the Z


def _bare() -> str:
    names = [name for name, _ in flows.linear(_TASKS)]
    return "\n".join(
        [
            '"""Tasks that do nothing, in a row."""',
            "",
            "from airflow.providers.standard.operators.python import PythonOperator",
            "from airflow.sdk import DAG",
            "",
            "",
            "def nothing():",
            "    pass",
            "",
            "",
            'with DAG(dag_id="bare", schedule=None):',
            *(f'    {name} = PythonOperator(task_id="{name}", python_callable=nothing)' for name in names),
            "",
            f"    {' >> '.join(names)}",
            "",
        ]
    )
