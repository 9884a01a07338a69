"""What a DAG file imports of Airloom brings in nothing that Airflow has not loaded itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

PROGRAM = """
import json, sys
from airflow.sdk import DAG, Asset, BaseOperator, Param, task_group
before = set(sys.modules)
import {module}
added = {{name.partition(".")[0] for name in set(sys.modules) - before}}
json.dump(sorted(added - set(sys.stdlib_module_names)), sys.stdout)
"""


LIGHT = [
    "operators.step",
    "operators.artifacts",
    "operators.references",
    "provider_info",
    "airflow_cli",
    "xcom",
]


def test_it_is_light() -> None:
    module = ", ".join(f"airloom.{name}" for name in LIGHT)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module)], capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout.splitlines()[-1])) <= {"airloom"}


@pytest.mark.parametrize("module", ["airloom.hooks.datastore", "airloom.decorators.artifacts"])
def test_no_cloud_is_asked_before_it_is_used(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module)], capture_output=True, text=True, check=True
    )
    assert not {"boto3", "botocore", "obstore", "cloudpickle"} & set(json.loads(done.stdout.splitlines()[-1]))
