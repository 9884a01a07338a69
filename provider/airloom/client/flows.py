"""Flows, and the runs of each."""

# The classes are one family, and every public name of theirs is the users'.
# ruff: noqa: SLF001

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import ClassVar

from airloom.client.base import ClientObject, Container
from airloom.client.facts import RunFacts
from airloom.client.runs import Run
from airloom.client.stores import Where, resolve
from airloom.names import Pathspec

_RUNS_TO_COMPARE = 1000


class Flow(ClientObject, Container[Run]):
    """All runs of a flow, the newest first: ``Flow("Train")``.

    Parameters
    ----------
    pathspec
        The flow's name.
    datastore
        Where to look.

    Raises
    ------
    NotFound
        When the datastore has nothing of such a flow.
    """

    _depth: ClassVar[int] = 1
    _kind: ClassVar[str] = "run"

    def runs(self) -> Iterator[Run]:
        """Its runs, the newest first; each is read when something of it is asked for."""
        return iter(self)

    @property
    def latest_run(self) -> Run | None:
        """The run that was created last, None when there is none."""
        return next(iter(self), None)

    @property
    def latest_successful_run(self) -> Run | None:
        """The newest run that came to a good end, None when there is none."""
        return next((run for run in self if run.successful), None)

    @property
    def created_at(self) -> datetime | None:
        """When its first run was created, None when there is none; lists all runs."""
        oldest = deque(self, maxlen=1)
        return oldest[0].created_at if oldest else None

    def _exists(self) -> bool:
        return self.id in self._facts.datastore.flows()

    def _above(self) -> Container[ClientObject]:
        return Airloom(datastore=self._facts.datastore)

    def _children(self) -> Iterator[str]:
        return self._facts.datastore.runs(self.id)

    def _child(self, name: str) -> Run:
        return Run._at(Pathspec(self.id, name), RunFacts(self._facts.datastore, self.id, name))

    def _near(self) -> list[str]:
        return list(islice(self._children(), _RUNS_TO_COMPARE))


class Airloom(Container[Flow]):
    """All flows of a datastore, by name.

    Parameters
    ----------
    datastore
        Where to look: a datastore, or its folder or URL.
    """

    _kind: ClassVar[str] = "flow"

    def __init__(self, *, datastore: Where | None = None) -> None:
        self._datastore = resolve(datastore)

    @property
    def flows(self) -> list[Flow]:
        """Its flows, by name."""
        return list(self)

    def _children(self) -> Iterator[str]:
        return iter(self._datastore.flows())

    def _child(self, name: str) -> Flow:
        return Flow._at(Pathspec(name), RunFacts(self._datastore, name, ""))

    def __reduce__(self) -> tuple[object, ...]:
        return _open, (self._datastore.root,)

    def __repr__(self) -> str:
        return f"Airloom(datastore={self._datastore.root!r})"


def _open(root: str) -> Airloom:
    return Airloom(datastore=root)
