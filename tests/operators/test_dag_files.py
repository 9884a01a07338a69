"""DAG files load in the Airflow that is installed: the golden ones, and those of the examples."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

ROOT = Path(__file__).parents[2]
# One process for all: what takes time is the import of Airflow.
LOAD = """
import json, runpy, sys, traceback
from airflow.sdk import DAG

found = {}
for file in sys.argv[1:]:
    try:
        named = runpy.run_path(file)
        dags = [value for value in named.values() if isinstance(value, DAG)]
        found[file] = sorted(task for dag in dags for task in dag.task_ids) if dags else None
        for dag in dags:
            dag.validate()
    except Exception:
        found[file] = traceback.format_exc()
print(json.dumps(found))
"""


def test_every_golden_dag_file_and_every_example_loads(
    tmp_path: Path, command_line: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    # One example imports the task group of a flow, as its DAG folder has it after a deploy.
    flow, groups = ROOT / "examples" / "dags" / "flows" / "word_count_flow.py", tmp_path / "groups"
    groups.mkdir()
    deploy = ("deploy", "--as-task-group", "--dags-folder", str(groups))
    command_line(flow, *deploy, root=tmp_path / "store")
    golden = []
    for text in sorted((ROOT / "tests" / "golden" / "dags").glob("*.py.txt")):
        golden.append(tmp_path / text.name.removesuffix(".txt"))
        shutil.copy(text, golden[-1])
    examples = sorted((ROOT / "examples" / "dags").glob("*.py"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *map(str, [*golden, *examples])],
        env={
            **environment,
            "PYTHONPATH": str(groups),
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert {name: told for name, told in loaded.items() if isinstance(told, str)} == {}
    assert all(loaded[str(file)] for file in golden), "a golden file made no DAG"
