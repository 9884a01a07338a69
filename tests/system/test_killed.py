"""Steps in the worker whose processes are killed each time: what @catch and exit hooks make of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from airloom.client import Run, Task
from airloom.sandbox import Sandbox

pytestmark = pytest.mark.system

LOST = """
import os
import signal
from airloom import FlowSpec, exit_hook, step

def alarm(run):
    print("it has", "not" if run.successful else "well", "ended", flush=True)

@exit_hook(on_error=[alarm])
class KilledLost(FlowSpec):
    @step
    def start(self):
        os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    KilledLost()
"""

CAUGHT = """
import os
import signal
from airloom import FlowSpec, catch, retry, step

class KilledCaught(FlowSpec):
    @step
    def start(self):
        self.next(self.always, self.at_last)

    @catch(var="problem")
    @retry(times=1, minutes_between_retries=0)
    @step
    def always(self):
        os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.join)

    @catch(var="problem")
    @retry(times=0)
    @step
    def at_last(self):
        self.kept = "not committed"
        os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.told = [str(task.problem.exception) for task in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    KilledCaught()
"""


@pytest.fixture(scope="module")
def started(
    sandbox: Sandbox,
    command_line: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """Runs of both flows, by flow: they run side by side."""
    folder = tmp_path_factory.mktemp("killed")
    flows = {"KilledLost": LOST, "KilledCaught": CAUGHT}
    for flow, text in flows.items():
        file = folder / f"{flow.lower()}.py"
        file.write_text(text)
        deploy = ("deploy", "--dags-folder", str(sandbox.dags_folder))
        command_line(file, *deploy, root=sandbox.home / "store")
    for flow in flows:
        sandbox.api.wait_for_dag(flow, 300)
    return {flow: sandbox.api.trigger(flow) for flow in flows}


def test_the_end_of_a_run_whose_last_task_was_killed_is_recorded_by_its_exit_hook(
    sandbox: Sandbox, started: dict[str, str]
) -> None:
    run = started["KilledLost"]
    sandbox.api.wait_for_run("KilledLost", run, 300)
    states = {task.task_id: task.state for task in sandbox.api.task_instances("KilledLost", run)}
    assert (states["start"], states["end"]) == ("failed", "upstream_failed")
    found = Run(f"KilledLost/{run}", datastore=sandbox.home / "store")
    assert found.finished
    assert not found.successful


def test_catch_takes_effect_when_the_processes_of_all_tries_were_killed(
    sandbox: Sandbox, started: dict[str, str]
) -> None:
    run, store = started["KilledCaught"], sandbox.home / "store"
    assert sandbox.api.wait_for_run("KilledCaught", run, 300).state == "success"
    tries = {task.task_id: task.try_number for task in sandbox.api.task_instances("KilledCaught", run)}
    for step, killed in (("always", 2), ("at_last", 1)):
        assert tries[step] == killed + 1, "one try more, in which the user's code does not run"
        spec = f"KilledCaught/{run}/{step}/0"
        attempts = [Task(spec, attempt=number, datastore=store) for number in range(killed)]
        kinds = [attempt.failure and attempt.failure.kind.value for attempt in attempts]
        assert kinds == ["unknown"] * killed
        last = Task(spec, datastore=store)
        assert last.current_attempt == killed
        assert "were killed, or their machines lost" in str(last["problem"].data)
        assert "kept" not in {artifact.id for artifact in last}
    told = Run(f"KilledCaught/{run}", datastore=store)["join"].task["told"].data
    assert all("all tries of the step" in text for text in told)
    assert len(told) == 2
