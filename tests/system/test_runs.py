"""Runs in Airflow: parameters, retries, clears, killed processes, logs, runs side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airloom.client import Run, Task
from airloom.names import escape
from airloom.sandbox import ApiError, DagRun, Sandbox, TaskInstance

pytestmark = pytest.mark.system

CommandLine = Callable[..., subprocess.CompletedProcess[str]]

# Steered from outside by files in a folder; the folder is named by a parameter.
RUNS_WIDTH = """
from pathlib import Path
from airloom import FlowSpec, Parameter, step

class RunsWidth(FlowSpec):
    folder = Parameter("folder", required=True)

    @step
    def start(self):
        self.width = int(Path(self.folder, "width").read_text())
        self.items = [f"{Path(self.folder).name}-{n}" for n in range(self.width)]
        self.next(self.each, foreach="items")

    @step
    def each(self):
        self.text = f"{self.input} of {self.width}"
        self.next(self.more)

    @step
    def more(self):
        self.text += "!"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.texts = [i.text for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        self.count = len(self.texts)
        print("the end has", self.count, "texts")

if __name__ == "__main__":
    RunsWidth()
"""

RUNS_TYPED = """
from airloom import FlowSpec, IncludeFile, JSONType, Parameter, retry, step

class RunsTyped(FlowSpec):
    whole = Parameter("whole", default=1)
    ratio = Parameter("ratio", default=0.5)
    flag = Parameter("flag", default=False)
    text = Parameter("some-text", default="a")
    tree = Parameter("tree", type=JSONType, default="{}")
    words = Parameter("words", separator=",", default="a,b")
    notes = IncludeFile("notes")
    unset = Parameter("unset", type=int)

    @retry(times=3, minutes_between_retries=0)
    @step
    def start(self):
        self.got = [self.whole, self.ratio, self.flag, self.text, self.tree, self.words, self.notes]
        self.got.append(self.unset)
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    RunsTyped()
"""

RUNS_TRIES = """
import sys
from airloom import FlowSpec, catch, current, retry, step

class RunsTries(FlowSpec):
    @step
    def start(self):
        self.next(self.flaky, self.caught)

    @retry(times=2, minutes_between_retries=0)
    @step
    def flaky(self):
        print("attempt", current.retry_count)
        print("a warning", file=sys.stderr)
        self.count = current.retry_count
        if current.retry_count == 0:
            raise ValueError("only the first attempt fails")
        self.next(self.join)

    @catch(var="problem")
    @retry(times=1, minutes_between_retries=0)
    @step
    def caught(self):
        self.count = current.retry_count
        raise ValueError(f"attempt {current.retry_count} fails")
        self.next(self.join)

    @step
    def join(self, inputs):
        self.counts = (inputs.flaky.count, inputs.caught.count)
        self.problem = inputs.caught.problem.exception
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    RunsTries()
"""

RUNS_SLEEPER = """
import time
from pathlib import Path
from airloom import FlowSpec, Parameter, current, retry, step

class RunsSleeper(FlowSpec):
    folder = Parameter("folder", required=True)

    @retry(times=1, minutes_between_retries=0)
    @step
    def start(self):
        self.lost = "from the killed attempt" if current.retry_count == 0 else "from the second one"
        self.count = current.retry_count
        print("now asleep", flush=True)
        while current.retry_count == 0 and not Path(self.folder, "wake").exists():
            time.sleep(0.1)
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    RunsSleeper()
"""

RUNS_WIDE = """
from airloom import FlowSpec, step

class RunsWide(FlowSpec):
    @step
    def start(self):
        self.numbers = list(range(50))
        self.next(self.square, foreach="numbers")

    @step
    def square(self):
        self.result = self.input ** 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(i.result for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    RunsWide()
"""

RUNS_SCHEDULED = """
from airloom import FlowSpec, schedule, step

@schedule(cron="30 6 1 1 *", timezone="Europe/Vienna")
class RunsScheduled(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    RunsScheduled()
"""

FLOWS = {
    "RunsWidth": RUNS_WIDTH,
    "RunsTyped": RUNS_TYPED,
    "RunsTries": RUNS_TRIES,
    "RunsSleeper": RUNS_SLEEPER,
    "RunsWide": RUNS_WIDE,
    "RunsScheduled": RUNS_SCHEDULED,
}


@dataclass
class Deployed:
    """The flows of this file in the shared Airflow, and how to ask it and the store."""

    sandbox: Sandbox
    root: Path

    def trigger(self, flow: str, conf: dict[str, object] | None = None) -> str:
        return self.sandbox.api.trigger(flow, conf)

    def wait(self, flow: str, run: str) -> DagRun:
        return self.sandbox.api.wait_for_run(flow, run, 300)

    def success(self, flow: str, run: str) -> Run:
        ended = self.wait(flow, run)
        assert ended.state == "success", self.states(flow, run)
        return Run(f"{flow}/{run}", datastore=self.root)

    def states(self, flow: str, run: str) -> dict[tuple[str, int], tuple[str, int]]:
        tasks = self.sandbox.api.task_instances(flow, run)
        return {(task.task_id, task.map_index): (task.state, task.try_number) for task in tasks}

    def clear(self, flow: str, run: str, task: str) -> None:
        assert self.sandbox.api.clear(flow, run, [task], downstream=True)

    def store(self, flow: str, run: str) -> Path:
        return self.root / "flows" / flow / "runs" / escape(run)


@pytest.fixture(scope="module")
def deployed(
    sandbox: Sandbox, command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    root = sandbox.home / "store"
    files = []
    for flow, text in FLOWS.items():
        file = tmp_path_factory.mktemp(flow) / f"{flow.lower()}.py"
        file.write_text(text)
        command_line(file, "deploy", "--dags-folder", str(sandbox.dags_folder), root=root)
        files.append(sandbox.dags_folder / f"{flow}.py")
    for flow in FLOWS:
        sandbox.api.wait_for_dag(flow, 300)
    yield Deployed(sandbox, root)
    for file in files:
        file.unlink()


@pytest.fixture
def steering(tmp_path: Path) -> Callable[[int], dict[str, object]]:
    """Set the width of `RunsWidth`; the parameters for it."""

    def write(width: int) -> dict[str, object]:
        (tmp_path / "width").write_text(str(width))
        return {"folder": str(tmp_path)}

    return write


def eventually(condition: Callable[[], object], timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


def asleep(deployed: Deployed, run: str) -> TaskInstance | None:
    tasks = deployed.sandbox.api.task_instances("RunsSleeper", run)
    [task] = [task for task in tasks if task.task_id == "start"]
    if task.state != "running" or not task.pid:
        return None
    return task if "now asleep" in deployed.sandbox.api.task_log("RunsSleeper", run, "start") else None


def test_parameters_arrive_with_their_types(deployed: Deployed) -> None:
    tree = {"a": [1, None, "ü"], "b": {"c": 0.5}}
    conf = {
        "whole": 7,
        "ratio": 2,
        "flag": True,
        "some-text": "{{ ds }}",
        "tree": tree,
        "words": ["x", "y,z"],
    }
    run = deployed.trigger("RunsTyped", {**conf, "notes": "a text\n"})
    found = deployed.success("RunsTyped", run)
    got = found["start"].task["got"].data
    assert got == [7, 2.0, True, "{{ ds }}", tree, ["x", "y,z"], "a text\n", None]
    assert [type(value) for value in got[:3]] == [int, float, bool]


@pytest.mark.parametrize(
    "conf", [{"whole": "7"}, {"whole": 0.5}, {"flag": 1}, {"words": "a"}, {"ratio": "x"}]
)
def test_a_value_of_a_wrong_type_is_refused(deployed: Deployed, conf: dict[str, object]) -> None:
    with pytest.raises(ApiError) as refused:
        deployed.trigger("RunsTyped", conf)
    assert refused.value.status == 400


def test_a_parameter_without_a_value_is_refused(deployed: Deployed) -> None:
    with pytest.raises(ApiError) as refused:
        deployed.trigger("RunsWidth")
    assert refused.value.status == 400


def test_an_unknown_parameter_fails_the_first_task_at_once(deployed: Deployed) -> None:
    run = deployed.trigger("RunsTyped", {"wohle": 3})
    assert deployed.wait("RunsTyped", run).state == "failed"
    assert deployed.states("RunsTyped", run) == {
        ("start", -1): ("failed", 1),
        ("end", -1): ("upstream_failed", 0),
    }
    log = deployed.sandbox.api.task_log("RunsTyped", run, "start")
    assert "the flow RunsTyped has no parameter 'wohle'" in log
    assert "did you mean 'whole'?" in log


def test_retries_are_counted_again_after_a_clear(deployed: Deployed) -> None:
    run = deployed.trigger("RunsTries")
    first = deployed.success("RunsTries", run)
    assert first["join"].task["counts"].data == (1, 1)
    assert first["join"].task["problem"].data == "attempt 1 fails"
    assert deployed.states("RunsTries", run)["flaky", -1] == ("success", 2)

    deployed.clear("RunsTries", run, "start")
    second = deployed.success("RunsTries", run)
    assert deployed.states("RunsTries", run)["flaky", -1] == ("success", 4)
    assert second["join"].task["counts"].data == (1, 1)
    assert second["flaky"].task.current_attempt == 3
    counts = [Task(f"RunsTries/{run}/caught/0@{n}", datastore=deployed.root)["count"].data for n in range(4)]
    assert counts == [0, 1, 0, 1]
    assert [parent.split("@")[1] for parent in second["join"].task.parent_pathspecs] == ["3", "3"]


def test_logs_are_the_same_in_airflow_and_in_the_store(deployed: Deployed) -> None:
    run = deployed.trigger("RunsTries")
    deployed.success("RunsTries", run)
    for number in (1, 2):
        in_airflow = deployed.sandbox.api.task_log("RunsTries", run, "flaky", number).splitlines()
        printed = [f"attempt {number - 1}", "a warning"]
        assert [line for line in in_airflow if line in printed] == printed
        command = [
            sys.executable,
            "-m",
            "airloom",
            "logs",
            f"RunsTries/{run}/flaky/0",
            "--attempt",
            str(number - 1),
        ]
        told = subprocess.run(
            [*command, "--datastore-root", str(deployed.root)], capture_output=True, text=True, check=True
        )
        assert [line for line in told.stdout.splitlines() if not line.startswith("---")] == printed


def test_the_record_names_user_and_dag(deployed: Deployed) -> None:
    run = deployed.trigger("RunsTyped")
    found = deployed.success("RunsTyped", run)
    assert found.user == deployed.sandbox.user
    assert found.successful
    assert (found.origin["scheduler"], found.origin["dag_id"]) == ("airflow", "RunsTyped")
    assert found.origin["run_type"] == "manual"


def test_a_killed_task_is_tried_again_and_nothing_is_lost(deployed: Deployed, tmp_path: Path) -> None:
    run = deployed.trigger("RunsSleeper", {"folder": str(tmp_path)})
    eventually(lambda: asleep(deployed, run))
    task = asleep(deployed, run)
    assert task is not None
    assert task.pid is not None
    os.kill(task.pid, signal.SIGKILL)
    found = deployed.success("RunsSleeper", run)
    assert deployed.states("RunsSleeper", run)["start", -1] == ("success", 2)
    last = found["start"].task
    assert (last.current_attempt, last["lost"].data, last["count"].data) == (1, "from the second one", 1)
    folder = deployed.store("RunsSleeper", run)
    kept = {file.name for file in (folder / "tasks/start/0/0").iterdir()}
    assert kept == {"begin.json", "failed.json"}, "the next try has recorded that it was killed"
    files = [file for file in folder.rglob("*") if file.is_file()]
    for file in files:
        if file.suffix == ".json":
            json.loads(file.read_bytes())
    assert {file.name for file in files if file.suffix != ".json"} == {"log"}


def test_prints_are_seen_while_the_task_runs(deployed: Deployed, tmp_path: Path) -> None:
    run = deployed.trigger("RunsSleeper", {"folder": str(tmp_path)})
    eventually(lambda: asleep(deployed, run))
    (tmp_path / "wake").touch()
    found = deployed.success("RunsSleeper", run)
    assert found["start"].task.stdout == "now asleep\n"


def test_a_wide_foreach(deployed: Deployed) -> None:
    run = deployed.trigger("RunsWide")
    found = deployed.success("RunsWide", run)
    assert found["join"].task["total"].data == sum(n * n for n in range(50))
    assert [task.id for task in found["square"]] == [str(n) for n in range(50)]


def test_a_foreach_changes_its_width_with_a_clear(
    deployed: Deployed, steering: Callable[[int], dict[str, object]]
) -> None:
    run = deployed.trigger("RunsWidth", steering(3))
    for width in (3, 5, 2):
        if width != 3:
            steering(width)
            deployed.clear("RunsWidth", run, "start")
        found = deployed.success("RunsWidth", run)
        assert found["end"].task["count"].data == width
        texts = found["join"].task["texts"].data
        assert [text.split("-", 1)[1] for text in texts] == [f"{n} of {width}!" for n in range(width)]
    states = deployed.states("RunsWidth", run)
    assert {state for (task, index), (state, _) in states.items() if task == "more" and index > 1} <= {
        "removed"
    }


def test_a_cleared_task_is_read_again_by_what_follows(
    deployed: Deployed, steering: Callable[[int], dict[str, object]]
) -> None:
    run = deployed.trigger("RunsWidth", steering(2))
    assert deployed.success("RunsWidth", run)["join"].task.current_attempt == 0
    deployed.clear("RunsWidth", run, "join")
    second = deployed.success("RunsWidth", run)
    assert second["join"].task.current_attempt == 1
    assert second["more"]["1"].current_attempt == 0
    assert [parent.rpartition("@")[2] for parent in second["end"].task.parent_pathspecs] == ["1"]
    assert second["end"].task.stdout == "the end has 2 texts\n"


def test_a_cleared_run_has_not_ended_until_it_ends_again(deployed: Deployed, tmp_path: Path) -> None:
    (tmp_path / "wake").touch()
    run = deployed.trigger("RunsSleeper", {"folder": str(tmp_path)})
    found = deployed.success("RunsSleeper", run)
    assert found.finished
    (tmp_path / "wake").unlink()
    deployed.clear("RunsSleeper", run, "start")
    eventually(lambda: not found.finished)
    assert not found.successful
    (tmp_path / "wake").touch()
    assert deployed.success("RunsSleeper", run).successful


def test_a_run_of_which_one_task_was_cleared_ends_again_with_it(
    deployed: Deployed, steering: Callable[[int], dict[str, object]]
) -> None:
    run = deployed.trigger("RunsWidth", steering(2))
    first = deployed.success("RunsWidth", run).finished_at
    assert deployed.sandbox.api.clear("RunsWidth", run, ["join"])
    again = deployed.success("RunsWidth", run)
    assert again["join"].task.current_attempt == 1
    assert again.successful
    assert first is not None
    assert again.finished_at is not None
    assert again.finished_at > first


def test_two_runs_at_once_do_not_mix(deployed: Deployed, tmp_path: Path) -> None:
    started = {}
    for name, width in (("one", 2), ("two", 3)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "width").write_text(str(width))
        started[name] = deployed.trigger("RunsWidth", {"folder": str(folder)})
    for name, width in (("one", 2), ("two", 3)):
        found = deployed.success("RunsWidth", started[name])
        assert found["join"].task["texts"].data == [f"{name}-{n} of {width}!" for n in range(width)]


def test_a_schedule_has_its_time_zone(deployed: Deployed) -> None:
    dag = deployed.sandbox.api.wait_for_dag("RunsScheduled", 300)
    assert dag["timetable_summary"] == "30 6 1 1 *"
    details = deployed.sandbox.api.request("GET", "/dags/RunsScheduled/details")
    assert details["next_dagrun_run_after"].endswith("-01-01T05:30:00Z")
    assert details["catchup"] is False
