"""``airflow airloom ...`` reads the store of Airflow's configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(
        tuple(map(int, version("apache-airflow").split(".")[:2])) < (3, 2),
        reason="Airflow 3.1 takes no commands of providers",
    ),
]

FLOW = """
from airloom import FlowSpec, step

class ByAirflow(FlowSpec):
    @step
    def start(self):
        self.number = 42

if __name__ == "__main__":
    ByAirflow()
"""


def airflow(folder: Path, *arguments: str, root: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AIRLOOM_")}
    environment |= {"AIRFLOW_HOME": str(folder / "home"), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    if root is not None:
        environment["AIRFLOW__AIRLOOM__DATASTORE_ROOT"] = root
    return subprocess.run(
        [sys.executable, "-m", "airflow", "airloom", *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_commands_read_the_store_that_airflow_names(tmp_path: Path) -> None:
    (tmp_path / "by_airflow.py").write_text(FLOW)
    root = str(tmp_path / "store")
    ran = airflow(tmp_path, "run", "by_airflow.py", root=root)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    shown = airflow(tmp_path, "artifacts", "ByAirflow", root=root)
    assert "number: int = 42" in shown.stdout, shown.stdout + shown.stderr
    assert not (tmp_path / ".airloom").exists()


def test_a_wrong_command_and_a_missing_store_have_their_exit_codes(tmp_path: Path) -> None:
    assert airflow(tmp_path, "artefacts", root=str(tmp_path)).returncode == 2
    lost = airflow(tmp_path, "runs", "ByAirflow")
    assert lost.returncode == 1
    assert "is relative: each worker would look for it somewhere else" in lost.stderr
