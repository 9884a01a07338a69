"""A new run that takes over what an older one has finished: by reference, no blob is touched.

A task is taken over when

- its step stands at the same place of the new plan as of the older run's,
- it is committed, and read the attempts that count today: one that was not run again after what
  it reads was, is not taken over,
- all tasks that it reads are taken over, too, and no switch has turned away from it,
- it does not belong to the step to run from.

So everything after a task that is to run, runs. A step that leads back to itself is taken over
whole, with all its rounds, or not at all; so are the tasks of a @parallel step, which see each other.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from airloom.codec import Json
from airloom.errors import NotFound, ResumeError
from airloom.names import Indices
from airloom.plan import Plan, StepPlan, Transition
from airloom.runtime.lineage import Lineage, Parent
from airloom.runtime.task import now
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import CLONED_FROM, BeginRecord, DoneRecord, Outcome, RunRecord
from airloom.store.tags import namespace_of

_Place = tuple[str, Indices]

_FIXED = ("linear", "split", "end")
"""Transitions that a plan knows without a run."""

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Finished:
    """A task to take over: the attempts that count, several for the rounds of a step that leads to itself."""

    step: str
    indices: Indices
    rounds: tuple[Parent, ...]
    outcome: Outcome


# -- which run ---------------------------------------------------------------------------------


def origin_of(datastore: Datastore, flow: str, named: str | None, user: str) -> RunRecord:
    """Record of the run to resume.

    Parameters
    ----------
    named
        Run id, or Flow/run; None for the newest run of the user.

    Raises
    ------
    ResumeError
        When it is a run of another flow, or the user has none.
    NotFound
        When there is no such run.
    """
    if named is None:
        return _latest(datastore, flow, user)
    of, _, run = named.rpartition("/")
    if of not in ("", flow):
        raise ResumeError(
            f"{named} is a run of the flow {of}, and this is {flow}",
            where=named,
            mend=f"give the id of a run of {flow}; `airloom runs {flow}` lists them.",
        )
    try:
        return datastore.run(flow, run)
    except NotFound as error:
        other = _flow_with(datastore, run)
        if other is None:
            raise
        raise ResumeError(
            f"the run {run!r} is one of the flow {other}, and this is {flow}",
            where=error.where,
            mend=f"give the id of a run of {flow}; `airloom runs {flow}` lists them.",
        ) from None


def _latest(datastore: Datastore, flow: str, user: str) -> RunRecord:
    for run in datastore.runs(flow, f"user:{user}"):
        with suppress(NotFound):
            record = datastore.run(flow, run)
            if namespace_of(record) == f"user:{user}":
                return record
    raise ResumeError(
        f"{user} has no run of the flow {flow} in this store",
        where=datastore.root,
        mend="name the run with --origin-run-id, or point datastore_root at the store that it wrote to.",
    )


def _flow_with(datastore: Datastore, run: str) -> str | None:
    for flow in datastore.flows():
        try:
            return datastore.run(flow, run).flow
        except NotFound:
            continue
    return None


# -- what of it --------------------------------------------------------------------------------


def finished_tasks(datastore: Datastore, plan: Plan, origin: RunRecord, step: str | None) -> list[Finished]:
    """Tasks of a run that a new one by this plan can take over, each behind those that it reads.

    Parameters
    ----------
    step
        The step to run from: it and all that read it run, also where they have succeeded.

    Raises
    ------
    GraphError
        When the flow has no such step.
    ResumeError
        When no task would be left to run.
    """
    if step is not None:
        plan.step(step)
    found = _Search(datastore, plan, origin, step).run()
    if any(task.step == plan.end for task in found):
        spec = f"{origin.flow}/{origin.run}"
        what = f"{spec} has succeeded" if step is None else f"{spec} did not run {step!r}, and has succeeded"
        raise ResumeError(
            f"{what}: there is nothing left to run",
            where=spec,
            mend=f"name the step to run from, e.g. `resume {plan.end}`, or start a new run.",
        )
    return found


class _Search:
    def __init__(self, datastore: Datastore, plan: Plan, origin: RunRecord, excluded: str | None) -> None:
        self._datastore = datastore
        self._plan = plan
        self._old = datastore.plan(origin.flow, origin.plan)
        self._lineage = Lineage(datastore, self._old, origin.run)
        self._excluded = excluded
        self._found: dict[_Place, Finished] = {}

    def run(self) -> list[Finished]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for step in self._old.steps:
                if step.name == self._excluded or not self._same_place(step):
                    continue
                places = self._places(step)
                # Read side by side: each is a request of its own, and in a remote store that counts.
                for _ in pool.map(self._lineage.task, [step.name] * len(places), places):
                    pass
                for task in filter(None, [self._task(step, place) for place in places]):
                    self._found[task.step, task.indices] = task
                self._keep_gangs_whole(step)
        return list(self._found.values())

    def _same_place(self, old: StepPlan) -> bool:
        new = self._plan.by_name.get(old.name)
        return (
            new is not None
            and (old.parents, old.joins, old.splits, old.foreaches)
            == (new.parents, new.joins, new.splits, new.foreaches)
            and (old.name == self._old.start) == (new.name == self._plan.start)
            and _compatible(old.transition, new.transition)
        )

    def _places(self, step: StepPlan) -> list[Indices]:
        if not step.foreaches:
            return [()]
        return self._lineage.indices(self._old.step(step.foreaches[-1]))

    def _task(self, step: StepPlan, place: Indices) -> Finished | None:
        last = self._lineage.task(step.name, place)
        if last is None or step.name in last.done.outcome.targets:
            return None  # not committed; or a further round was due
        if not self._lineage.chosen(step, place):
            return None
        try:
            wanted = self._lineage.parents(step, place)
        except NotFound:
            return None
        if any((parent.key.step, parent.indices) not in self._found for parent in wanted):
            return None
        rounds = self._rounds(last, place)
        if rounds is None or list(rounds[0].done.parents) != [parent.pathspec for parent in wanted]:
            return None
        new = self._plan.step(step.name).transition
        outcome = last.done.outcome
        if new.kind != "switch":
            outcome = replace(outcome, targets=new.targets)
        return Finished(step.name, place, rounds, outcome)

    def _rounds(self, last: Parent, place: Indices) -> tuple[Parent, ...] | None:
        """Rounds that led to the last one, from the first; of other steps the only one."""
        rounds = [last]
        while rounds[-1].done.parents[:1] and _is_of(rounds[-1].done.parents[0], last.key):
            attempt = int(rounds[-1].done.parents[0].rpartition("@")[2])
            if attempt >= rounds[-1].attempt:
                return None
            try:
                done = self._datastore.done(last.key, attempt)
            except NotFound:
                return None
            rounds.append(replace(last, attempt=attempt, done=done, indices=place))
        return tuple(reversed(rounds))

    def _keep_gangs_whole(self, step: StepPlan) -> None:
        if not step.foreaches or self._old.step(step.foreaches[-1]).transition.kind != "parallel":
            return
        gangs = {place[:-1] for name, place in self._found if name == step.name}
        for gang in gangs:
            split = self._lineage.committed(step.foreaches[-1], gang)
            members = [(step.name, (*gang, number)) for number in range(split.done.outcome.cardinality or 0)]
            if not all(member in self._found for member in members):
                for member in members:
                    self._found.pop(member, None)


def _compatible(old: Transition, new: Transition) -> bool:
    """Say whether what a step decided by the old transition says where to go by the new one."""
    if old.kind in _FIXED and new.kind in _FIXED:
        return True
    if old.kind == new.kind == "foreach":
        return old.variable == new.variable
    return old == new


def _is_of(pathspec: str, key: TaskKey) -> bool:
    return pathspec.rpartition("@")[0] == key.pathspec


# -- into the new run --------------------------------------------------------------------------


def take_over(
    datastore: Datastore, record: RunRecord, finished: Iterable[Finished]
) -> Mapping[tuple[str, Indices], Outcome]:
    """Write the finished tasks into a new run; return their outcomes.

    What is written are two small records an attempt, which name the same blobs.

    Raises
    ------
    NotFound
        When the older run was deleted since it was chosen.
    """
    if record.resumed_from is not None:
        # Behind the new run's own record: who deletes the older run looks for new ones after its
        # record is gone, so one of the two sees the other.
        datastore.run(record.flow, record.resumed_from)
    tasks = list(finished)
    attempts = {
        old.pathspec: f"{_in(record, old.key).pathspec}@{number}"
        for task in tasks
        for number, old in enumerate(task.rounds)
    }
    begin = BeginRecord(now(), socket.gethostname(), os.getpid())

    def clone(task: Finished) -> None:
        for old in task.rounds:
            is_last = old is task.rounds[-1]
            _clone(datastore, begin, _in(record, old.key), old, task.outcome if is_last else None, attempts)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(clone, tasks):
            pass
    return {(task.step, task.indices): task.outcome for task in tasks}


def _clone(
    datastore: Datastore,
    begin: BeginRecord,
    key: TaskKey,
    old: Parent,
    outcome: Outcome | None,
    attempts: Mapping[str, str],
) -> None:
    before = datastore.begin(old.key, old.attempt)
    # The task that really ran, also where the older run had taken it over itself.
    maker = before.origin.get(CLONED_FROM, old.pathspec)
    origin = {"scheduler": "resume", CLONED_FROM: maker}
    record = replace(begin, retry_count=before.retry_count, iteration=before.iteration, origin=origin)
    attempt = datastore.claim(key, lambda _: record)
    done: DoneRecord = replace(
        old.done,
        finished_at=now(),
        outcome=old.done.outcome if outcome is None else outcome,
        parents=tuple(attempts[parent] for parent in old.done.parents),
    )
    datastore.commit(key, attempt, done)


def _in(record: RunRecord, key: TaskKey) -> TaskKey:
    return replace(key, run=record.run)


def parameters_of(plan: Plan, origin: RunRecord) -> dict[str, Json]:
    """Parameters of the older run, as far as the new plan has them."""
    known = {parameter.name for parameter in plan.parameters}
    return {name: value for name, value in origin.parameters.items() if name in known}
