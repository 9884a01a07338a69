"""One attempt at one task: the same code in the local runner, in Airflow's task process, in a container.

Parents are found in the store, the user's code runs, and all that it left on ``self`` is saved:
blobs first, then one create-only record.
"""

from __future__ import annotations

import os
import platform
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airloom.codec import Json
from airloom.errors import AirloomError, SizeError, StepFailed, StepFailedForGood, VersionSkew
from airloom.failures import FailureKind, of_exception
from airloom.flow.caught import CaughtException
from airloom.flow.configs import ConfigValue
from airloom.flow.current import Late, current
from airloom.flow.declarations import config_attributes, step_declaration
from airloom.flow.finishing import finish
from airloom.flow.spec import FlowSpec, Input, Inputs, Source, TaskState
from airloom.flow.user_decorators import wrappers
from airloom.names import indices_of
from airloom.plan import Plan, SizeName, StepPlan
from airloom.runtime import sizes
from airloom.runtime.facts import facts_of
from airloom.runtime.limits import Limit, limited, ran_out
from airloom.runtime.lineage import ITEMS, Lineage, Parent, ParentSource
from airloom.runtime.parameters import parameter_values
from airloom.runtime.surroundings import alarm, image, neutral_main, variables
from airloom.runtime.transitions import outcome
from airloom.runtime.usage import Meter
from airloom.settings import variable
from airloom.sizing.catalogue import Size
from airloom.sizing.learning import Grown
from airloom.sizing.recovery import GROWN
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import (
    ArtifactRecord,
    BeginRecord,
    DoneRecord,
    ErrorRecord,
    FailedRecord,
    Outcome,
)

if TYPE_CHECKING:
    from airloom.cards.saving import TaskCards
    from airloom.runtime.secrets import Backend


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Which task to run, and what the scheduler says about this try.

    ``retry_count`` counts from 0; ``last_try`` makes @catch take effect; ``origin`` holds the
    scheduler's own ids; ``generation`` counts how often it was told to run a finished task anew;
    ``attempt`` is the number of the one that was claimed for it already, None when it claims one;
    ``size`` is what the scheduler gave it, None when the task finds out by itself what it begins with;
    ``last_size``: no larger one follows when memory runs out; ``limit`` says how this machine holds the
    task to it (`runtime.limits`); without ``apply_sizes`` what was learned is only noted;
    without ``alarm`` no @timeout is kept, for a debugger; ``killed`` says what ended the last attempt that
    @retry allows: no user code runs, and @catch keeps it. ``call`` is a function of a DAG file to run instead
    of a step of a flow (`runtime.calls`).
    """

    run: str
    step: str
    task: str
    retry_count: int = 0
    last_try: bool = True
    generation: int = 0
    attempt: int | None = None
    size: Size | None = None
    last_size: bool = True
    limit: Limit = "none"
    apply_sizes: bool = True
    alarm: bool = True
    killed: str | None = None
    origin: dict[str, Json] = field(default_factory=dict)
    call: ArtifactRecord | None = None


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What came of an attempt that was committed."""

    pathspec: str
    attempt: int
    outcome: Outcome
    artifacts: tuple[str, ...]


