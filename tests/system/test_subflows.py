"""Flows inside of hand-written DAGs, in a real Airflow: as task groups, as one task, and waited for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airloom import settings
from airloom.client import Run
from airloom.sandbox import Sandbox, TaskInstance
from airloom.store.datastore import Datastore

pytestmark = pytest.mark.system

CommandLine = Callable[..., subprocess.CompletedProcess[str]]

GOOD = Path(__file__).parents[1] / "flows" / "good"
EXAMPLES = Path(__file__).parents[2] / "examples" / "dags"

# The first attempt of each task of `odd` fails; the item 13 fails for good.
SUB_TRAIN = """
from airloom import FlowSpec, Parameter, current, exit_hook, retry, step

def tell(run):
    print("exit hook of", run.pathspec, run.successful)

@exit_hook(on_success=[tell], on_error=[tell])
class SubTrain(FlowSpec):
    '''Add up numbers.'''
    rows = Parameter("rows", type=int, required=True, help="how many")
    word = Parameter("a-word", default="none")

    @step
    def start(self):
        self.numbers = [13] if self.rows == 13 else list(range(self.rows))
        self.next(self.each, foreach="numbers")

    @step
    def each(self):
        self.kind = "odd" if self.input % 2 else "even"
        self.next({"odd": self.odd, "even": self.even}, condition="kind")

    @retry(times=1, minutes_between_retries=0)
    @step
    def odd(self):
        if self.input == 13 or current.retry_count == 0:
            raise ValueError("not yet")
        self.value = -self.input
        self.next(self.merge)

    @step
    def even(self):
        self.value = self.input
        self.next(self.merge)

    @step
    def merge(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.values = [i.value for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        self.total = sum(self.values)
        self.said = [self.word] * 2

if __name__ == "__main__":
    SubTrain()
"""

HOST = """
from pathlib import Path

from airflow.sdk import dag, task

from nested_foreach_flow_group import nested_foreach_flow
from sub_train_group import sub_train

@dag(schedule=None)
def subflows_host():
    @task
    def count(folder):
        return int(Path(folder, "rows").read_text())

    @task
    def read(small, large, tree):
        return [small, large, tree]

    rows = count("{{ dag_run.conf['folder'] }}")
    small = sub_train(group_id="small", rows=rows, word="{{ dag_run.conf['word'] }}")
    large = sub_train(group_id="large", rows="5")
    tree = nested_foreach_flow()
    read(small.output("total"), large.output("total"), tree.output("labels"))

subflows_host()
"""

SKIPPING = """
from airflow.sdk import dag, task
from airflow.providers.common.compat.sdk import AirflowSkipException

from nested_foreach_flow_group import nested_foreach_flow
from sub_train_group import sub_train

@dag(schedule=None)
def subflows_skipping():
    @task
    def skipped():
        raise AirflowSkipException

    @task(trigger_rule="none_failed")
    def after():
        return "ran"

    skipped() >> [nested_foreach_flow(), sub_train(rows=3)] >> after()

subflows_skipping()
"""

SUB_WAIT = """
import time
from pathlib import Path
from airloom import FlowSpec, Parameter, step

class SubWait(FlowSpec):
    folder = Parameter("folder", required=True)

    @step
    def start(self):
        self.beginning = 1
        self.next(self.end)

    @step
    def end(self):
        while not Path(self.folder, "go").exists():
            time.sleep(0.1)
        self.words = ["gone", "on"]

if __name__ == "__main__":
    SubWait()
"""

RUNNING = """
from datetime import timedelta

from airflow.sdk import dag, task

from airloom.operators.run_flow import RunFlowOperator

AT_ONCE = {"retry_delay": timedelta(seconds=0), "poll_interval": 0.5}

@dag(schedule=None)
def subflows_running():
    @task
    def count():
        return 4

    @task
    def read(pathspec):
        from airloom.hooks.datastore import DatastoreHook

        return DatastoreHook().get_run(pathspec).data.total

    given = {"rows": count(), "a-word": "{{ run_id }}"}
    train = RunFlowOperator(task_id="train", flow="SubTrain", parameters=given, deferrable=True, **AT_ONCE)
    read(train.output)
    RunFlowOperator(task_id="fails", flow="SubTrain", parameters={"rows": "13"}, retries=1, **AT_ONCE)
    RunFlowOperator(task_id="wrong", flow="SubTrain", parameters={"rows": 1, "word": 1}, retries=1, **AT_ONCE)
    RunFlowOperator(task_id="nobody", flow="NobodyDeployedThis", retries=1, **AT_ONCE)

subflows_running()

@dag(schedule=None)
def subflows_killed():
    given = {"folder": "{{ dag_run.conf['folder'] }}"}
    RunFlowOperator(task_id="wait", flow="SubWait", parameters=given, retries=2, **AT_ONCE)

subflows_killed()
"""

WAITING = """
from airflow.sdk import dag

from airloom.sensors.flows import ArtifactSensor, FlowRunSensor

SOON = {"poke_interval": 0.5, "deferrable": True, "timeout": 300}

@dag(schedule=None)
def subflows_waiting():
    run_id = "{{ dag_run.conf['run'] }}"
    FlowRunSensor(task_id="run", flow="SubWait", run_id=run_id, **SOON)
    FlowRunSensor(task_id="newest", flow="SubWait", namespace="production:SubWait", **SOON)
    ArtifactSensor(task_id="words", flow="SubWait", artifact="words", type="list", min_bytes=5, **SOON)
    first = {"step": "start", "artifact": "beginning", "poke_interval": 0.5}
    ArtifactSensor(task_id="beginning", flow="SubWait", run_id=run_id, **first)
    never = {**SOON, "timeout": 1, "soft_fail": True}
    FlowRunSensor(task_id="never", flow="SubWait", tags=["nobody has this"], **never)

subflows_waiting()
"""

AFTER = """
from airflow.sdk import Asset, dag, task

FINISHED = Asset("x-airloom://flow/SubWait")

@dag(schedule=[FINISHED])
def subflows_after():
    @task
    def read(triggering_asset_events):
        (event,) = triggering_asset_events[FINISHED]
        return event.extra

    read()

subflows_after()
"""

DAGS = {
    "subflows_host": HOST,
    "subflows_skipping": SKIPPING,
    "subflows_running": RUNNING,
    "subflows_waiting": WAITING,
    "subflows_after": AFTER,
}


EXAMPLE_DAGS = ("flow_as_task_group", "flow_as_one_task", "waits_for_a_flow", "runs_after_a_flow")


@dataclass
class Hosts:
    """Hand-written DAGs in an Airflow, and how to ask it and the store."""

    sandbox: Sandbox
    root: Path

    def start(self, dag: str, **conf: object) -> str:
        return self.sandbox.api.trigger(dag, conf)

    def end(self, dag: str, run: str, state: str = "success") -> dict[str, str]:
        ended = self.sandbox.api.wait_for_run(dag, run, 300)
        found = self.states(dag, run)
        assert ended.state == state, found
        return found

    def states(self, dag: str, run: str) -> dict[str, str]:
        tasks = self.sandbox.api.task_instances(dag, run)
        return {
            task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]": task.state
            for task in tasks
        }

    def log(self, dag: str, run: str, task: str, number: int = 1) -> str:
        return self.sandbox.api.task_log(dag, run, task, number)

    def task(self, dag: str, run: str, name: str) -> TaskInstance:
        (found,) = [task for task in self.sandbox.api.task_instances(dag, run) if task.task_id == name]
        return found

    def runs(self, flow: str) -> list[str]:
        return list(Datastore.open(settings.load({"datastore_root": str(self.root)})).runs(flow))

    def flow_run(self, pathspec: str) -> Run:
        return Run(pathspec, datastore=self.root)


@pytest.fixture(scope="module")
def hosts(command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    home = tmp_path_factory.mktemp("subflows")
    root = home / "store"
    python = Path(sys.executable)
    with Sandbox(home, datastore_root=str(root), python=python, triggerer=True) as sandbox:
        file = tmp_path_factory.mktemp("flow") / "sub_train_code.py"
        file.write_text(SUB_TRAIN)
        folder = str(sandbox.dags_folder)
        for flow in (file, GOOD / "nested_foreach.py"):
            command_line(flow, "deploy", "--as-task-group", "--dags-folder", folder, root=root)
        waiting = tmp_path_factory.mktemp("flow") / "sub_wait_code.py"
        waiting.write_text(SUB_WAIT)
        for flow in (file, waiting):
            command_line(flow, "deploy", "--dags-folder", folder, root=root)
        shutil.copy(EXAMPLES / "flows" / "word_count_flow.py", waiting.parent)
        for options in ([], ["--as-task-group"]):
            flow = waiting.parent / "word_count_flow.py"
            command_line(flow, "deploy", *options, "--dags-folder", folder, root=root)
        for example in ("flow_as_task_group.py", "flow_as_one_task.py"):
            shutil.copy(EXAMPLES / example, folder)
        for name, text in DAGS.items():
            (sandbox.dags_folder / f"{name}.py").write_text(text)
        for name in (*DAGS, *EXAMPLE_DAGS, "subflows_killed", "SubTrain", "SubWait"):
            sandbox.api.wait_for_dag(name, 120)
        yield Hosts(sandbox, root)


def start_host(hosts: Hosts, folder: Path) -> str:
    """Start the DAG with task groups; how many rows there are stands in the folder."""
    (folder / "rows").write_text("3")
    return hosts.start("subflows_host", folder=str(folder), word="{{ 'hello' }}")


@pytest.fixture(scope="module")
def host_run(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> str:
    return start_host(hosts, tmp_path_factory.mktemp("host"))


def test_task_groups_of_one_flow_are_runs_of_their_own(hosts: Hosts, host_run: str) -> None:
    states = hosts.end("subflows_host", host_run)
    small = hosts.flow_run(f"SubTrain/subflows_host:small:{host_run}")
    large = hosts.flow_run(f"SubTrain/subflows_host:large:{host_run}")
    assert (small.data.total, large.data.total) == (0 - 1 + 2, 0 - 1 + 2 - 3 + 4)
    assert small.data.said == ["{{ 'hello' }}"] * 2, "what a template gives is not rendered again"
    assert large.data.said == ["none", "none"]
    assert [task.attempts for task in small["odd"]] == [[0, 1]]
    assert "small.for_each_of_numbers.even[0]" in states


def test_outputs_of_a_task_group_reach_tasks_after_it(hosts: Hosts, host_run: str) -> None:
    hosts.end("subflows_host", host_run)
    tree = hosts.flow_run(f"NestedForeachFlow/subflows_host:nested_foreach_flow:{host_run}")
    read = hosts.sandbox.api.xcom("subflows_host", host_run, "read")
    assert read == [1, 2, tree.data.labels]


def test_the_exit_hook_of_a_task_group_looks_at_the_group_alone(hosts: Hosts, host_run: str) -> None:
    hosts.end("subflows_host", host_run)
    log = hosts.sandbox.api.task_log("subflows_host", host_run, "small.exit_hook")
    assert f"exit hook of SubTrain/subflows_host:small:{host_run} True" in log


def test_a_task_group_that_is_left_out_is_skipped_as_a_whole(hosts: Hosts) -> None:
    run = hosts.start("subflows_skipping")
    states = hosts.end("subflows_skipping", run)
    assert states.pop("after") == "success"
    assert "sub_train.exit_hook" in states
    bad = {task: state for task, state in states.items() if state != "skipped"}
    assert set(bad) <= {"nested_foreach_flow.indices_of_region", "nested_foreach_flow.indices_of_shop"}


def test_a_cleared_task_group_runs_again_and_with_other_parameters_anew(
    hosts: Hosts, tmp_path: Path
) -> None:
    host_run = start_host(hosts, tmp_path)  # its own: the other tests look at one that nobody cleared
    hosts.end("subflows_host", host_run)
    first = f"SubTrain/subflows_host:small:{host_run}"
    api = hosts.sandbox.api
    assert api.clear("subflows_host", host_run, ["small.join"], downstream=True)
    hosts.end("subflows_host", host_run)
    assert hosts.flow_run(first)["join"].task.attempts == [0, 1]
    assert hosts.flow_run(first)["start"].task.attempts == [0]
    (tmp_path / "rows").write_text("2")
    assert api.clear("subflows_host", host_run, ["count"], downstream=True)
    hosts.end("subflows_host", host_run)
    assert hosts.flow_run(f"{first}~2").data.total == 0 - 1
    assert hosts.flow_run(first).data.total == 1, "what an older run has left stays"
    large = f"subflows_host:large:{host_run}"
    assert [run for run in hosts.runs("SubTrain") if run.startswith(large)] == [large]


def test_a_flow_is_one_task(hosts: Hosts) -> None:
    run = hosts.start("subflows_running")
    states = hosts.end("subflows_running", run, "failed")
    expected = {"count": "success", "train": "success", "read": "success"}
    assert states == {**expected, "fails": "failed", "wrong": "failed", "nobody": "failed"}
    pathspec = hosts.sandbox.api.xcom("subflows_running", run, "train")
    assert pathspec == f"SubTrain/{pathspec.rpartition('/')[2]}"  # type: ignore[attr-defined]
    found = hosts.flow_run(str(pathspec))
    assert (found.data.rows, found.data.word) == (4, run)
    assert hosts.sandbox.api.xcom("subflows_running", run, "read") == 0 - 1 + 2 - 3
    mine = [one for one in hosts.runs("SubTrain") if ".fails__" in one]
    assert len(mine) == 2, "a try after the flow has failed starts another run"
    assert "failed: step 'odd' (odd/0): ValueError: not yet" in hosts.log("subflows_running", run, "fails", 2)
    assert "has no parameter 'word'" in hosts.log("subflows_running", run, "wrong")
    assert "Airflow starts no run of the DAG 'NobodyDeployedThis'" in hosts.log(
        "subflows_running", run, "nobody"
    )
    assert not [one for one in hosts.runs("SubTrain") if ".wrong__" in one]


def test_a_killed_task_goes_on_with_its_run_and_a_cleared_one_starts_another(
    hosts: Hosts, tmp_path: Path
) -> None:
    run = hosts.start("subflows_killed", folder=str(tmp_path))

    def started() -> list[str]:  # other tests start the flow by hand
        return [one for one in hosts.runs("SubWait") if one.startswith("flow__subflows_killed.")]

    eventually(started)
    (first,) = started()
    waiting = hosts.start("subflows_waiting", run=first)
    eventually(lambda: hosts.task("subflows_killed", run, "wait").state == "running")
    pid = hosts.task("subflows_killed", run, "wait").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: hosts.task("subflows_killed", run, "wait").try_number == 2)
    (tmp_path / "go").touch()
    hosts.end("subflows_killed", run)
    assert started() == [first]
    assert hosts.sandbox.api.xcom("subflows_killed", run, "wait") == f"SubWait/{first}"
    assert hosts.sandbox.api.clear("subflows_killed", run, ["wait"])
    hosts.end("subflows_killed", run)
    assert len(started()) == 2
    states = hosts.end("subflows_waiting", waiting)
    assert states.pop("never") == "skipped"
    assert set(states.values()) == {"success"}
    assert hosts.sandbox.api.xcom("subflows_waiting", waiting, "run") == f"SubWait/{first}"
    found = hosts.sandbox.api.xcom("subflows_waiting", waiting, "beginning")
    assert found == f"SubWait/{first}/start/0/beginning"


def test_the_examples_run(hosts: Hosts) -> None:
    waits = hosts.start("waits_for_a_flow")
    groups, task = hosts.start("flow_as_task_group"), hosts.start("flow_as_one_task")
    hosts.end("flow_as_task_group", groups)
    report = hosts.sandbox.api.xcom("flow_as_task_group", groups, "report")
    assert report == "10 words, the longest is flow, and was flow_as_task_group"
    before = hosts.flow_run(f"WordCountFlow/flow_as_task_group:before:{groups}")
    assert before.data.counts == {"flow_as_task_group": 1, "words": 1}
    hosts.end("flow_as_one_task", task)
    counts = {"be": 2, "not": 1, "or": 1, "to": 2}
    assert hosts.sandbox.api.xcom("flow_as_one_task", task, "report") == counts
    hosts.end("waits_for_a_flow", waits)
    pathspec = hosts.sandbox.api.xcom("flow_as_one_task", task, "run")
    assert hosts.sandbox.api.xcom("waits_for_a_flow", waits, "counts") == f"{pathspec}/end/0/counts"


def test_a_dag_is_scheduled_on_the_asset_of_a_flow(hosts: Hosts, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    run = hosts.start("SubWait", folder=str(tmp_path))
    hosts.end("SubWait", run)
    record = Datastore.open(settings.load({"datastore_root": str(hosts.root)})).run("SubWait", run)

    def extra() -> dict[str, object] | None:
        for one in hosts.sandbox.api.pages("/dags/subflows_after/dagRuns", "dag_runs"):
            if one["state"] == "success":
                found = hosts.sandbox.api.xcom("subflows_after", one["dag_run_id"], "read")
                assert isinstance(found, dict)
                if found["run"] == f"SubWait/{run}":
                    return found
        return None

    eventually(extra)
    found = extra()
    assert found is not None
    assert found["plan"] == record.plan
    assert found["namespace"] == f"user:{record.user}"
    assert str(found["code"]).startswith("b3:")


def eventually(condition: Callable[[], object], timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
