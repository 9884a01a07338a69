"""`current` inside a task, and what is measured of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom import current
from airloom.runtime.usage import Meter

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

FACTS = """
size = Parameter("size-of-it", default=2)

@step
def start(self):
    self.items = [0]
    self.next(self.work, foreach="items")

@step
def work(self):
    names = ("flow_name run_id step_name task_id retry_count origin_run_id pathspec namespace username "
             "parameter_names is_running_flow").split()
    self.facts = {name: getattr(current, name) for name in names}
    self.tempdir = current.tempdir
    self.is_folder = os.path.isdir(current.tempdir)
    self.tags = current.tags
    self.steps = [step.name for step in current.graph.steps]
    self.asked = (current.get("nothing", 5), "run_id" in current, "nothing" in current)
    self.next(self.join)

@step
def join(self, inputs):
    self.next(self.end)

@step
def end(self):
    pass
"""


def test_current_has_the_facts_of_the_task(project: Project) -> None:
    project.write(FACTS)
    project.run(env={"AIRLOOM_USER": "ada"})
    run = project.latest.id
    assert project.value("work", "facts") == {
        "flow_name": "MyFlow",
        "run_id": run,
        "step_name": "work",
        "task_id": "0",
        "retry_count": 0,
        "origin_run_id": None,
        "pathspec": f"MyFlow/{run}/work/0",
        "namespace": "user:ada",
        "username": "ada",
        "parameter_names": ["size-of-it"],
        "is_running_flow": True,
    }
    assert project.value("work", "asked") == (5, True, False)
    assert project.value("work", "steps") == ["start", "work", "join", "end"]
    assert project.value("work", "tags") == frozenset()
    # A folder for temporary files is there while the task runs, and gone after it.
    assert project.value("work", "is_folder") is True
    assert not Path(project.value("work", "tempdir")).exists()


def test_outside_of_a_task_there_are_no_facts() -> None:
    assert not current.is_running_flow
    assert current.get("run_id") is None
    with pytest.raises(AttributeError, match=r"current\.run_id does not exist outside of a running task"):
        current.run_id
    assert list(current) == []


def test_facts_hold_from_enter_to_leave() -> None:
    current.enter({"run_id": "7"})
    try:
        assert current.run_id == "7"
        assert current.is_running_flow
        with pytest.raises(AttributeError, match="does not exist in this task"):
            current.card
    finally:
        current.leave()
    assert "run_id" not in current


def test_a_task_is_measured(project: Project) -> None:
    project.write(
        "@step\ndef start(self):\n    block = b'x' * 100_000_000\n    time.sleep(0.2)\n"
        "    subprocess.run([sys.executable, '-c', 'for _ in range(10**6): pass'])\n"
    )
    project.run()
    from airloom.store.datastore import TaskKey

    usage = project.datastore.done(TaskKey("MyFlow", project.latest.id, "start", "0")).usage
    assert 100 < usage.peak_memory_mib < 400
    assert usage.wall_s > 0.2
    assert 0 < usage.cpu_s < usage.wall_s + 1


def test_a_meter_counts_from_when_it_is_made() -> None:
    meter = Meter()
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    usage = meter.read()
    assert 0.04 < usage.cpu_s < 1
    assert usage.wall_s >= usage.cpu_s / 2
    assert usage.peak_memory_mib > 5
