"""Steps that are held to their memory: what runs out of it grows, and the next run begins at what worked."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from airloom import FlowSpec, resources, step
from airloom.cli.sizes import sizes
from airloom.errors import SizeError
from airloom.plan import BatchPlan, Resources, StepPlan, Transition
from airloom.runtime import groups
from airloom.runtime.sizes import (
    RUNS,
    TASKS_A_RUN,
    computed_sizes,
    done_records,
    learned_before,
    look_back,
)
from airloom.settings import Settings
from airloom.sizing.catalogue import Size
from airloom.sizing.learning import Grown, first
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import BeginRecord, DoneRecord, FailedRecord, Outcome, RunRecord, Usage

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

ENFORCED = {"AIRLOOM_ENFORCE_MEMORY": "true"}
EAT = """
@step
def start(self):
    self.next(self.eat)

@retry(times=1)
@resources(memory=128)
@step
def eat(self):
    self.retry_count = current.retry_count
    data = bytearray(300 * 2**20)
    data[::4096] = b"x" * len(data[::4096])
    self.next(self.end)

@step
def end(self):
    pass
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")


def attempts(project: Project, step: str, task: str = "0") -> list[tuple[BeginRecord, FailedRecord | None]]:
    datastore = project.datastore
    key = TaskKey("MyFlow", project.latest.id, step, task)
    return [(datastore.begin(key, n), datastore.failed(key, n)) for n in datastore.attempts(key)]


def shown(project: Project, *arguments: str) -> str:
    """What ``airloom sizes`` prints about the project's flow."""
    ended = CliRunner().invoke(sizes, ["MyFlow", "--datastore-root", str(project.root), *arguments])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def memory(project: Project, step: str) -> list[int | None]:
    return [None if one.size is None else one.size.memory_mib for one, _ in attempts(project, step)]


@linux
def test_what_runs_out_of_memory_grows_and_the_next_run_begins_at_what_worked(project: Project) -> None:
    project.write(EAT, top="from airloom import resources")
    done = project.run(env=ENFORCED)
    history = attempts(project, "eat")
    assert [(one.size.memory_mib, one.size.why) for one, _ in history if one.size] == [
        (128, "declared"),
        (256, "grown after out of memory"),
        (512, "grown after out of memory"),
    ]
    assert [failed and failed.failure for _, failed in history] == ["out_of_memory", "out_of_memory", None]
    assert all(failed.usage.peak_memory_mib > 100 for _, failed in history if failed)
    assert "out of memory at 256 MiB: the next attempt gets 512 MiB (2 of 4 growths)" in done.stderr
    assert project.value("eat", "retry_count") == 0
    first = project.latest.id
    assert f"MyFlow/{first}/eat/0 grew after out of memory: 128 -> 256 -> 512 MiB" in shown(project)

    project.run(env=ENFORCED)
    ((only, failed),) = attempts(project, "eat")
    assert failed is None
    assert only.size is not None
    assert (only.size.memory_mib, only.size.why) == (512, f"grown in run {first}")
    home = groups.own_group()
    pids = [one.pid for one, _ in [*history, (only, failed)]]
    assert home is None or not any((home.folder / f"airloom-{pid}").exists() for pid in pids)


# What follows runs where no group can be made, as for most people: what a process may allocate is limited.
DRIVE = """
import sys
from pathlib import Path
from airloom.cli.progress import Lines
from airloom.compiler.planner import compile_flow
from airloom.deploy import save
from airloom.runtime.code import import_flow
from airloom.runtime.executors import ForkingExecutor
from airloom.runtime.local import LocalRun
from airloom.runtime.start import begin, new_run
from airloom.settings import load
from airloom.store.datastore import Datastore

settings, file = load({"datastore_root": sys.argv[1]}), Path(sys.argv[2])
executor = ForkingExecutor()
compiled = compile_flow(import_flow(file, "MyFlow"), settings)
datastore = Datastore.open(settings)
save(compiled, datastore)
executor.load(compiled.plan, file, settings)
record = begin(datastore, new_run(compiled.plan, {}, "me", {}))
run = LocalRun(datastore, compiled.plan, executor, Lines(), limit="process")
sys.exit(0 if run.execute(record, 2) else 1)
"""


