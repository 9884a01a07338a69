"""One attempt at one task: the same code in the local runner, in Airflow's task process, in a container.

Parents are found in the store, the user's code runs, and all that it left on ``self`` is saved:
blobs first, then one create-only record.
"""

from __future__ import annotations

import os
import platform
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import FrameType, ModuleType
from typing import Any

from airloom.codec import Json
from airloom.errors import AirloomError, ArtifactError, GraphError, StepFailed, StepTimedOut
from airloom.flow.caught import CaughtException
from airloom.flow.current import current
from airloom.flow.parameters import IncludeFile, parameters_of
from airloom.flow.spec import FlowSpec, Input, Inputs, Source, TaskState
from airloom.names import indices_of
from airloom.plan import Plan, StepPlan
from airloom.runtime.lineage import ITEMS, Lineage, Parent
from airloom.runtime.usage import Meter
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import ArtifactRecord, BeginRecord, DoneRecord, FailedRecord, Outcome, RunRecord
from airloom.store.serializers import Loaded


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Which task to run, and what the scheduler says about this try.

    ``retry_count`` counts from 0; ``last_try`` makes @catch take effect; ``origin`` holds the
    scheduler's own ids; ``alarm`` says whether @timeout is kept here or by the scheduler.
    """

    run: str
    step: str
    task: str
    retry_count: int = 0
    last_try: bool = True
    alarm: bool = True
    origin: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What came of an attempt that was committed."""

    pathspec: str
    attempt: int
    outcome: Outcome
    artifacts: tuple[str, ...]
    caught: bool


