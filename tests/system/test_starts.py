"""What starts a deployed flow, and what its end starts: assets, events, projects, exit hooks, secrets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from airloom import settings
from airloom.client import Flow, Run
from airloom.compiler.planner import compile_flow
from airloom.deploy import deploy
from airloom.runtime.code import import_flow
from airloom.sandbox import Sandbox

pytestmark = pytest.mark.system

STARTS_FIRST = """
import os
from airloom import FlowSpec, Parameter, assets, current, exit_hook, project, secrets, step

def told(run):
    print("HOOK succeeded", run.pathspec, run.successful)

def warned():
    print("HOOK failed")

@exit_hook(on_success=[told], on_error=[warned])
@project(name="starts", branch="one")
class StartsFirst(FlowSpec):
    fail = Parameter("fail", default=False)

    @assets(outlets="s3://starts/orders")
    @secrets(sources=["airflow-variable:starts_token", "airflow-connection:starts_db"])
    @step
    def start(self):
        self.lengths = [len(os.environ["STARTS_TOKEN"]), len(os.environ["STARTS_DB_PASSWORD"])]
        self.names = [current.project_name, current.branch_name, current.project_flow_name]
        if self.fail:
            raise ValueError("as asked")
        self.next(self.end)

    @step
    def end(self):
        self.left = "STARTS_TOKEN" in os.environ

if __name__ == "__main__":
    StartsFirst()
"""

STARTS_AFTER = """
from airloom import FlowSpec, current, project, step, trigger_on_finish

@trigger_on_finish(flow="StartsFirst")
@project(name="starts", branch="one")
class StartsAfter(FlowSpec):
    @step
    def start(self):
        self.by = current.trigger.run
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    StartsAfter()
"""

STARTS_BOTH = """
from airloom import FlowSpec, current, schedule, step, trigger_on_finish

@schedule(cron="0 6 1 1 *", timezone="Europe/Vienna")
@trigger_on_finish(flow={"name": "StartsFirst", "project": "starts", "project_branch": "test.one"})
class StartsBoth(FlowSpec):
    @step
    def start(self):
        found = current.get("trigger")
        self.by = found.run if found else None
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    StartsBoth()
"""

STARTS_EVENT = """
from airloom import FlowSpec, Parameter, current, step, trigger

@trigger(event={"name": "starts_new_data", "parameters": {"rows": "count"}})
class StartsEvent(FlowSpec):
    rows = Parameter("rows", type=int, required=True)

    @step
    def start(self):
        self.got = [self.rows, current.trigger.event.name, current.trigger.event.extra["count"]]
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    StartsEvent()
"""

STARTS_ON_ASSET = """
from airloom import FlowSpec, Parameter, assets, current, step, trigger
from airloom.client import Task

