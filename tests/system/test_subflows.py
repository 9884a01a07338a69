"""Flows inside of hand-written DAGs, in a real Airflow: as task groups, as one task, and waited for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airloom.client import Run
from airloom.sandbox import Sandbox

pytestmark = pytest.mark.system

CommandLine = Callable[..., subprocess.CompletedProcess[str]]

GOOD = Path(__file__).parents[1] / "flows" / "good"

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
        from airloom.hooks.datastore import DatastoreHook

        hook = DatastoreHook()
        return [hook.get_artifact(found).data for found in (small, large, tree)]

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

DAGS = {"subflows_host": HOST, "subflows_skipping": SKIPPING}


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
        command_line(file, "deploy", "--dags-folder", folder, root=root)
        for name, text in DAGS.items():
            (sandbox.dags_folder / f"{name}.py").write_text(text)
        for name in (*DAGS, "SubTrain"):
            sandbox.api.wait_for_dag(name, 120)
        yield Hosts(sandbox, root)


@pytest.fixture(scope="module")
def steering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("steering")


@pytest.fixture(scope="module")
def host_run(hosts: Hosts, steering: Path) -> str:
    (steering / "rows").write_text("3")
    return hosts.start("subflows_host", folder=str(steering), word="{{ 'hello' }}")


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
