"""AirloomDagBundle in a real Airflow: runs stay on their version, the next takes the new one, and back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airloom import settings
from airloom.client import Run
from airloom.sandbox import Sandbox
from airloom.store.deployments import Deployments

# An Airflow of its own: beside that of the other tests.
pytestmark = pytest.mark.system

CommandLine = Callable[..., subprocess.CompletedProcess[str]]

FLOW = """
import time
from pathlib import Path

from airloom import FlowSpec, step


class BundledFlow(FlowSpec):
    @step
    def start(self):
        self.code = "{code}"
        Path("{here}", "started").touch()
        for _ in range(1200):
            if Path("{here}", "go").exists():
                break
            time.sleep(0.1)
        self.next(self.end)

    @step
    def end(self):
        self.code_at_end = "{code}"


if __name__ == "__main__":
    BundledFlow()
"""

BUNDLES = [{"name": "airloom", "classpath": "airloom.bundles.AirloomDagBundle", "kwargs": {}}]


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """An Airflow whose DAG files come from its datastore."""
    pytest.importorskip("airflow", reason="Airflow is not installed")
    home = tmp_path_factory.mktemp("bundled")
    variables = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
    }
    python = Path(sys.executable)
    with Sandbox(home, datastore_root=str(home / "store"), python=python, environment=variables) as running:
        yield running


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a version of the flow's code."""

    def write(code: str) -> Path:
        file = tmp_path / "flow" / "bundled_flow.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(FLOW.format(code=code, here=tmp_path))
        return file

    return write


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_a_run_stays_on_its_version_and_the_next_takes_the_new_one(
    bundled: Sandbox, write: Callable[[str], Path], command_line: CommandLine, tmp_path: Path
) -> None:
    root, api, dag = bundled.home / "store", bundled.api, "BundledFlow"
    deployments = Deployments.open(settings.load({"datastore_root": str(root)}))

    def artifacts(run: str) -> tuple[str, str]:
        data = Run(f"{dag}/{run}", datastore=root).data
        return data.code, data.code_at_end

    def newest() -> str:
        record = deployments.newest()
        assert record is not None
        return record.version

    def taken() -> str:
        """Wait until Airflow has parsed what is deployed; give its version."""
        version = newest()
        wait(lambda: api.wait_for_dag(dag, 300)["bundle_version"] == version, "the version was not parsed")
        return version

    def run(version: str) -> tuple[str, str]:
        run_id = api.trigger(dag)
        ended = api.wait_for_run(dag, run_id, 300)
        assert (ended.state, ended.raw["bundle_version"]) == ("success", version)
        return artifacts(run_id)

    command_line(write("one"), "deploy", "--to-store", root=root)
    version_one = taken()
    first = api.trigger(dag)
    wait((tmp_path / "started").exists, "the first run did not start")

    # A deploy while the first run is in its first step.
    command_line(write("two"), "deploy", "--to-store", root=root)
    version_two = taken()
    assert version_two != version_one
    (tmp_path / "go").touch()
    assert api.wait_for_run(dag, first, 300).state == "success"
    assert artifacts(first) == ("one", "one")
    assert run(version_two) == ("two", "two")

    # A task that is cleared later runs with what its run began with, also where that folder is gone.
    shutil.rmtree(bundled.home / "bundles" / "airloom" / "versions" / version_one)
    before = Run(f"{dag}/{first}", datastore=root)["end"].task.current_attempt
    api.clear(dag, first, ["end"])
    wait(lambda: Run(f"{dag}/{first}", datastore=root)["end"].task.current_attempt > before, "it did not run")
    assert api.wait_for_run(dag, first, 300).state == "success"
    assert artifacts(first) == ("one", "one")

    command = [sys.executable, "-m", "airloom", "deployments", "rollback", dag, "--datastore-root", str(root)]
    subprocess.run(command, check=True, capture_output=True)
    assert taken() == version_one
    assert run(version_one) == ("one", "one")
    assert api.import_errors() == {}