def now() -> str:
    """Time of a record: ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class Task:
    """One attempt, claimed when the object is made: nobody else can have its number."""

    def __init__(
        self,
        datastore: Datastore,
        plan: Plan,
        flow: type[FlowSpec],
        request: TaskRequest,
        user_errors: tuple[type[BaseException], ...] = (),
        secret_backends: Mapping[str, Backend] | None = None,
        *,
        claim: bool = True,
    ) -> None:
        self.datastore = datastore
        self.plan = plan
        self.flow = finish(flow, plan.configs, plan.attached)
        self.request = request
        self.step: StepPlan = plan.step(request.step)
        self.indices = indices_of(request.task, self.step.depth)
        self.key = TaskKey(plan.flow, request.run, request.step, request.task)
        self.run_record = datastore.run(plan.flow, request.run)
        self.lineage = Lineage(datastore, plan, request.run)
        # What counts as the user's failure besides Exception: leaving, and a scheduler's own timeout.
        self._user_errors: tuple[type[BaseException], ...] = (Exception, SystemExit, *user_errors)
        self._secret_backends = secret_backends
        self.round = self.lineage.round(self.step, self.indices, request.generation)
        self.size, self._last_size = request.size, request.last_size
        self._size_error: SizeError | None = None
        if not claim:
            return
        if self.size is None:
            self._find_size()
        self.attempt = datastore.claim(self.key, self._begin) if request.attempt is None else request.attempt
        self.cards = self._cards()

    def _begin(self, _attempt: int) -> BeginRecord:
        request = self.request
        return BeginRecord(
            now(),
            socket.gethostname(),
            os.getpid(),
            request.retry_count,
            request.generation,
            self.round.number,
            request.origin,
            self.size,
            request.call,
        )

    def first_size(self, *, limited: bool) -> Size | None:
        """Size of the first attempt.

        Raises
        ------
        SizeError
            When a function of the flow gives none.
        """
        needs, parents = self.step.resources, self._parents
        seen = parents() if needs.computed or (limited and needs.learned) else []
        computed: dict[SizeName, float] = {}
        if needs.computed:
            inputs = None if self.step.joins is None else self._inputs(seen)
            computed = sizes.computed_sizes(self.flow, self.step, self._instance(seen), inputs)
        return sizes.first_size(
            self.datastore,
            self.key,
            self.step,
            limited=limited,
            input_bytes=_bytes_of(seen),
            computed=computed,
            apply=self.request.apply_sizes,
        )

    def _find_size(self) -> None:
        held = self.request.limit != "none"
        try:
            self.size = self.first_size(limited=held)
        except SizeError as error:
            self._size_error = error  # raised when the attempt has begun, so that it is on record
        self._last_size = not held or sizes.is_last(self.step, (), self.size)

    def run(self) -> TaskResult:
        """Run the step once and commit what it leaves.

        Raises
        ------
        StepFailed, StepFailedForGood, StepTimedOut
            When the user's code failed; the failure is recorded.
        AirloomError
            When a parent is missing, an artifact cannot be saved, the store does not answer.
        """
        meter = Meter()
        parents = self._parents()
        meter.input_bytes = _bytes_of(parents)
        try:
            instance = self._instance(parents)
        except Exception as error:
            raise self._failed(error, None, parents, meter) from error
        catch, caught = self.step.catch, None
        try:
            with self._surroundings():
                self._call(instance, parents)
        except self._user_errors as error:
            _forget_our_frames(error)
            if catch is None or not self._is_last(error):
                raise self._failed(error, instance, parents, meter) from error
            caught = CaughtException.of(error)
            if catch.print_exception:
                traceback.print_exception(error)
        return self._commit(instance, parents, caught, meter)

    def give_up(self, error: AirloomError) -> TaskResult:
        """Commit what @catch promises after attempts that were killed: the exception, and no user code runs.

        Raises
        ------
        AirloomError
            When a parent is missing, or the store does not answer.
        """
        meter, parents = Meter(), self._parents()
        return self._commit(self._instance(parents), parents, CaughtException.of(error), meter)

    def _commit(
        self, instance: FlowSpec, parents: list[Parent], caught: CaughtException | None, meter: Meter
    ) -> TaskResult:
        catch = self.step.catch
        try:
            taken = Outcome(self.step.transition.targets) if caught else self._outcome(instance)
            if catch is not None and catch.variable is not None:
                setattr(instance, catch.variable, caught)
            records = self._save(instance, parents)
        except Exception as error:
            raise self._failed(error, instance, parents, meter) from error
        done = DoneRecord(
            finished_at=now(),
            artifacts=records,
            outcome=taken,
            usage=meter.read(),
            parents=tuple(parent.pathspec for parent in parents),
            code=self.plan.code,
            python=platform.python_version(),
            platform=platform_name(),
            caught=None if caught is None else _error_record(caught),
            size=self.size,
            image=image(),
        )
        self.datastore.commit(self.key, self.attempt, done)
        if caught is None:
            self._remember(self.size)
        if self.cards is not None:
            self.cards.close(done)
        return TaskResult(self.key.pathspec, self.attempt, taken, tuple(records))

    # -- before the user's code ----------------------------------------------------------

    def _cards(self) -> TaskCards | None:
        if not self.step.cards:
            return None
        from airloom.cards.saving import TaskCards

        where = (self.datastore, self.key, self.attempt)
        return TaskCards(*where, self.plan, self.run_record, self.flow, alarm=self.request.alarm)

    def _parents(self) -> list[Parent]:
        if self.round.previous is not None:
            return [self.round.previous]
        return self.lineage.parents(self.step, self.indices)

    def _instance(self, parents: list[Parent]) -> FlowSpec:
        if self._size_error is not None:
            raise self._size_error
        instance = self.flow(use_cli=False)
        inherited: dict[str, Source] = {}
        if self.step.joins is None:
            for parent in parents:
                inherited |= dict.fromkeys(parent.artifacts, ParentSource(parent))
        for name in (ITEMS, *self._shared):
            inherited.pop(name, None)
        parameters = parameter_values(self.flow, self.plan, self.run_record, self.datastore)
        parameters |= config_attributes(self.flow)
        state = TaskState(parameters, inherited, self.lineage.stack(self.step, self.indices))
        object.__setattr__(instance, "_airloom", state)
        return instance

    @property
    def _shared(self) -> tuple[str, ...]:
        """Names that every task of the run sees with the same value."""
        parameters = (parameter.attribute for parameter in self.plan.parameters)
        return (*parameters, *config_attributes(self.flow), *self.plan.constants)

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        """Set what holds only while the user's code runs: current, variables, __main__, the alarm."""
        with ExitStack() as stack:
            folder = Late(lambda: stack.enter_context(tempfile.TemporaryDirectory(prefix="airloom-")))
            current.enter(facts_of(self, folder))
            stack.callback(current.leave)
            stack.enter_context(variables({**self._store(), **self.step.variables, **self._secrets()}))
            stack.enter_context(neutral_main())
            memory_mib = None if self.size is None else self.size.memory_mib
            stack.enter_context(limited(self.request.limit, memory_mib))
            if self.step.timeout_s is not None and self.request.alarm:
                stack.enter_context(alarm(self.step.timeout_s, self.key.pathspec))
            yield

    def _store(self) -> dict[str, str]:
        # The client inside of a step reads the store that the run is in.
        return {variable("datastore_root"): self.datastore.root}

    def _secrets(self) -> dict[str, str]:
        if not self.step.secrets:
            return {}
        from airloom.runtime.secrets import resolve

        # From the class, not from the plan: sources may hold values, and a plan never does.
        said = step_declaration(getattr(self.flow, self.step.name))
        return (
            {}
            if said is None
            else resolve(
                said.secrets,
                self.key.pathspec,
                allow_override=said.secrets_override,
                backends=self._secret_backends,
            )
        )

    def _call(self, instance: FlowSpec, parents: list[Parent]) -> None:
        method = getattr(instance, self.step.name)
        if self.step.joins is None:
            self._call_wrapped(instance, method, None)
            return
        self._call_wrapped(instance, method, self._inputs(parents))

    def _inputs(self, parents: list[Parent]) -> Inputs:
        branches = []
        for parent in parents:
            step = self.plan.step(parent.key.step)
            levels = self.lineage.stack(step, parent.indices)
            branches.append(Input(step.name, ParentSource(parent), levels))
        return Inputs(branches)

    def _call_wrapped(self, instance: FlowSpec, method: Callable[..., Any], inputs: Inputs | None) -> None:
        around = wrappers(step_declaration(method))
        if tuple(one.name for one in around) != self.step.wrappers:
            raise VersionSkew(
                f"mutators put other decorators around {self.step.name!r} than when the flow was compiled",
                where=f"{self.plan.module}.py:{self.step.line}, step {self.step.name!r}",
                mend="let mutators decide by configs only, not by what differs from machine to machine.",
            )
        if around:
            from airloom.runtime.wrapped import call

            call(around, self.step, instance, method, inputs)
        else:
            method() if inputs is None else method(inputs)

    # -- after it ------------------------------------------------------------------------

    def _outcome(self, instance: FlowSpec) -> Outcome:
        return outcome(
            self.step, instance, f"{self.plan.module}.py:{self.step.line}, step {self.step.name!r}"
        )

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
            if isinstance(inherited, ParentSource) and inherited.unchanged(name, value):
                continue
            fresh[name] = value
        if not parents:
            fresh |= {
                name: value.to_dict() if isinstance(value, ConfigValue) else value
                for name, value in state.parameters.items()
            }
            fresh |= {name: getattr(self.flow, name) for name in self.plan.constants}
        return records | self.datastore.save_artifacts(fresh)

    def _remember(self, size: Size | None) -> None:
        if size is None or size.why != GROWN or size.memory_mib is None or size.grown_from_mib is None:
            return
        grown = Grown(size.grown_from_mib, size.memory_mib, self.key.run)
        self.datastore.note_growth(self.key.flow, self.key.step, grown)

    def _kind(self, error: BaseException) -> FailureKind:
        if ran_out(self.request.limit):
            return FailureKind.OUT_OF_MEMORY  # a process that the step had started was killed
        return of_exception(error).kind

    def _is_last(self, error: BaseException) -> bool:
        """Say whether no other attempt follows after this failure."""
        held = self.request.limit != "none" or self.request.size is not None
        if held and self._kind(error) is FailureKind.OUT_OF_MEMORY:
            return self._last_size
        return self.request.last_try or self._is_final(error)

    def _is_final(self, error: BaseException) -> bool:
        """Say whether @retry names exceptions, and this is none of them."""
        wanted = self.step.retry.on
        names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
        return bool(wanted) and not any(name in wanted for name in names)

    def _failed(
        self, error: BaseException, instance: FlowSpec | None, parents: list[Parent], meter: Meter
    ) -> AirloomError:
        try:
            partial = {} if instance is None else self._save(instance, parents)
        except Exception:  # what was set may be what failed: the failure itself is what counts
            partial = {}
        what = _error_record(CaughtException.of(error))
        names = tuple(parent.pathspec for parent in parents)
        kind = self._kind(error)
        final = kind is not FailureKind.OUT_OF_MEMORY and self._is_final(error)
        record = FailedRecord(
            now(), what, meter.read(), partial, names, self.plan.code, final, kind.value, self.size, image()
        )
        self.datastore.fail(self.key, self.attempt, record)
        if self.cards is not None:
            self.cards.close(record)
        if isinstance(error, AirloomError) and not (final and error.retriable):
            return error
        return (StepFailedForGood if final else StepFailed)(
            f"the step {self.step.name!r} raised {what.type.removeprefix('builtins.')}: {what.message}",
            where=f"{self.key.pathspec}, attempt {self.attempt}",
            mend="see the traceback above; `airloom logs` shows it again.",
        )


