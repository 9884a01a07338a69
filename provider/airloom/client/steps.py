"""One step of a run, and its tasks."""

# The classes are one family, and every public name of theirs is the users'.
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import ClassVar

from airloom.client.base import ClientObject, Container
from airloom.client.tasks import Task
from airloom.errors import NotFound
from airloom.names import Indices, Pathspec, task_id


class Step(ClientObject, Container[Task]):
    """One step of a run, of which a task has begun: ``Step("Train/7/fit")``.

    Its tasks come by index. When a split was run again and got fewer items, the tasks that
    this made needless are left out, as the join leaves them out; by their id they are found still.

    Parameters
    ----------
    pathspec
        Flow/run/step.
    datastore
        Where to look.

    Raises
    ------
    NotFound
        When there is no such step, or it has not begun.
    """

    _depth: ClassVar[int] = 3
    _kind: ClassVar[str] = "task"

    @property
    def task(self) -> Task:
        """Its only task, or the first of several.

        Raises
        ------
        NotFound
            When the foreach around it has no items any more.
        """
        for task in self:
            return task
        raise self._missing("0")

    def tasks(self, *tags: str) -> Iterator[Task]:
        """Give its tasks, by index; none when its run has not all these tags."""
        return iter(self) if self._facts.has_tags(tags) else iter(())

    @property
    def created_at(self) -> datetime:
        """When its first task was begun."""
        return self.task.created_at

    @property
    def finished_at(self) -> datetime | None:
        """When the last of its tasks ended; None while one of them runs."""
        ends: list[datetime] = []
        for task in self:
            end = task.finished_at
            if end is None:
                return None
            ends.append(end)
        return max(ends, default=None)

    @property
    def parent_steps(self) -> Iterator[Step]:
        """The steps before it that have begun, in the order in which a join sees its inputs."""
        return self._begun(self._facts.plan.step(self.id).parents)

    @property
    def child_steps(self) -> Iterator[Step]:
        """The steps after it that have begun."""
        return self._begun(self._facts.plan.step(self.id).transition.targets)

    def _begun(self, names: tuple[str, ...]) -> Iterator[Step]:
        steps = (Step._at(Pathspec(self._spec.flow, self._spec.run, name), self._facts) for name in names)
        return (step for step in steps if step._exists())

    def _exists(self) -> bool:
        return self.id in self._facts.datastore.steps(self._facts.flow, self._facts.run)

    def _near(self) -> list[str]:
        return self._facts.datastore.tasks(self._facts.flow, self._facts.run, self.id)

    def _children(self) -> Iterator[str]:
        names = self._near()
        foreaches = self._facts.plan.step(self.id).foreaches
        if not foreaches:
            return iter(names)

        @cache
        def width(split: str, indices: Indices) -> int | None:
            return self._width(split, indices)

        def needed(name: str) -> bool:
            indices = self._facts.indices(self.id, name)
            for level, split in enumerate(foreaches):
                items = width(split, indices[:level])
                if items is not None and indices[level] >= items:
                    return False
            return True

        return (name for name in names if needed(name))

    def _width(self, split: str, indices: Indices) -> int | None:
        found = self._facts.datastore.done_attempt(self._facts.key(split, task_id(indices)))
        return None if found is None else found[1].outcome.cardinality

    def _child(self, name: str) -> Task:
        return Task._at(Pathspec(self._spec.flow, self._spec.run, self.id, name), self._facts)

    def _missing(self, name: str) -> NotFound:
        error = super()._missing(name)
        if self._facts.plan.step(self.id).depth > 1:
            error.mend += " A task is named by its indices, outermost first: 3.1."
        return error
