"""Which tasks a task reads: by name and from the store, never by what happens to exist.

A join takes its width from the split's current record, and a merge its arm from the
switch's current choice, so that a cleared task changes what follows it and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airloom.errors import NotFound, VersionSkew
from airloom.names import Indices, task_id
from airloom.plan import Plan, StepPlan
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import ArtifactRecord, DoneRecord
from airloom.store.serializers import Loaded

ITEMS = "_airloom_items"
"""Artifact of a foreach split that holds its items where the variable itself cannot be indexed."""


@dataclass(frozen=True)
class Parent:
    """A committed task that another one reads; also the source of its artifacts."""

    datastore: Datastore
    key: TaskKey
    indices: Indices
    attempt: int
    done: DoneRecord

    @property
    def artifacts(self) -> dict[str, ArtifactRecord]:
        """Its artifacts' records by name."""
        return self.done.artifacts

    @property
    def pathspec(self) -> str:
        """Its name with the attempt that is read."""
        return f"{self.key.pathspec}@{self.attempt}"


class ParentSource:
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


@dataclass(frozen=True, slots=True)
class Round:
    """Which round of a step that leads back to itself is due, and the round before it."""

    number: int = 0
    previous: Parent | None = None
    finished: bool = False


class Lineage:
    """Looks tasks of one run up; each record is read once."""

    def __init__(self, datastore: Datastore, plan: Plan, run: str) -> None:
        self._datastore = datastore
        self._plan = plan
        self._run = run
        self._found: dict[tuple[str, Indices], Parent | None] = {}

    def task(self, step: str, indices: Indices) -> Parent | None:
        """Return the current attempt of a task, None when none is committed."""
        place = (step, indices)
        if place not in self._found:
            key = TaskKey(self._plan.flow, self._run, step, task_id(indices))
            found = self._datastore.done_attempt(key)
            self._found[place] = None if found is None else Parent(self._datastore, key, indices, *found)
        return self._found[place]

    def committed(self, step: str, indices: Indices) -> Parent:
        """Return the current attempt of a task.

        Raises
        ------
        NotFound
            When none is committed.
        """
        found = self.task(step, indices)
        if found is None:
            spec = f"{self._plan.flow}/{self._run}/{step}/{task_id(indices)}"
            raise NotFound(
                f"the task {spec} has no committed attempt",
                where=spec,
                mend="run it first; in Airflow, clear it together with the tasks that read it.",
            )
        return found

    def round(self, step: StepPlan, indices: Indices, generation: int) -> Round:
        """Return the round of a step that is due; for a step that does not lead to itself, the only one.

        A retry goes on after the last round that was committed; a cleared task (another
        ``generation``) begins anew.
        """
        if step.name not in step.transition.targets:
            return Round()
        last = self.task(step.name, indices)
        if last is None:
            return Round()
        begun = self._datastore.begin(last.key, last.attempt)
        if begun.generation != generation:
            return Round()
        if not self._leads_to(last, step.name):
            return Round(begun.iteration, finished=True)
        return Round(begun.iteration + 1, last)

    def parents(self, step: StepPlan, indices: Indices) -> list[Parent]:
        """Tasks that the task reads: one, or for a join one a branch, in order.

        Raises
        ------
        NotFound
            When a parent has no committed attempt.
        """
        if not step.parents or step.name == self._plan.start:
            return []
        if step.joins is None:
            return [self._arm(step, step.parents, indices)]
        split = self._plan.step(step.joins)
        if split.transition.kind in ("foreach", "parallel"):
            width = self._width(split, indices)
            return [self._arm(step, step.parents, (*indices, index)) for index in range(width)]
        return self._branches(step, split, indices)

    def _width(self, split: StepPlan, indices: Indices) -> int:
        outcome = self.committed(split.name, indices).done.outcome
        return outcome.cardinality or 0

    def _branches(self, step: StepPlan, split: StepPlan, indices: Indices) -> list[Parent]:
        found: list[Parent] = []
        for name in step.parents:
            parent = self.task(name, indices)
            if parent is not None and self._leads_to(parent, step.name) and self._live(name, indices):
                found.append(parent)
        wanted = len(split.transition.targets)
        if len(found) != wanted:
            spec = f"{self._plan.flow}/{self._run}/{step.name}/{task_id(indices)}"
            raise NotFound(
                f"{spec} joins {wanted} branches, and {len(found)} of them have a committed attempt",
                where=spec,
                mend=f"run the missing ones first: the join reads {', '.join(step.parents)}.",
            )
        return found

    def _arm(self, step: StepPlan, candidates: tuple[str, ...], indices: Indices) -> Parent:
        places = [(name, self._indices_at(name, indices)) for name in candidates if name != step.name]
        if len(places) == 1:
            return self.committed(*places[0])
        for name, at in places:
            parent = self.task(name, at)
            if parent is not None and self._leads_to(parent, step.name) and self._live(name, at):
                return parent
        return self.committed(*places[0])

    def _indices_at(self, name: str, indices: Indices) -> Indices:
        # A foreach's split lies one level above its body; everything else on the same level.
        return indices[: self._plan.step(name).depth]

    def _leads_to(self, parent: Parent, step: str) -> bool:
        return step in parent.done.outcome.targets

    def chosen(self, step: StepPlan, indices: Indices) -> bool:
        """Say whether the current choices of all switches above lead to this task."""
        return self._live(step.name, indices)

    def indices(self, split: StepPlan) -> list[Indices]:
        """Indices of all tasks of a foreach's body, in order; of an arm that is not chosen there are none."""
        outer: list[Indices] = [()]
        for name in (*split.foreaches, split.name):
            found = [(at, self.task(name, at)) for at in outer if self._live(name, at)]
            outer = [
                (*at, number)
                for at, task in found
                if task is not None
                for number in range(task.done.outcome.cardinality or 0)
            ]
        return outer

    def _live(self, name: str, indices: Indices) -> bool:
        step = self._plan.step(name)
        if step.joins is not None:
            # A join lies where its split lies; whether its branches ran is another question.
            return self._live(step.joins, indices)
        above = [parent for parent in step.parents if parent != name]
        if name == self._plan.start or not above:
            return True
        for parent in above:
            at = self._indices_at(parent, indices)
            found = self.task(parent, at)
            if found is not None and self._leads_to(found, name) and self._live(parent, at):
                return True
        return False

    def stack(self, step: StepPlan, indices: Indices) -> list[tuple[int, int, Any]]:
        """(index, width, load item) for each foreach around the task, outermost first."""
        levels = []
        for level, name in enumerate(step.foreaches):
            split = self.committed(name, indices[:level])
            width, index = split.done.outcome.cardinality or 0, indices[level]
            if index >= width:
                raise VersionSkew(
                    f"index {index} is beyond the foreach of {name!r}, which has {width} items now",
                    where=f"{self._plan.flow}/{self._run}/{step.name}/{task_id(indices)}",
                    mend="the split was run again with fewer items: this task is not needed any more.",
                )
            levels.append((index, width, _Item(split, self._plan.step(name).transition.variable, index)))
        return levels


class _Item:
    """Loads one item of a foreach when it is asked for."""

    def __init__(self, split: Parent, variable: str | None, index: int) -> None:
        self._split = split
        self._variable = variable
        self._index = index

    def __call__(self) -> Any:
        records = self._split.artifacts
        name = ITEMS if ITEMS in records else self._variable
        if name is None:
            return self._index
        where = f"{self._split.key.pathspec}/{name}"
        items: Any = self._split.datastore.load_artifact(records[name], where).value
        return items[self._index]