def first_size(
    datastore: Datastore, plan: Plan, request: TaskRequest, load: Callable[[], type[FlowSpec]]
) -> Size | None:
    """Size that a job for a task begins with; the flow is loaded only where its code or inputs decide.

    Raises
    ------
    SizeError
        When a function of the flow gives none.
    """
    step = plan.step(request.step)
    if step.resources.computed or step.resources.learned:
        return Task(datastore, plan, load(), request, claim=False).first_size(limited=True)
    key = TaskKey(plan.flow, request.run, request.step, request.task)
    apply = request.apply_sizes
    return sizes.first_size(datastore, key, step, limited=True, input_bytes=0, computed={}, apply=apply)


def _bytes_of(parents: list[Parent]) -> int:
    """Size of all artifacts that a task can read, each counted once."""
    found = {one.digest: one.size for parent in parents for one in parent.artifacts.values()}
    return sum(found.values())


def _forget_our_frames(error: BaseException) -> None:
    """Let a traceback begin in the user's code: how it was called is no help to anybody."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    if frames is not None:
        error.__traceback__ = frames


def _error_record(caught: CaughtException) -> ErrorRecord:
    return ErrorRecord(caught.type, caught.exception, caught.stacktrace)


def platform_name() -> str:
    """Name system, release, machine and C library."""
    # In the form of platform.platform(), which starts a process to find the processor: in every task.
    text = f"{platform.system()}-{platform.release()}-{platform.machine()}"
    if "CS_GNU_LIBC_VERSION" in os.confstr_names:
        text += f"-with-{(os.confstr('CS_GNU_LIBC_VERSION') or 'libc').replace(' ', '')}"
    return text