def drive(project: Project) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", DRIVE, str(project.root), str(project.file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=project.folder)


@linux
def test_without_groups_allocating_too_much_is_running_out_of_memory(project: Project) -> None:
    body = EAT.replace("@step\ndef eat", "@catch(var='failure')\n@step\ndef eat")
    project.write(body, top="from airloom import resources")
    ended = drive(project)
    assert ended.returncode == 0, ended.stderr
    assert [failed and (failed.failure, failed.error.type) for _, failed in attempts(project, "eat")] == [
        ("out_of_memory", "builtins.MemoryError"),
        ("out_of_memory", "builtins.MemoryError"),
        None,
    ]
    assert memory(project, "eat") == [128, 256, 512]
    assert project.value("eat", "failure") is None


@linux
def test_catch_acts_when_memory_may_not_grow_any_more(project: Project) -> None:
    body = EAT.replace("@step\ndef eat", "@catch(var='failure')\n@step\ndef eat").replace(
        "memory=128", "memory=128, max_memory=150"
    )
    project.write(body, top="from airloom import resources")
    ended = drive(project)
    assert ended.returncode == 0, ended.stderr
    assert memory(project, "eat") == [128, 150]
    assert project.value("eat", "failure").type == "builtins.MemoryError"
    assert project.datastore.growths("MyFlow", "eat") == []  # 150 MiB were not enough


COMPUTED = """
rows = Parameter("rows", default=40)

@step
def start(self):
    self.parts = list(range(3))
    self.next(self.each, foreach="parts")

@resources(memory=lambda flow: flow.rows, cpu=1.5)
@step
def each(self):
    self.value = self.input
    bytearray(300 * 2**20)  # more than its size: nothing is held to that unless asked
    self.next(self.join)

@resources(
    memory=lambda flow, inputs: 100 + max(one.value for one in inputs), cpu=lambda flow: flow.rows / 10
)
@step
def join(self, inputs):
    self.next(self.end)

@step
def end(self):
    pass
"""


def test_sizes_are_computed_from_parameters_and_inputs(project: Project) -> None:
    project.write(COMPUTED, top="from airloom import resources")
    project.run("--rows", "50")
    ((each, _),) = attempts(project, "each", "1")
    assert each.size is not None
    assert (each.size.memory_mib, each.size.cpu, each.size.why) == (50, 1.5, "computed")
    ((join, _),) = attempts(project, "join")
    assert join.size is not None
    assert (join.size.memory_mib, join.size.cpu) == (102, 5)


def test_a_function_that_fails_is_the_failure_of_the_attempt(project: Project) -> None:
    project.write(
        COMPUTED.replace("flow: flow.rows,", "flow: flow.nothing,"), top="from airloom import resources"
    )
    ended = project.run("--max-workers", "1", code=1)
    assert "the function that gives a size raised AttributeError" in ended.stderr
    ((_, failed),) = attempts(project, "each", "0")
    assert failed is not None
    assert failed.error.type == "airloom.errors.SizeError"


@pytest.mark.parametrize("value", ["much", -1, float("nan"), float("inf"), True, None])
def test_a_function_must_give_a_size(value: Any) -> None:
    class Computes(FlowSpec):
        @resources(memory=lambda _: value)
        @step
        def fit(self) -> None:
            pass

    planned = StepPlan("fit", Transition("end"))
    with pytest.raises(SizeError, match=f"the function gave {value!r}, which is no size"):
        computed_sizes(Computes, planned, Computes(use_cli=False))


LEARNING = """
@step
def start(self):
    self.parts = list(range(3))
    self.next(self.each, foreach="parts")

@resources(memory=2048, cpu=1, min_memory=32)
@batch(memory="auto")
@step
def each(self):
    self.next(self.join)

@step
def join(self, inputs):
    self.next(self.end)

@step
def end(self):
    pass
"""