def now() -> str:
    """Time of a record: ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def claim(datastore: Datastore, plan: Plan, request: TaskRequest) -> int:
    """Claim the next attempt at a task; nobody else can have the same number."""
    key = TaskKey(plan.flow, request.run, request.step, request.task)

    def begin(_attempt: int) -> BeginRecord:
        return BeginRecord(now(), socket.gethostname(), os.getpid(), request.retry_count, request.origin)

    return datastore.claim(key, begin)


class Task:
    """One attempt: `run` does it all."""

    def __init__(
        self,
        datastore: Datastore,
        plan: Plan,
        flow: type[FlowSpec],
        request: TaskRequest,
        attempt: int,
        user_errors: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.datastore = datastore
        self.plan = plan
        self.flow = flow
        self.request = request
        self.attempt = attempt
        self.step: StepPlan = plan.step(request.step)
        self.indices = indices_of(request.task, self.step.depth)
        self.key = TaskKey(plan.flow, request.run, request.step, request.task)
        self.run_record = datastore.run(plan.flow, request.run)
        self.lineage = Lineage(datastore, plan, request.run)
        # What counts as the user's failure besides Exception: a scheduler's own timeout.
        self._user_errors: tuple[type[BaseException], ...] = (Exception, *user_errors)

    def run(self) -> TaskResult:
        """Run the step once and commit what it leaves.

        Raises
        ------
        StepFailed, StepTimedOut
            When the user's code failed; the failure is recorded.
        AirloomError
            When a parent is missing, an artifact cannot be saved, the store does not answer.
        """
        meter = Meter()
        parents = self.lineage.parents(self.step, self.indices)
        instance = self._instance(parents)
        caught = False
        try:
            with self._surroundings():
                self._call(instance, parents)
            outcome = self._outcome(instance)
            if self.step.catch is not None and self.step.catch.variable is not None:
                setattr(instance, self.step.catch.variable, None)
            records = self._save(instance, parents)
        except self._user_errors as error:
            if self.step.catch is None or not self.request.last_try:
                raise self._failed(error, instance, parents, meter) from error
            caught = True
            outcome, records = self._caught(error, instance, parents, meter)
        done = DoneRecord(
            finished_at=now(),
            artifacts=records,
            outcome=outcome,
            usage=meter.read(),
            parents=tuple(parent.pathspec for parent in parents),
            code=self.plan.code,
            python=platform.python_version(),
            platform=platform.platform(),
            caught=caught,
        )
        self.datastore.commit(self.key, self.attempt, done)
        return TaskResult(self.key.pathspec, self.attempt, outcome, tuple(records), caught)

    # -- before the user's code ----------------------------------------------------------

    def _instance(self, parents: list[Parent]) -> FlowSpec:
        instance = self.flow(use_cli=False)
        inherited: dict[str, Source] = {}
        if self.step.joins is None:
            for parent in parents:
                inherited |= dict.fromkeys(parent.artifacts, _ParentSource(parent))
        for name in (ITEMS, *self._shared):
            inherited.pop(name, None)
        parameters = parameter_values(self.flow, self.plan, self.run_record, self.datastore)
        state = TaskState(parameters, inherited, self.lineage.stack(self.step, self.indices))
        object.__setattr__(instance, "_airloom", state)
        return instance

    @property
    def _shared(self) -> tuple[str, ...]:
        """Names that every task of the run sees with the same value."""
        return (*(parameter.attribute for parameter in self.plan.parameters), *self.plan.constants)

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        """Set what holds only while the user's code runs: current, variables, __main__, the alarm."""
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="airloom-"))
            current.enter(self._facts(folder))
            stack.callback(current.leave)
            stack.enter_context(_variables(self.step.variables))
            stack.enter_context(_neutral_main())
            if self.step.timeout_s is not None and self.request.alarm:
                stack.enter_context(_alarm(self.step.timeout_s, self.key.pathspec))
            yield

    def _facts(self, folder: str) -> dict[str, Any]:
        record = self.run_record
        return {
            "flow_name": self.plan.flow,
            "run_id": record.run,
            "step_name": self.step.name,
            "task_id": self.request.task,
            "retry_count": self.request.retry_count,
            "origin_run_id": record.resumed_from,
            "pathspec": self.key.pathspec,
            "namespace": f"user:{record.user}",
            "username": record.user,
            "tags": frozenset(),
            "tempdir": folder,
            "parameter_names": [parameter.name for parameter in self.plan.parameters],
            "graph": self.plan,
        }

    def _call(self, instance: FlowSpec, parents: list[Parent]) -> None:
        method = getattr(instance, self.step.name)
        if self.step.joins is None:
            method()
            return
        branches = []
        for parent in parents:
            step = self.plan.step(parent.key.step)
            levels = self.lineage.stack(step, parent.indices)
            branches.append(Input(step.name, _ParentSource(parent), levels))
        method(Inputs(branches))

    # -- after it ------------------------------------------------------------------------

    def _outcome(self, instance: FlowSpec) -> Outcome:
        taken, planned = instance._airloom.next, self.step.transition  # noqa: SLF001 - its own state
        where = f"{self.plan.module}.py:{self.step.line}, step {self.step.name!r}"
        if planned.kind == "end":
            return Outcome()
        if taken is None:
            raise GraphError(
                f"the step {self.step.name!r} ended without self.next()",
                where=where,
                mend="a return before self.next() leaves the run without a next step: end the step with it.",
            )
        if not set(taken.targets) <= set(planned.targets) or taken.foreach not in (planned.variable, None):
            raise GraphError(
                f"the step {self.step.name!r} went to {', '.join(taken.targets)}, "
                f"but its source says {', '.join(planned.targets)}",
                where=where,
                mend="do not build the transition at run time: write the steps out in self.next().",
            )
        if planned.kind == "foreach":
            return Outcome(planned.targets, self._spread(instance, where))
        if planned.kind == "parallel":
            return Outcome(planned.targets, taken.num_parallel)
        if planned.kind == "switch":
            return Outcome(taken.targets, choice=taken.choice)
        return Outcome(planned.targets)

    def _spread(self, instance: FlowSpec, where: str) -> int:
        """Width of a foreach; what cannot be indexed later becomes a list now."""
        name = self.step.transition.variable or ""
        try:
            items = getattr(instance, name)
        except AttributeError:
            raise GraphError(
                f"the foreach of {self.step.name!r} iterates over self.{name}, which is not set",
                where=where,
                mend=f"set self.{name} before self.next(), in this step or one before it.",
            ) from None
        if not _indexable(items):
            try:
                items = list(items)
            except TypeError:
                raise GraphError(
                    f"the foreach of {self.step.name!r} iterates over self.{name}, "
                    f"which is {type(items).__name__} and has no items",
                    where=where,
                    mend="set it to a list.",
                ) from None
            if hasattr(getattr(instance, name), "__next__"):
                setattr(instance, name, items)  # an iterator is used up now, and could not be saved
            setattr(instance, ITEMS, items)
        width = len(items)
        if width == 0 and not self.step.transition.allow_empty:
            raise GraphError(
                f"the foreach of {self.step.name!r} has nothing to iterate over: self.{name} is empty",
                where=where,
                mend="give it items, or write allow_empty=True to go on with the join.",
            )
        return width

    def _save(self, instance: FlowSpec, parents: list[Parent]) -> dict[str, ArtifactRecord]:
        state = instance._airloom  # noqa: SLF001 - its own state
        records: dict[str, ArtifactRecord] = {}
        for parent in parents[:1]:
            records |= {name: parent.artifacts[name] for name in self._shared if name in parent.artifacts}
        for name, source in state.inherited.items():
            saved = source.artifacts[name]
            assert isinstance(saved, ArtifactRecord)  # noqa: S101 - sources are parents here
            records[name] = saved
        fresh: dict[str, object] = {}
        for name, value in vars(instance).items():
            if name == "_airloom":
                continue
            inherited = state.inherited.get(name)
            if isinstance(inherited, _ParentSource) and inherited.unchanged(name, value):
                continue
            fresh[name] = value
        if not parents:
            fresh |= state.parameters
            fresh |= {name: getattr(self.flow, name) for name in self.plan.constants}
        return records | self.datastore.save_artifacts(fresh)

    def _caught(
        self, error: BaseException, instance: FlowSpec, parents: list[Parent], meter: Meter
    ) -> tuple[Outcome, dict[str, ArtifactRecord]]:
        catch = self.step.catch
        if catch is not None and catch.print_exception:
            traceback.print_exception(error)
        if catch is not None and catch.variable is not None:
            setattr(instance, catch.variable, CaughtException.of(error))
        try:
            records = self._save(instance, parents)
        except Exception as second:
            raise self._failed(second, instance, parents, meter) from second
        return Outcome(self.step.transition.targets), records

    def _failed(
        self, error: BaseException, instance: FlowSpec, parents: list[Parent], meter: Meter
    ) -> AirloomError:
        try:
            partial = self._save(instance, parents)
        except Exception:  # what was set may be what failed: the failure itself is what counts
            partial = {}
        text = "".join(traceback.format_exception(error))
        record = FailedRecord(now(), CaughtException.of(error).type, str(error), text, meter.read(), partial)
        self.datastore.fail(self.key, self.attempt, record)
        if isinstance(error, (StepTimedOut, ArtifactError, GraphError)):
            return error
        return StepFailed(
            f"the step {self.step.name!r} raised {record.error_type}: {record.message}",
            where=f"{self.key.pathspec}, attempt {self.attempt}",
            mend="see the traceback above; `airloom logs` shows it again.",
        )


