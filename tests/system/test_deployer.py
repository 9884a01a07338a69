"""A flow is deployed, triggered and watched from Python, in a real Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from airloom import DeployedFlow, Deployer
from airloom.errors import DeployError, NotFound, ParameterError, SettingsError
from airloom.runner import TriggeredRun
from airloom.sandbox import Sandbox

FLOW = """
import time
from airloom import FlowSpec, Parameter, step


class DeployerFlow(FlowSpec):
    count = Parameter("how-many", default=1)
    wait = Parameter("wait", default=0.0)

    @step
    def start(self):
        self.squares = [n * n for n in range(self.count)]
        time.sleep(self.wait)
        self.next(self.end)

    @step
    def end(self):
        self.version = 1


if __name__ == "__main__":
    DeployerFlow()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "deployer_flow.py"
    path.write_text(FLOW)
    return path


def deploy(file: Path, sandbox: Sandbox) -> DeployedFlow:
    deployer = Deployer(file, show_output=False, datastore_root=sandbox.home / "store")
    login = {"url": sandbox.url, "user": sandbox.user, "password": sandbox.password}
    return deployer.airflow(sandbox.dags_folder, **login).create()


@pytest.mark.system
def test_a_deployed_flow_is_triggered_and_read(file: Path, sandbox: Sandbox) -> None:
    deployed = deploy(file, sandbox)
    assert (deployed.name, deployed.flow_name) == ("DeployerFlow", "DeployerFlow")
    try:
        triggered = deployed.trigger(how_many=3)
        run = triggered.wait_for_completion(timeout=120)
        assert triggered.status == "success"
        assert run.successful
        assert run.data is not None
        assert (run.data.squares, run.data.version) == ([0, 1, 4], 1)
        assert run.pathspec == triggered.pathspec
        with pytest.raises(ParameterError, match="did you mean 'how-many'"):
            deployed.trigger(how_mny=3)
        with pytest.raises(DeployError, match="400"):
            deployed.trigger(how_many="three")

        # What is deployed anew is what runs.
        file.write_text(FLOW.replace("version = 1", "version = 2"))
        changed = deploy(file, sandbox)
        assert changed.plan != deployed.plan
        data = changed.trigger().wait_for_completion(timeout=120).data
        assert data is not None
        assert data.version == 2

        login = {"url": sandbox.url, "user": sandbox.user, "password": sandbox.password}
        where = str(sandbox.home / "store")
        again = DeployedFlow.from_deployment(
            "DeployerFlow", sandbox.dags_folder, **login, datastore_root=where
        )
        assert again.plan == changed.plan
        assert TriggeredRun(again, triggered.run_id).status == "success"

        long = again.trigger(wait=60.0)
        begun = long.wait_for_run(timeout=60)
        assert not begun.finished
        assert long.status == "running"
        long.terminate()
        assert long.status == "failed"

        again.pause()
        with pytest.raises(DeployError, match="is paused"):
            again.trigger()
        again.unpause()
        again.trigger().wait_for_completion(timeout=120)
    finally:
        deployed.dag_file.unlink()


def test_what_is_deployed_is_listed(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "other.py").write_text("from airflow.sdk import DAG\n")
    (folder / "broken.py").write_text("def (:\n")
    deployed = Deployer(file, show_output=False, datastore_root=tmp_path / "store").airflow(folder).create()
    found = DeployedFlow.list_deployed_flows(folder, datastore_root=str(tmp_path / "store"))
    assert [(flow.name, flow.dag_file, flow.plan) for flow in found] == [
        ("DeployerFlow", folder / "DeployerFlow.py", deployed.plan)
    ]
    with pytest.raises(NotFound, match="did you mean 'DeployerFlow'"):
        DeployedFlow.from_deployment("DeployFlow", folder)
    with pytest.raises(SettingsError, match="which Airflow runs DeployerFlow"):
        deployed.trigger()


def test_a_flow_that_is_refused_is_not_deployed(file: Path, tmp_path: Path) -> None:
    file.write_text(FLOW.replace("self.next(self.end)", "pass"))
    with pytest.raises(DeployError, match="does not say what comes next"):
        Deployer(file, show_output=False).airflow(tmp_path).create()
    with pytest.raises(SettingsError, match="a login is missing"):
        Deployer(file).airflow(tmp_path, url="http://localhost:1")
