"""What the operators do when they run; imported by a running task only, never by a DAG file."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from dataclasses import fields, replace
from typing import IO, TYPE_CHECKING, NoReturn, Protocol

# Airflow 3.1 has neither configuration nor these exceptions in its SDK; this module knows where they are.
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    conf,
)

from airloom import settings as settings_of
from airloom.errors import AirloomError, StepFailed, StepFailedForGood
from airloom.failures import FailureKind
from airloom.names import Indices, pack_indices, task_id, unpack_indices
from airloom.operators.ends import announce, hand_on
from airloom.operators.history import History, former, history
from airloom.operators.labels import name_task
from airloom.operators.openlineage import Told, collect
from airloom.operators.runs import Placed, airflow_settings, begin_run, run_of
from airloom.runtime.code import load_flow
from airloom.runtime.command import Command, build
from airloom.runtime.exit_hooks import call_exit_hooks
from airloom.runtime.lineage import Lineage
from airloom.runtime.logs import captured
from airloom.runtime.secrets import connection_fields, fields_of
from airloom.runtime.sizes import is_last
from airloom.runtime.task import Task, TaskRequest, now
from airloom.sizing.recovery import after, resized
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import ErrorRecord, FailedRecord, Outcome, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.flow.declarations import SecretSource
    from airloom.flow.spec import FlowSpec
    from airloom.plan import Plan, StepPlan
    from airloom.runtime.secrets import Backend
    from airloom.settings import Settings

logger = logging.getLogger(__name__)

# States of tasks (airflow.utils.state.TaskInstanceState of 3.x) that a run can end with.
_BAD = ("failed", "upstream_failed")
_SETTLED = ("success", "skipped", "removed", *_BAD)

RANGES_A_SLOT = 4
"""Ranges a worker slot for a foreach that is too wide for a mapped task an index."""


class Step(Protocol):
    """What an operator of a step says about it."""

    flow: str
    plan: str
    step: str | None
    flow_group: str | None
    flow_parameters: Mapping[str, Json] | None
    flow_outputs: Sequence[str] | None
    retries: int | None
    told: Told | None


class Execution:
    """One try of an Airflow task at one step, for the one index or the several that it stands for."""

    def __init__(self, operator: Step, context: Context) -> None:
        self.settings = airflow_settings()
        self.datastore = Datastore.open(self.settings)
        self.plan: Plan = self.datastore.plan(operator.flow, operator.plan)
        # In a task group the task's id has the group's in front; a step's own name has no dot.
        name = operator.step or context["ti"].task_id.rpartition(".")[2]
        self.step: StepPlan = self.plan.step(name)
        self.group = operator.flow_group or ""
        self.run = run_of(self.datastore, self.plan, context, self.group)
        self._operator = operator
        self._context = context
        self._retries = operator.retries or 0
        self._flow: type[FlowSpec] | None = None

    def execute(self, index: str) -> Json:
        """Run what ``index`` names; return what the DAG needs to go on.

        Raises
        ------
        AirloomError
            When a task failed; the others of a range have run all the same.
        AirflowSkipException
            When no switch has chosen any of them.
        """
        places = self.places(index)
        gang = self.is_gang()
        failures: list[AirloomError] = []
        outcomes: list[Outcome] = []
        for place in places:
            try:
                outcomes.append(self._gang(place) if gang else self._one(place))
            except AirloomError as error:
                if len(places) == 1:
                    raise
                logger.exception("index %s failed", task_id(place))
                failures.append(error)
        if failures:
            raise failed_range(failures, len(places), self.request(places[0]))
        return self.ended(places, outcomes)

    def places(self, index: str) -> list[Indices]:
        """Begin the run if this is its first task; give the indices that are to run.

        Raises
        ------
        AirflowSkipException
            When no switch has chosen any of them.
        """
        placed = None
        if self.group:
            first = self.step.name == self.plan.start
            if not first and is_left_out(self._context, self.plan, self.group):
                raise AirflowSkipException(f"the flow {self.plan.flow} is skipped here")
            placed = Placed(self.group, (self._operator.flow_parameters or {}) if first else None)
        self.run = begin_run(self.datastore, self.plan, self.settings, self._context, placed).run
        places = unpack_indices(index, self.step.depth - self.is_gang())
        lineage = Lineage(self.datastore, self.plan, self.run)
        if any(step.transition.kind == "switch" for step in self.plan.steps):
            # Airflow's own branching runs unselected arms inside of mapped groups
            # (apache/airflow#67265): every task of a flow with a switch asks the store instead.
            places = [place for place in places if lineage.chosen(self.step, place)]
            if not places:
                raise AirflowSkipException(f"no switch has chosen {self.step.name!r} here")
        name_task(self._context, self.plan, self.step, places, lineage)
        if self.generation:
            self.datastore.reopen_run(self.plan.flow, self.run)
        return places

    def ended(self, places: list[Indices], outcomes: list[Outcome]) -> Json:
        """Note what follows from the end of all indices; return what the DAG needs to go on."""
        self._operator.told = collect(self.datastore, self.plan, self.run, map(self.key, places))
        if self.step.name == self.plan.end:
            hand_on(self._context, self.datastore, self.key(places[0]), self._operator.flow_outputs or ())
            self.datastore.end_run(self.plan.flow, self.run, True)
        elif self.generation:
            self._end_again()
        announce(self._context, self.datastore, self.plan, [self.key(place) for place in places])
        return self._answer(places, outcomes)

    def _end_again(self) -> None:
        """Record the end of a run of which only tasks before its end were cleared, with the last of them."""
        states = _states(self._context, self.group)
        if sum(state not in _SETTLED for state in states) <= 1:  # this task itself
            self.datastore.end_run(self.plan.flow, self.run, not any(state in _BAD for state in states))

    def record_failure(self, error: AirloomError) -> None:
        """Record that the run has failed, when no further try is to come.

        A run that goes on after a clear and succeeds has a newer record then.
        """
        ti = self._context["ti"]
        if not error.retriable or ti.try_number > ti.max_tries:
            self.datastore.end_run(self.plan.flow, self.run, False)

    def is_gang(self) -> bool:
        around = self.step.foreaches
        return bool(around) and self.plan.step(around[-1]).transition.kind == "parallel"

    def _answer(self, places: list[Indices], outcomes: list[Outcome]) -> Json:
        if self.step.transition.kind == "foreach" and self.step.depth == 0:
            return spread([(number,) for number in range(outcomes[0].cardinality or 0)])
        key = self.key(places[0])
        return key.pathspec if len(places) == 1 else f"{self.plan.flow}/{self.run}/{self.step.name}"

    # -- one index -------------------------------------------------------------------------

    def _one(self, place: Indices) -> Outcome:
        request = self.request(place)
        finished = self.finished(place, request.generation)
        if finished is not None:
            logger.info("%s is committed already in this try or one before", self.key(place).pathspec)
            return finished
        request, killed = self._after_others(place, request)
        if killed is not None:
            return self.task(request).give_up(killed).outcome
        while True:
            try:
                outcome = self._attempt(request)
            except StepFailed:
                larger = self._larger(place, request)
                if larger is None:
                    raise
                request = larger
                continue
            # A step that leads back to itself runs round after round in this one Airflow task.
            if self.step.name not in outcome.targets:
                return outcome

    def _larger(self, place: Indices, request: TaskRequest) -> TaskRequest | None:
        """Give the next attempt of a step that ran out of memory; None when it ended otherwise.

        It follows in the same try: what the step needs is not worth one of the user's retries.

        Raises
        ------
        StepFailedForGood
            When memory may not grow any more.
        """
        if request.limit == "none":
            return None
        past = history(self.datastore, self.key(place), self.generation)
        following = after(self.step, past.former)
        if following.budget != "growth" or past.size is None:
            return None
        if not following.again:
            raise StepFailedForGood(
                following.sentence, where=self.key(place).pathspec, mend="raise memory= or max_memory=."
            )
        logger.warning("%s: %s", self.key(place).pathspec, following.sentence)
        size = resized(past.size, following)
        return replace(request, size=size, last_size=is_last(self.step, past.former, size))

    def _after_others(self, place: Indices, request: TaskRequest) -> tuple[TaskRequest, StepFailed | None]:
        """Count the tries before this one by what became of them; give what @catch takes, if it is its turn.

        A try whose process was killed could record nothing: it is recorded now, and counts like one that
        the user's code ended. With @catch Airflow has one try more, for one that was killed as the last.
        """
        allowed = max(self._retries - (self.step.catch is not None), 0)
        step = replace(self.step, retry=replace(self.step.retry, times=allowed))
        past = History()
        if self._context["ti"].try_number > self.generation + 1:
            past = history(self.datastore, self.key(place), self.generation)
        if past.open is not None:
            what = "its process was killed, or its machine was lost"
            kind = FailureKind.UNKNOWN
            lost = FailedRecord(
                now(),
                ErrorRecord(f"airloom.{kind.value}", what, ""),
                Usage(0.0, 0.0, 0.0),
                code=self.plan.code,
                failure=kind.value,
                size=past.open.begin.size,
            )
            self.datastore.fail(past.open.key, past.open.number, lost)
            past.former.append(former(past.open.begin, lost))
        if request.limit == "none":
            # Nothing held them to their sizes: what ran out is the machine's memory, and @retry pays.
            past.former = [replace(one, memory_mib=None) for one in past.former]
        following = after(step, past.former)
        last = following.last_try or request.last_try
        counted = replace(request, retry_count=following.retry_count, last_try=last)
        if request.limit != "none" and past.size is not None:
            size = resized(past.size, following)
            counted = replace(counted, size=size, last_size=is_last(step, past.former, size))
        if following.again or self.step.catch is None:
            return counted, None
        return counted, StepFailed(
            f"the processes of all tries of the step {self.step.name!r} were killed, or their machines lost",
            where=self.key(place).pathspec,
            mend="look at the logs of the tries before this one; it may need more memory than there is.",
        )

    def _attempt(self, request: TaskRequest) -> Outcome:
        task = self.task(request)
        with captured() as log:
            try:
                result = task.run()
            finally:
                kept = log.to_bytes()
                if kept:
                    self.datastore.write_log(task.key, task.attempt, kept)
        logger.info("saved %d artifacts of %s@%d", len(result.artifacts), result.pathspec, result.attempt)
        return result.outcome

    def task(self, request: TaskRequest) -> Task:
        """Begin an attempt in this process."""
        return Task(self.datastore, self.plan, self.flow(), request, (AirflowTaskTimeout,), SECRET_BACKENDS)

    def flow(self) -> type[FlowSpec]:
        """The flow's class; its module is imported once."""
        if self._flow is None:
            self._flow = load_flow(self.plan, self.datastore, self.settings.cache_folder)
        return self._flow

    def finished(self, place: Indices, generation: int) -> Outcome | None:
        """Outcome that was committed since the last clear, by this try or one before.

        So a retried range runs only what is missing, and a task whose worker died right after
        the commit does not run twice.
        """
        found = self.datastore.done_attempt(self.key(place))
        if found is None or self.step.name in found[1].outcome.targets:
            return None
        begun = self.datastore.begin(self.key(place), found[0])
        return found[1].outcome if begun.generation == generation else None

    def key(self, place: Indices) -> TaskKey:
        return TaskKey(self.plan.flow, self.run, self.step.name, task_id(place))

    @property
    def generation(self) -> int:
        """How often the task was cleared after it had run."""
        # A clear raises max_tries and keeps counting: what counts are the tries since then.
        return max(int(self._context["ti"].max_tries) - self._retries, 0)

    def _is_held(self) -> bool:
        return self.settings.enforce_memory == "true" and self.step.target == "worker"

    def request(self, place: Indices) -> TaskRequest:
        ti = self._context["ti"]
        max_tries: int = ti.max_tries
        generation = self.generation
        origin: dict[str, Json] = {
            "scheduler": "airflow",
            "task_instance": str(ti.id),
            "map_index": ti.map_index,
            "try_number": ti.try_number,
        }
        return TaskRequest(
            run=self.run,
            step=self.step.name,
            task=task_id(place),
            retry_count=max(ti.try_number - 1 - generation, 0),
            # With @catch there is one try more, for one that was killed: see `_after_others`.
            last_try=ti.try_number > max_tries - (self.step.catch is not None),
            generation=generation,
            limit="process" if self._is_held() else "none",
            apply_sizes=self.settings.sizes == "apply",
            origin=origin,
        )

    # -- a gang ----------------------------------------------------------------------------

    def _gang(self, place: Indices) -> Outcome:
        """Run all tasks of a parallel step at once, each in a process of its own on this worker."""
        split = self.plan.step(self.step.foreaches[-1])
        lineage = Lineage(self.datastore, self.plan, self.run)
        size = lineage.committed(split.name, place).done.outcome.cardinality or 0
        members = [(*place, number) for number in range(size)]
        environment = {**os.environ, **_variables(self.settings)}
        running = []
        for member in members:
            command = build(Command(self.plan.flow, self.plan.digest, (self.request(member),)))
            running.append(
                subprocess.Popen(
                    command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
        try:
            readers = [
                threading.Thread(target=_relay, args=(process.stdout, number))
                for number, process in enumerate(running)
            ]
            for reader in readers:
                reader.start()
            codes = [process.wait() for process in running]
            for reader in readers:
                reader.join()
        finally:
            for process in running:
                if process.poll() is None:
                    process.kill()
        lost = [number for number, code in enumerate(codes) if code != 0]
        if lost:
            raise StepFailed(
                f"{len(lost)} of {size} parallel tasks failed: {', '.join(map(str, lost))}",
                where=f"{self.plan.flow}/{self.run}/{self.step.name}",
                mend="see their lines in the log above.",
            )
        return Outcome(self.step.transition.targets)


def _relay(lines: IO[str] | None, number: int) -> None:
    for line in lines or ():
        logger.info("[node %d] %s", number, line.rstrip("\n"))


def _variables(settings: Settings) -> dict[str, str]:
    found = {settings_of.variable(item.name): str(getattr(settings, item.name)) for item in fields(settings)}
    if settings.datastore_connection:
        from airloom.operators.connection import variables_of_connection

        found.update(variables_of_connection(settings))
    return found


def failed_range(failures: list[AirloomError], count: int, request: TaskRequest) -> AirloomError:
    kinds = [error for error in failures if error.retriable] or failures
    kind = type(kinds[0]) if kinds[0].retriable else type(failures[0])
    return kind(
        f"{len(failures)} of {count} indices failed, the first with: {failures[0].what}",
        where=f"{request.step}, run {request.run}",
        mend="see the log above; a retry runs only those that failed.",
    )


# -- shared by the operators ---------------------------------------------------------------


def list_indices(flow: str, digest: str, split: str, context: Context, group: str | None = None) -> Json:
    """Index paths of all tasks of an inner foreach, packed where they are many."""
    datastore = Datastore.open(airflow_settings())
    plan = datastore.plan(flow, digest)
    run = run_of(datastore, plan, context, group)
    return spread(Lineage(datastore, plan, run).indices(plan.step(split)))


def spread(places: list[Indices]) -> Json:
    """One text a mapped task: an index each, or ranges where Airflow would refuse so many tasks."""
    limit = conf.getint("core", "max_map_length", fallback=1024)
    if len(places) <= limit:
        return list(pack_indices(places, len(places)))
    slots = conf.getint("core", "parallelism", fallback=32) or 32
    return list(pack_indices(places, min(limit, RANGES_A_SLOT * slots)))


def run_exit_hooks(flow: str, digest: str, context: Context, group: str | None = None) -> None:
    """Call the flow's functions for a run that has succeeded or failed.

    Raises
    ------
    StepFailed
        When one of them raised; the others were called all the same.
    """
    from airloom.client import Run  # only here: a task that is a step has no use for the client

    settings = airflow_settings()
    datastore = Datastore.open(settings)
    plan = datastore.plan(flow, digest)
    name = run_of(datastore, plan, context, group)
    if group and (is_left_out(context, plan, group) or not datastore.has_run(plan.flow, name)):
        raise AirflowSkipException(f"the flow {plan.flow} has not begun")
    successful = not any(state in _BAD for state in _states(context, group or ""))
    run = Run(f"{plan.flow}/{name}", datastore=datastore, _namespace_check=False)
    if not run.finished:  # its last task was killed: only Airflow knows
        datastore.end_run(plan.flow, name, successful)
    loaded = load_flow(plan, datastore, settings.cache_folder)
    call_exit_hooks(loaded, plan, run, successful=successful)


def is_left_out(context: Context, plan: Plan, group: str) -> bool:
    """Say whether the DAG around has left a task group out; asked where Airflow does not pass it on."""
    if context["task"].trigger_rule == "all_success":
        return False
    dag_run, start = context["dag_run"], f"{group}.{plan.start}"
    found = context["ti"].get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id], task_ids=[start])
    return found.get(dag_run.run_id, {}).get(start) in ("skipped", "upstream_failed", None)


def _states(context: Context, group: str) -> list[str]:
    """States of all tasks of the run, or of a task group of it, as Airflow has them now."""
    dag_run = context["dag_run"]
    found = context["ti"].get_task_states(dag_id=dag_run.dag_id, run_ids=[dag_run.run_id])
    prefix = f"{group}." if group else ""
    return [str(state) for task, state in found.get(dag_run.run_id, {}).items() if task.startswith(prefix)]


def _connection(source: SecretSource) -> dict[str, str]:
    from airflow.sdk import Connection

    found = Connection.get(source.id)
    names = ("host", "port", "login", "password", "schema", "extra")
    return connection_fields(source, {name: getattr(found, name, None) for name in names})


def _variable(source: SecretSource) -> dict[str, str]:
    from airflow.sdk import Variable

    return fields_of(source, str(Variable.get(source.id)))


SECRET_BACKENDS: dict[str, Backend] = {"airflow-connection": _connection, "airflow-variable": _variable}


def translate(error: AirloomError) -> NoReturn:
    """Raise Airflow's exception for one of ours: the one place that decides if another try can help."""
    kind = AirflowException if error.retriable else AirflowFailException
    raise kind(str(error)) from (error.__cause__ or error)
