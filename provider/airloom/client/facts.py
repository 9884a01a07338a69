"""What the store says about a run and about one attempt at a task; every record is read once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from airloom.client.namespaces import get_namespace
from airloom.errors import NotFound
from airloom.names import Indices, indices_of
from airloom.plan import Plan, StepPlan, Transition
from airloom.store import tags
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import (
    BY_HAND,
    ArtifactRecord,
    BeginRecord,
    DoneRecord,
    FailedRecord,
    Outcome,
    RunRecord,
    Usage,
)


@dataclass(frozen=True)
class RunFacts:
    """A run's record and plan; shared by all objects that a run's object made."""

    datastore: Datastore
    flow: str
    run: str

    @cached_property
    def record(self) -> RunRecord:
        """The run's record; NotFound when there is no such run."""
        return self.datastore.run(self.flow, self.run)

    @cached_property
    def plan(self) -> Plan:
        """The plan that the run began with; of a DAG that people wrote with all tasks that have begun."""
        plan = self.datastore.plan(self.flow, self.record.plan)
        if not self.record.origin.get(BY_HAND):
            return plan
        begun = [name for name in self.datastore.steps(self.flow, self.run) if name not in plan.by_name]
        return replace(plan, steps=(*plan.steps, *map(self._step, begun)))

    def _step(self, name: str) -> StepPlan:
        # The DAG was not at hand when the run was recorded, or has changed since.
        mapped = self.datastore.tasks(self.flow, self.run, name) != ["0"]
        return StepPlan(name, Transition("end"), foreaches=(name,) if mapped else ())

    @property
    def system_tags(self) -> frozenset[str]:
        """Tags that follow from the run's record."""
        return tags.system_tags(self.record)

    @property
    def user_tags(self) -> frozenset[str]:
        """Tags that people have given to the run, looked up each time."""
        return tags.user_tags(self.datastore, self.record)

    def has_tags(self, wanted: Iterable[str]) -> bool:
        """Say whether the run has all these tags."""
        return tags.has_tags(self.datastore, self.record, wanted)

    @property
    def is_shown(self) -> bool:
        """Say whether the run is in the namespace that holds."""
        shown = get_namespace()
        return shown is None or self.has_tags((shown,))

    def key(self, step: str, task: str) -> TaskKey:
        """Name a task of this run."""
        return TaskKey(self.flow, self.run, step, task)

    def indices(self, step: str, task: str) -> Indices:
        """Give the foreach indices of a task, outermost first."""
        return indices_of(task, self.plan.step(step).depth)


class AttemptFacts:
    """One attempt at a task: the one that was asked for, else the one that counts.

    That is the highest committed attempt, or while there is none the newest that was begun.
    What is still open is looked for each time; what has ended stays as it was found.
    """

    def __init__(self, datastore: Datastore, key: TaskKey, asked: int | None) -> None:
        self._datastore = datastore
        self.key = key
        self._asked = asked
        self._done: tuple[int, DoneRecord] | None = None
        self._failed: dict[int, FailedRecord] = {}

    @property
    def exists(self) -> bool:
        """Whether it was begun."""
        if self.done is not None:
            return True
        numbers = self._datastore.attempts(self.key)
        return bool(numbers) if self._asked is None else self._asked in numbers

    @property
    def number(self) -> int:
        """Its number, from 0; NotFound when the task was not begun."""
        if self._asked is not None:
            return self._asked
        if self._committed() is not None:
            return self._committed_number
        numbers = self._datastore.attempts(self.key)
        if not numbers:
            raise NotFound(
                f"the task {self.key.pathspec} was not begun",
                where=self.key.pathspec,
                mend="wait for it, or look whether the steps before it have failed.",
            )
        return numbers[-1]

    @property
    def begin(self) -> BeginRecord:
        """Who began it, and when."""
        return self._datastore.begin(self.key, self.number)

    @property
    def done(self) -> DoneRecord | None:
        """What it committed, None until then."""
        return self._committed()

    @property
    def failed(self) -> FailedRecord | None:
        """How it failed, None when it did not."""
        if self._committed() is not None:
            return None
        number = self.number
        if number not in self._failed:
            record = self._datastore.failed(self.key, number)
            if record is None:
                return None
            self._failed[number] = record
        return self._failed[number]

    @property
    def ended(self) -> DoneRecord | FailedRecord | None:
        """Its last record, None while it runs."""
        return self.done or self.failed

    @property
    def artifacts(self) -> dict[str, ArtifactRecord]:
        """What it saved: nothing while it runs, and what it had set until then when it failed."""
        ended = self.ended
        return {} if ended is None else ended.artifacts

    @property
    def usage(self) -> Usage | None:
        """What it used, None while it runs."""
        ended = self.ended
        return None if ended is None else ended.usage

    @property
    def outcome(self) -> Outcome | None:
        """Which transition it took, None when it took none."""
        done = self.done
        return None if done is None else done.outcome

    @property
    def _committed_number(self) -> int:
        assert self._done is not None  # noqa: S101 - asked for after _committed only
        return self._done[0]

    def _committed(self) -> DoneRecord | None:
        if self._done is None:
            self._done = self._find()
        return None if self._done is None else self._done[1]

    def _find(self) -> tuple[int, DoneRecord] | None:
        if self._asked is None:
            return self._datastore.done_attempt(self.key)
        try:
            return self._asked, self._datastore.done(self.key, self._asked)
        except NotFound:
            return None