class _ParentSource:
    """Artifacts of a parent for a flow object; remembers what it loaded, to tell later if it changed."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._loaded: dict[str, Loaded] = {}

    @property
    def artifacts(self) -> dict[str, ArtifactRecord]:
        return self._parent.artifacts

    def load(self, name: str) -> Any:
        where = f"{self._parent.key.pathspec}/{name}"
        loaded = self._parent.datastore.load_artifact(self._parent.artifacts[name], where)
        self._loaded[name] = loaded
        return loaded.value

    def unchanged(self, name: str, value: object) -> bool:
        """Say whether the value is what was loaded from here, and was not changed since."""
        return name in self._loaded and self._loaded[name].unchanged(value)


def parameter_values(
    flow: type[FlowSpec], plan: Plan, record: RunRecord, datastore: Datastore
) -> dict[str, Any]:
    """Values of a run's parameters by attribute, as the steps see them."""
    declared = parameters_of(flow)
    values: dict[str, Any] = {}
    for parameter in plan.parameters:
        value = record.parameters.get(parameter.name, parameter.default)
        found = declared.get(parameter.attribute)
        if isinstance(found, IncludeFile) and isinstance(value, dict):
            values[parameter.attribute] = found.content(datastore.code(str(value["digest"])))
        else:
            values[parameter.attribute] = value
    return values


def _indexable(items: Any) -> bool:
    """Say whether ``items[i]`` gives the i-th item; a dict's or a data frame's does not."""
    return isinstance(items, (list, tuple, range, str)) or type(items).__module__.split(".")[0] == "numpy"


@contextmanager
def _variables(wanted: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _neutral_main() -> Iterator[None]:
    # With the scheduler's own __main__, children that multiprocessing spawns would run its
    # command line again, and hang.
    before = sys.modules.get("__main__")
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        if before is not None:
            sys.modules["__main__"] = before


@contextmanager
def _alarm(seconds: float, pathspec: str) -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise StepTimedOut(
            f"the step took longer than its @timeout of {seconds:g} s",
            where=pathspec,
            mend="give it more time, or less to do.",
        )

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