@trigger(event={"name": "s3://starts/orders", "parameters": {"made_by": "task"}})
class StartsOnAsset(FlowSpec):
    made_by = Parameter("made_by", required=True)

    @step
    def start(self):
        extra = current.trigger.event.extra
        self.found = Task(self.made_by, attempt=extra["attempt"], _namespace_check=False).data.lengths
        self.next(self.part, foreach="found")

    @assets(inlets="s3://starts/orders", outlets="starts_parts")
    @step
    def part(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.merge_artifacts(inputs)
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    StartsOnAsset()
"""

STARTS_PRODUCER = """
from airflow.sdk import DAG, Asset, task

with DAG("starts_producer", schedule=None) as dag:

    @task(outlets=[Asset("starts_new_data")])
    def produce(*, outlet_events):
        outlet_events[Asset("starts_new_data")].extra = {"count": "42"}

    produce()
"""


@pytest.fixture(scope="module")
def store(sandbox: Sandbox) -> str:
    return sandbox.environment["AIRFLOW__AIRLOOM__DATASTORE_ROOT"]


@pytest.fixture(scope="module")
def put(sandbox: Sandbox, store: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Deploy a flow's source; return its DAG id."""

    def deploy_source(name: str, source: str) -> str:
        folder = tmp_path_factory.mktemp(name)
        (folder / f"{name}.py").write_text(source)
        found = settings.load({"datastore_root": store})
        compiled = compile_flow(import_flow(folder / f"{name}.py"), found)
        deploy(compiled, found, sandbox.dags_folder)
        sandbox.api.wait_for_dag(compiled.plan.dag_id)
        return compiled.plan.dag_id

    return deploy_source


@pytest.fixture(scope="module")
def first(sandbox: Sandbox, put: Callable[[str, str], str]) -> str:
    api = sandbox.api
    api.request("POST", "/variables", body={"key": "starts_token", "value": "12345"})
    connection = {"connection_id": "starts_db", "conn_type": "generic", "password": "hunter-22"}
    api.request("POST", "/connections", body=connection)
    return put("starts_first", STARTS_FIRST)


def _first_run(flow: str, store: str, timeout_s: float = 60, kind: str | None = None) -> Run:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if Path(store, "flows", flow, "newest").is_dir():
            for run in Flow(flow, datastore=store, _namespace_check=False).runs():
                if run.finished and kind in (None, run.origin["run_type"]):
                    return run
        time.sleep(0.3)
    raise AssertionError(f"no run of {flow} has ended")


def test_a_finished_run_starts_the_flow_that_waits_for_it(
    sandbox: Sandbox, store: str, put: Callable[[str, str], str], first: str
) -> None:
    put("starts_after", STARTS_AFTER)
    run_id = sandbox.api.trigger(first)
    assert sandbox.api.wait_for_run(first, run_id).state == "success"
    after = _first_run("StartsAfter", store)
    assert after["start"].task.data.by == f"StartsFirst/one:{run_id}".replace("one:", "test.one:")


def test_a_flow_with_a_schedule_and_a_trigger_runs_by_either(
    sandbox: Sandbox, store: str, put: Callable[[str, str], str], first: str
) -> None:
    both = put("starts_both", STARTS_BOTH)
    run_id = sandbox.api.trigger(first)
    assert sandbox.api.wait_for_run(first, run_id).state == "success"
    run = _first_run(both, store, kind="asset_triggered")
    assert run["start"].task.data.by == f"StartsFirst/test.one:{run_id}"
    # Six o'clock on New Year's Day in Vienna is five o'clock in UTC.
    assert sandbox.api.request("GET", f"/dags/{both}")["next_dagrun_run_after"].endswith("-01-01T05:00:00Z")
    by_hand = sandbox.api.trigger(both)
    assert sandbox.api.wait_for_run(both, by_hand).state == "success"
    assert Run(f"StartsBoth/{by_hand}", datastore=store, _namespace_check=False).data.by is None


def test_a_project_names_dag_run_and_current(sandbox: Sandbox, store: str, first: str) -> None:
    assert first == "starts.test.one.StartsFirst"
    run_id = sandbox.api.trigger(first)
    sandbox.api.wait_for_run(first, run_id)
    run = Run(f"StartsFirst/test.one:{run_id}", datastore=store, _namespace_check=False)
    assert run.data.names == ["starts", "test.one", first]
    assert run.origin["dag_run_id"] == run_id


def test_secrets_of_airflow_are_variables_of_one_step_and_nowhere_else(
    sandbox: Sandbox, store: str, first: str
) -> None:
    run_id = sandbox.api.trigger(first)
    sandbox.api.wait_for_run(first, run_id)
    run = Run(f"StartsFirst/test.one:{run_id}", datastore=store, _namespace_check=False)
    assert (run.data.lengths, run.data.left) == ([5, 9], False)
    kept = [path for path in Path(store).rglob("*") if path.is_file() and b"hunter-22" in path.read_bytes()]
    assert kept == []
    assert "hunter-22" not in (sandbox.dags_folder / "starts_test_one_StartsFirst.py").read_text()


@pytest.mark.parametrize(
    ("fail", "state", "said"), [(False, "success", "succeeded"), (True, "failed", "failed")]
)
def test_exit_hooks_are_called_for_either_end_and_change_neither(
    sandbox: Sandbox, first: str, fail: bool, state: str, said: str
) -> None:
    run_id = sandbox.api.trigger(first, {"fail": fail})
    assert sandbox.api.wait_for_run(first, run_id).state == state
    assert f"HOOK {said}" in sandbox.api.task_log(first, run_id, "exit_hook")


def test_an_asset_of_a_step_starts_a_flow_that_finds_the_task(
    sandbox: Sandbox, store: str, put: Callable[[str, str], str], first: str
) -> None:
    put("starts_on_asset", STARTS_ON_ASSET)
    run_id = sandbox.api.trigger(first)
    assert sandbox.api.wait_for_run(first, run_id).state == "success"
    made_by = f"StartsFirst/test.one:{run_id}/start/0"
    deadline = time.monotonic() + 60
    runs: list[Run] = []
    while not runs and time.monotonic() < deadline:
        runs = [
            run
            for run in Flow("StartsOnAsset", datastore=store, _namespace_check=False).runs()
            if run.finished and run["start"].task.data.made_by == made_by
        ]
        time.sleep(0.3)
    assert runs, "no run was started by the event of this one"
    assert runs[0].data.found == [5, 9]
    assert _events(sandbox, first, run_id)["s3://starts/orders"] == [("start", made_by, 0)]
    told = _events(sandbox, "StartsOnAsset", runs[0].origin["dag_run_id"])
    paths = [task.pathspec for task in runs[0]["part"]]
    assert told == {
        "starts_parts": [("part", path, 0) for path in sorted(paths)],
        "x-airloom://flow/StartsOnAsset": [("end", None, None)],
    }


def _events(sandbox: Sandbox, dag: str, run_id: str) -> dict[str, list[tuple[str, str | None, int | None]]]:
    """Events of assets that a DAG run has caused: by asset, who made it and what was told of the task."""
    query = urlencode({"source_dag_id": dag, "source_run_id": run_id})
    found: dict[str, list[tuple[str, str | None, int | None]]] = {}
    for event in sandbox.api.request("GET", f"/assets/events?{query}")["asset_events"]:
        extra = event["extra"]
        assert extra["run"].endswith(run_id)
        found.setdefault(event["uri"], []).append(
            (event["source_task_id"], extra.get("task"), extra.get("attempt"))
        )
    return {uri: sorted(events, key=str) for uri, events in found.items()}


def test_the_command_line_triggers_a_deployed_flow_and_waits_for_it(
    sandbox: Sandbox, first: str, tmp_path: Path
) -> None:
    file = tmp_path / "starts_first.py"
    file.write_text(STARTS_FIRST)
    login = {"AIRLOOM_AIRFLOW_URL": sandbox.url, "AIRLOOM_AIRFLOW_USER": sandbox.user}
    command = [sys.executable, "-m", "airloom", "trigger", str(file), "--wait-for-end"]
    for options, code in ((["--fail", "false"], 0), (["--fail", "true"], 1)):
        done = subprocess.run(
            [*command, *options],
            env={**os.environ, **login, "AIRLOOM_AIRFLOW_PASSWORD": sandbox.password},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        assert "triggered starts.test.one.StartsFirst: StartsFirst/test.one:manual__" in done.stdout


def test_an_event_of_a_hand_written_dag_brings_a_parameter(
    sandbox: Sandbox, store: str, put: Callable[[str, str], str]
) -> None:
    (sandbox.dags_folder / "starts_producer.py").write_text(STARTS_PRODUCER)
    put("starts_event", STARTS_EVENT)
    sandbox.api.wait_for_dag("starts_producer")
    sandbox.api.trigger("starts_producer")
    run = _first_run("StartsEvent", store)
    assert run["start"].task.data.got == [42, "starts_new_data", "42"]


def test_an_event_flow_started_by_hand_without_its_parameter_is_refused(
    sandbox: Sandbox, put: Callable[[str, str], str]
) -> None:
    dag_id = put("starts_event", STARTS_EVENT)
    run_id = sandbox.api.trigger(dag_id)
    assert sandbox.api.wait_for_run(dag_id, run_id).state == "failed"
    assert "the parameter 'rows' is required" in sandbox.api.task_log(dag_id, run_id, "start")
