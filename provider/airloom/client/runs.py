"""One run of a flow, and its steps."""

# The classes are one family, and every public name of theirs is the users'.
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import ClassVar, TypeAlias

from airloom import settings
from airloom.client.artifacts import TaskData
from airloom.client.base import ClientObject, Container, moment
from airloom.client.code import Code
from airloom.client.steps import Step
from airloom.client.tasks import Task
from airloom.codec import Json
from airloom.errors import NotFound
from airloom.names import Pathspec
from airloom.plan import Plan
from airloom.store import tags
from airloom.store.records import EndRecord

Tags: TypeAlias = "str | Iterable[str]"


class Run(ClientObject, Container[Step]):
    """One run: ``Run("Train/7")``.

    Its steps come in the order of the plan, the first to run first (Metaflow's come newest first).

    Parameters
    ----------
    pathspec
        Flow/run.
    datastore
        Where to look.

    Raises
    ------
    NotFound
        When there is no such flow, or no such run of it.
    """

    _depth: ClassVar[int] = 2
    _kind: ClassVar[str] = "step"

    def steps(self, *tags: str) -> Iterator[Step]:
        """Give the steps that have begun, in the order of the plan; none when it has not all these tags."""
        return iter(self) if self._facts.has_tags(tags) else iter(())

    # -- tags ----------------------------------------------------------------------------

    def add_tag(self, tag: Tags) -> None:
        """Give it a tag, or several; see `add_tags`."""
        self.add_tags(tag)

    def add_tags(self, tags: Tags) -> None:
        """Give it tags; those that it has already change nothing.

        Raises
        ------
        TagError
            When it would have more than 50, or one is empty or longer than 500 signs.
        """
        self._change((), tags)

    def remove_tag(self, tag: Tags) -> None:
        """Take a tag away, or several; see `remove_tags`."""
        self.remove_tags(tag)

    def remove_tags(self, tags: Tags) -> None:
        """Take tags away; those that it has not change nothing.

        Raises
        ------
        TagError
            When one is a tag of the system.
        """
        self._change(tags, ())

    def replace_tag(self, tag_to_remove: Tags, tag_to_add: Tags) -> None:
        """Take tags away and give others; see `replace_tags`."""
        self.replace_tags(tag_to_remove, tag_to_add)

    def replace_tags(self, tags_to_remove: Tags, tags_to_add: Tags) -> None:
        """Take tags away and give others, at once; what is named in both stays.

        Raises
        ------
        TagError
            As for `add_tags` and `remove_tags`.
        """
        self._change(tags_to_remove, tags_to_add)

    def _change(self, remove: Tags, add: Tags) -> None:
        tags.change(
            self._facts.datastore,
            self._facts.record,
            add=_several(add),
            remove=_several(remove),
            user=settings.load().user_name,
        )

    # -- what became of it -----------------------------------------------------------------

    @property
    def data(self) -> TaskData | None:
        """Values of the artifacts at the end of the run; None when the end step has not begun."""
        task = self.end_task
        return None if task is None else task.data

    @property
    def end_task(self) -> Task | None:
        """Task of the end step; None when it has not begun."""
        if not self.plan.end:  # of a DAG that was not at hand when the run was recorded
            return None
        end = self._child(self.plan.end)
        task = end._child("0")
        return task if task._exists() else None

    @property
    def finished(self) -> bool:
        """Whether it came to an end; not while it goes on after a clear, nor when it was killed."""
        return self._end is not None

    @property
    def successful(self) -> bool:
        """Whether it came to an end, and the last time to a good one."""
        end = self._end
        return end is not None and end.successful

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return moment(self._facts.record.created_at)

    @property
    def finished_at(self) -> datetime | None:
        """When it came to an end the last time, None when it did not or goes on since."""
        end = self._end
        return None if end is None else moment(end.finished_at)

    @property
    def user(self) -> str:
        """Who started it."""
        return self._facts.record.user

    @property
    def parameters(self) -> dict[str, Json]:
        """Its parameters by name, as given or by default; of a file its name, or its digest.

        The values as the steps see them are artifacts of the first task.
        """
        given = self._facts.record.parameters
        return {item.name: given.get(item.name, item.default) for item in self.plan.parameters} | given

    @property
    def origin(self) -> dict[str, Json]:
        """What the scheduler calls it: Airflow's ids."""
        return dict(self._facts.record.origin)

    @property
    def origin_pathspec(self) -> str | None:
        """The run that this one resumed."""
        resumed = self._facts.record.resumed_from
        return None if resumed is None else f"{self._facts.flow}/{resumed}"

    @property
    def plan(self) -> Plan:
        """The plan that it began with."""
        return self._facts.plan

    @property
    def code_digest(self) -> str:
        """Digest of the code package that it began with."""
        return self._facts.plan.code

    @property
    def code(self) -> Code:
        """The code package that it began with."""
        return Code(self._facts, self._facts.plan.code)

    @property
    def _end(self) -> EndRecord | None:
        return self._facts.datastore.last_end(self._facts.flow, self._facts.run)

    def _exists(self) -> bool:
        try:
            return bool(self._facts.record)
        except NotFound:
            return False

    def _children(self) -> Iterator[str]:
        begun = set(self._facts.datastore.steps(self._facts.flow, self._facts.run))
        return (step.name for step in self.plan.steps if step.name in begun)

    def _child(self, name: str) -> Step:
        return Step._at(Pathspec(self._spec.flow, self.id, name), self._facts)

    def _near(self) -> list[str]:
        return [step.name for step in self.plan.steps]

    def _missing(self, name: str) -> NotFound:
        if name not in self.plan.by_name:
            return super()._missing(name)
        if self.finished:
            mend = "the run has ended without it: see which of its tasks failed."
        else:
            mend = "wait for the steps before it."
        return NotFound(f"the step {name!r} of {self.pathspec} has not begun", where=self.pathspec, mend=mend)


def _several(given: Tags) -> list[str]:
    return [given] if isinstance(given, str) else list(given)
