"""A datastore with runs in it, written as the runtime writes them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airloom import client
from airloom.codec import Json
from airloom.names import indices_of
from airloom.plan import Catch, ParameterPlan, Plan, StepPlan, Transition
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import (
    BeginRecord,
    DoneRecord,
    ErrorRecord,
    FailedRecord,
    Outcome,
    RunRecord,
    Usage,
)

USAGE = Usage(100.0, 1.5, 2.0)


def train_plan(code: str = "") -> Plan:
    """Plan of a flow that fits three models in a foreach and joins them."""
    return Plan(
        flow="Train",
        module="train",
        steps=(
            StepPlan("start", Transition("foreach", ("fit",), variable="rates")),
            StepPlan(
                "fit",
                Transition("linear", ("pick",)),
                ("start",),
                None,
                ("start",),
                ("start",),
                catch=Catch("broken"),
            ),
            StepPlan("pick", Transition("linear", ("end",)), ("fit",), joins="start"),
            StepPlan("end", Transition("end"), ("pick",)),
        ),
        start="start",
        end="end",
        parameters=(ParameterPlan("rate", "rate", "float", {"type": "number"}, default=0.1),),
        code=code,
    )


class Recorder:
    """Writes runs of the flow Train."""

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore
        self.plan = train_plan()
        self._clock = 0

    def now(self) -> str:
        self._clock += 1
        return f"2026-11-24T10:{self._clock // 60:02}:{self._clock % 60:02}+00:00"

    def code(self, **files: str) -> None:
        """Let the runs from now on have a code package of these modules."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                archive.writestr(f"{name}.py", text)
        self.plan = train_plan(self.datastore.save_code(buffer.getvalue()))

    def run(self, run: str, parameters: dict[str, Json] | None = None, resumed: str | None = None) -> None:
        digest = self.datastore.save_plan(self.plan)
        origin: dict[str, Json] = {"dag_id": "train"}
        record = RunRecord("Train", run, digest, self.now(), "ada", parameters or {}, origin, resumed)
        assert self.datastore.create_run(record)

    def begin(self, run: str, step: str, task: str = "0") -> tuple[TaskKey, int]:
        key = TaskKey("Train", run, step, task)
        origin: dict[str, Json] = {"try_number": 1}
        return key, self.datastore.claim(key, lambda _: BeginRecord(self.now(), "host", 42, origin=origin))

    def done(
        self,
        run: str,
        step: str,
        task: str = "0",
        *,
        width: int | None = None,
        caught: bool = False,
        **values: object,
    ) -> int:
        """Begin and commit an attempt that reads the current ones before it."""
        key, attempt = self.begin(run, step, task)
        planned = self.plan.step(step)
        record = DoneRecord(
            finished_at=self.now(),
            artifacts=self.datastore.save_artifacts(values),
            outcome=Outcome(planned.transition.targets, width),
            usage=USAGE,
            parents=tuple(self._parents(run, planned, task)),
            code=self.plan.code,
            python="3.11.7",
            platform="Linux",
            caught=ErrorRecord("ValueError", "no data", "Traceback: no data") if caught else None,
        )
        self.datastore.commit(key, attempt, record)
        return attempt

    def _parents(self, run: str, step: StepPlan, task: str) -> Iterator[str]:
        for parent in step.parents:
            depth = self.plan.step(parent).depth
            names = ["0"] if depth == 0 else self.datastore.tasks("Train", run, parent)
            if step.depth and depth:
                names = [name for name in names if indices_of(name, depth) == indices_of(task, depth)]
            for name in names:
                found = self.datastore.done_attempt(TaskKey("Train", run, parent, name))
                if found is not None:
                    yield f"Train/{run}/{parent}/{name}@{found[0]}"

    def failed(self, run: str, step: str, task: str = "0", **values: object) -> int:
        key, attempt = self.begin(run, step, task)
        artifacts = self.datastore.save_artifacts(values)
        error = ErrorRecord("ValueError", "no data", "Traceback: no data")
        record = FailedRecord(self.now(), error, USAGE, artifacts, failure="user_code")
        self.datastore.fail(key, attempt, record)
        return attempt

    def whole(self, run: str, *, successful: bool = True) -> None:
        """Write a run with all its tasks, and its end."""
        self.run(run)
        self.done(run, "start", width=3, rates=[1, 2, 3])
        for index in range(3):
            self.done(run, "fit", str(index), score=index * 10, _secret="shh")
        self.done(run, "pick", best=20)
        self.done(run, "end", best=20, report={"rows": 3})
        self.datastore.end_run("Train", run, successful)


@pytest.fixture
def datastore(tmp_path: Path) -> Datastore:
    return Datastore.open(Settings(datastore_root=str(tmp_path / "store")))


@pytest.fixture
def recorder(datastore: Datastore) -> Recorder:
    return Recorder(datastore)


@pytest.fixture(autouse=True)
def chosen(datastore: Datastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the client read all of the test's own datastore, and unpack into the test's own cache."""
    monkeypatch.setenv("AIRLOOM_CACHE_DIR", str(tmp_path / "cache"))
    client.namespace(None)
    with client.datastore(datastore):
        yield
    client.default_namespace()
