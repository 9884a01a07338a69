"""Flows, and the runs of each."""

# The classes are one family, and every public name of theirs is the users'.
# ruff: noqa: SLF001

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from typing import ClassVar

from airloom.client.base import ClientObject, Container
from airloom.client.facts import RunFacts
from airloom.client.namespaces import mismatch
from airloom.client.runs import Run
from airloom.client.stores import Where, resolve
from airloom.names import Pathspec

_RUNS_TO_COMPARE = 1000


class Flow(ClientObject, Container[Run]):
    """The runs of a flow in the namespace that holds, the newest first: ``Flow("Train")``.

    With ``_namespace_check=False`` it shows those of all namespaces.

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
    NamespaceMismatch
        When it has runs, but none in the namespace that holds.
    """

    _depth: ClassVar[int] = 1
    _kind: ClassVar[str] = "run"

    def runs(self, *tags: str) -> Iterator[Run]:
        """Its runs that have all these tags, the newest first."""
        return (run for run in self if run._facts.has_tags(tags))

    @property
    def user_tags(self) -> frozenset[str]:
        """None: it is runs that have tags."""
        return frozenset()

    @property
    def system_tags(self) -> frozenset[str]:
        """None: it is runs that have tags."""
        return frozenset()

    def is_in_namespace(self) -> bool:
        """Say whether a run of it is in the namespace that holds; one that never ran is in all."""
        names = self._facts.datastore.runs(self.id)
        first = next(names, None)
        return first is None or any(self._child(name)._facts.is_shown for name in chain((first,), names))

    def __iter__(self) -> Iterator[Run]:
        runs = (self._child(name) for name in self._children())
        return (run for run in runs if not self._namespace_check or run.is_in_namespace())

    def __getitem__(self, name: str) -> Run:
        """Find a run by its id.

        Raises
        ------
        NotFound
            When there is none; the nearest id that there is, is told.
        NamespaceMismatch
            When it is not in the namespace that holds.
        """
        run = super().__getitem__(name)
        if self._namespace_check and not run.is_in_namespace():
            raise mismatch(run.pathspec)
        return run

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            return False
        return not self._namespace_check or self._child(str(name)).is_in_namespace()

    @property
    def latest_run(self) -> Run | None:
        """The run that was created last, None when there is none.

        One request and one record, while the newest run is in the namespace.
        """
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
        run = Run._at(Pathspec(self.id, name), RunFacts(self._facts.datastore, self.id, name))
        run._namespace_check = self._namespace_check
        return run

    def _near(self) -> list[str]:
        return list(islice(self._children(), _RUNS_TO_COMPARE))


class Airloom(Container[Flow]):
    """The flows of a datastore with a run in the namespace that holds, by name; also those that never ran.

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

    def __iter__(self) -> Iterator[Flow]:
        return (flow for flow in super().__iter__() if flow.is_in_namespace())

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