def test_the_next_run_asks_for_what_the_last_one_used(project: Project) -> None:
    project.write(LEARNING, top="from airloom import batch, resources")
    project.run(env=ENFORCED)
    first = project.latest.id
    project.run(env=ENFORCED)
    second, datastore = project.latest.id, project.datastore
    begun = [datastore.begin(TaskKey("MyFlow", run, "each", "2"), 0).size for run in (first, second)]
    assert [size and size.why for size in begun] == ["declared", "learned p95 of 3"]
    assert begun[1] is not None
    assert begun[1].memory_mib is not None
    assert 32 <= begun[1].memory_mib < 2048

    found: list[dict[str, Any]] = json.loads(shown(project, "--json"))
    (each,) = [one for one in found if one["step"] == "each"]
    assert (each["target"], each["attempts"], each["runs"]) == ("batch", 6, 2)
    assert each["asked"]["memory_mib"] == 2048
    assert each["suggested"]["memory_mib"] < 2048
    assert each["waste"] > 0.5
    assert each["suggested_cost"] < each["cost"]
    lines = shown(project).splitlines()
    assert lines[0].split()[:4] == ["step", "target", "attempts", "asked"]
    assert any("each" in line and "batch" in line and "1 vCPU, 2048 MiB" in line for line in lines)


# -- looking back, in a store without runs of a flow ---------------------------------------------

NEEDS = Resources(memory_mib=2048, cpu=1, learned=("memory",))
STEP = StepPlan("each", Transition("end"), target="batch", resources=NEEDS)


@pytest.fixture
def datastore(tmp_path: Path) -> Datastore:
    return Datastore.open(Settings(datastore_root=str(tmp_path)))


def ran(datastore: Datastore, run: str, widths: int, peak: float, size: Size | None = None) -> None:
    """Leave what a run of so many tasks leaves."""
    at = datetime.now(timezone.utc).isoformat()
    datastore.create_run(RunRecord("F", run, "", at, "me"))
    for index in range(widths):
        key = TaskKey("F", run, "each", str(index))
        datastore.claim(key, lambda _: BeginRecord(at, "h", 1))
        usage = Usage(peak + index, 2.0, 4.0, 10)
        datastore.commit(key, 0, DoneRecord(at, {}, Outcome(), usage, size=size))


def test_looking_back_is_bounded_and_spread(datastore: Datastore) -> None:
    ran(datastore, "wide", 100, 300)
    found = [key.task for key, _ in done_records(datastore, "F", "each")]
    assert len(found) <= TASKS_A_RUN
    assert max(map(int, found)) >= 80
    for number in range(RUNS + 3):
        ran(datastore, f"r{number}", 1, 300)
    runs = [key.run for key, _ in done_records(datastore, "F", "each")]
    assert (len(runs), runs[0]) == (RUNS, f"r{RUNS + 2}")


def test_a_run_does_not_learn_from_itself(datastore: Datastore) -> None:
    ran(datastore, "one", 3, 300)
    assert learned_before(datastore, "F", "one", STEP).attempts == 0
    assert learned_before(datastore, "F", "two", STEP).attempts == 3


def test_all_tasks_of_a_run_begin_with_the_same_knowledge(datastore: Datastore) -> None:
    ran(datastore, "one", 3, 300)
    learned = learned_before(datastore, "F", "two", STEP)
    ran(datastore, "between", 3, 9000)
    assert learned_before(datastore, "F", "two", STEP) == learned
    assert learned_before(datastore, "F", "three", STEP).attempts == 6


def test_a_growth_of_a_size_that_was_rounded_up_counts(datastore: Datastore) -> None:
    needs = Resources(memory_mib=300)
    fargate = replace(STEP, resources=needs, batch=BatchPlan(platform="FARGATE"))
    datastore.note_growth("F", "each", Grown(2048, 4096, "a"))  # with 1 vCPU, Fargate begins at 2048 MiB
    learned = learned_before(datastore, "F", "two", fargate)
    size = first(needs, "batch", learned=learned)
    assert (size.memory_mib, size.grown_from_mib) == (4096, 300)


def test_only_growths_of_the_same_declaration_count(datastore: Datastore) -> None:
    for grown in (Grown(2048, 4096, "a"), Grown(1024, 9999, "b"), Grown(2048, 3000, "c")):
        datastore.note_growth("F", "each", grown)
    assert [one.run for one in datastore.growths("F", "each")] == ["c", "b", "a"]
    assert look_back(datastore, "F", replace(STEP, resources=replace(NEEDS, learned=()))).grown == Grown(
        2048, 4096, "a"
    )
