"""Values between tasks: Airloom's XCom backend beside Airflow's own, each in an Airflow of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from airloom.sandbox import AirflowApi, Sandbox
from benchmarks.measure import Bench, Row, environment, split

_SMALL = 200
_LIMIT_S = 600.0
_DAG = "xcoms"
_FILE = f'''\
"""Push and pull values inside of one task, and tell how long it took."""

import json
import time
from pathlib import Path

from airflow.sdk import DAG, Param, task

SMALL = ({{"rows": 3, "files": ["a.csv", "b.csv"]}}, "a text", 42, [1.5, None, True])


def timed(ti, values):
    began = time.perf_counter()
    for name, value in values.items():
        ti.xcom_push(key=name, value=value)
    pushed = time.perf_counter()
    for name, value in values.items():
        found = ti.xcom_pull(task_ids=ti.task_id, key=name)
        assert found.equals(value) if hasattr(value, "equals") else found == value
    return pushed - began, time.perf_counter() - pushed


with DAG("{_DAG}", schedule=None, params={{"told": Param("", type="string"), "large": Param(True)}}):

    @task
    def between(params, ti):
        timed(ti, {{f"warm{{n}}": n for n in range(10)}})
        said = {{"small": timed(ti, {{f"x{{n}}": SMALL[n % len(SMALL)] for n in range({_SMALL})}})}}
        if params["large"]:
            import numpy as np
            import pandas as pd

            rng = np.random.default_rng(0)
            frame = pd.DataFrame({{name: rng.random(1_250_000) for name in "abcde"}})
            said["large"] = timed(ti, {{"frame": frame}})
        Path(params["told"]).write_text(json.dumps(said))

    between()
'''


def backends(bench: Bench) -> Iterator[Row]:
    """Small values, then a frame of 50 MB, pushed and pulled by a task."""
    with bench.fresh() as folder, ExitStack() as stack:
        apis = []
        for name, more in (
            ("ours", {"AIRFLOW__CORE__XCOM_BACKEND": "airloom.xcom.ArtifactXComBackend"}),
            ("theirs", {}),
        ):
            root = environment(folder)["AIRLOOM_DATASTORE_ROOT"]
            sandbox = Sandbox(
                folder / name, datastore_root=root, python=bench.ours, environment=more, parallelism=1
            )
            (sandbox.dags_folder / "xcoms.py").write_text(_FILE)
            apis.append(stack.enter_context(sandbox).api)
        for api in apis:
            api.wait_for_dag(_DAG)
        ours, theirs = apis
        _run(ours, folder, large=False)
        _run(theirs, folder, large=False)
        found = [
            (_run(ours, folder, large=True), _run(theirs, folder, large=True)) for _ in range(bench.times(5))
        ]
    for kind, what, target in (
        ("small", f"{_SMALL} small XComs", 1.2),
        ("large", "a frame of 50 MB as an XCom", None),
    ):
        for place, verb in enumerate(("push", "pull")):
            sides = split([(one[kind][place], other[kind][place]) for one, other in found])
            yield Row(f"{verb} {what}", "Airflow's backend", "s", *sides, target=target)


def _run(api: AirflowApi, folder: Path, *, large: bool) -> dict[str, tuple[float, float]]:
    """Seconds of the pushes and of the pulls of a run, for each kind of values."""
    told = folder / "told.json"
    run = api.wait_for_run(_DAG, api.trigger(_DAG, {"told": str(told), "large": large}), _LIMIT_S)
    print(".", end="", file=sys.stderr, flush=True)
    if run.state != "success":
        raise RuntimeError(f"the run {run.run_id} ended as {run.state}")
    said: dict[str, tuple[float, float]] = json.loads(told.read_text())
    return said
