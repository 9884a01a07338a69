"""Values between tasks: Airloom's XCom backend beside Airflow's own, each in an Airflow of its own."""

from __future__ import annotations

import json
import os
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
"""Push values in one task and pull them in the next; both tell how long it took."""

import json
import time
from pathlib import Path

from airflow.sdk import DAG, Param, task

SMALL = ({{"rows": 3, "files": ["a.csv", "b.csv"]}}, "a text", 42, [1.5, None, True])
WARM = {{f"warm{{n}}": n for n in range(10)}}


def values(large):
    if not large:
        return {{f"x{{n}}": SMALL[n % len(SMALL)] for n in range({_SMALL})}}
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    return {{"frame": pd.DataFrame({{name: rng.random(1_250_000) for name in "abcde"}})}}


def pushed(ti, given):
    for name, value in given.items():
        ti.xcom_push(key=name, value=value)


def pulled(ti, given):
    for name, value in given.items():
        found = ti.xcom_pull(task_ids="push", key=name)
        assert found.equals(value) if hasattr(value, "equals") else found == value


def timed(does, ti, params):
    given = values(params["large"])
    does(ti, WARM)
    began = time.perf_counter()
    does(ti, given)
    took = time.perf_counter() - began
    (Path(params["told"]) / f"{{ti.task_id}}.json").write_text(json.dumps(took))


with DAG("{_DAG}", schedule=None, params={{"told": Param("", type="string"), "large": Param(True)}}):

    @task
    def push(params, ti):
        timed(pushed, ti, params)

    @task
    def pull(params, ti):
        timed(pulled, ti, params)

    push() >> pull()
'''


def backends(bench: Bench) -> Iterator[Row]:
    """Small values, then a frame of 50 MB, pushed by a task and pulled by the next one."""
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
        # All small values first: the peer's frames make its table, and what the disk has to write, grow.
        for large, what, target in (
            (False, f"{_SMALL} small XComs", 1.2),
            (True, "a frame of 50 MB as an XCom", None),
        ):
            found = [
                tuple(_run(api, folder, large=large) for api in apis) for _ in range(bench.times(5) + 1)
            ][1:]
            for place, verb in enumerate(("push", "pull")):
                sides = split([(ours[place], theirs[place]) for ours, theirs in found])
                yield Row(f"{verb} {what}", "Airflow's backend", "s", *sides, target=target)


def _run(api: AirflowApi, folder: Path, *, large: bool) -> tuple[float, float]:
    """Seconds of the pushes and of the pulls of a run."""
    os.sync()
    run = api.wait_for_run(_DAG, api.trigger(_DAG, {"told": str(folder), "large": large}), _LIMIT_S)
    print(".", end="", file=sys.stderr, flush=True)
    if run.state != "success":
        raise RuntimeError(f"the run {run.run_id} ended as {run.state}")
    push, pull = (json.loads((folder / f"{name}.json").read_text()) for name in ("push", "pull"))
    return push, pull
