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
from airloom.client.namespaces import get_namespace, mismatch
from airloom.client.runs import Run
from airloom.client.stores import Where, resolve
from airloom.errors import NotFound
from airloom.names import Pathspec
from airloom.store.index import Kind
from airloom.store.tags import is_indexed

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
        """Its runs that have all these tags, the newest first, found one by one.

        Runs with a tag that people gave are found without a look at the others.
        """
        return self._found(tags)

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
        shown = get_namespace()
        if shown is None or next(self._with_all((shown,), "newest"), None) is not None:
            return True
        return next(self._children(), None) is None

    def __iter__(self) -> Iterator[Run]:
        return self._found(())

    def _found(self, tags: tuple[str, ...], kind: Kind = "newest") -> Iterator[Run]:
        # Before the first is asked for: the namespace is the one that holds now.
        shown = get_namespace() if self._namespace_check else None
        return self._with_all(tags if shown is None else (*tags, shown), kind)

    def _with_all(self, tags: tuple[str, ...], kind: Kind) -> Iterator[Run]:
        known = next(filter(is_indexed, tags), None)
        for name in self._facts.datastore.runs(self.id, known, kind):
            run = self._child(name)
            # An entry may stand for a tag that was taken away, or for a run that was deleted.
            if not tags or _has_tags(run, tags):
                yield run

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

        One listing and one record, however many runs there are and whoever's they are.
        """
        return next((run for run in self if run._exists()), None)

    @property
    def latest_successful_run(self) -> Run | None:
        """The newest run that came to a good end, None when there is none.

        One listing and how the run ended, however many have failed since; one more look for
        each newer run that once succeeded, and failed or runs since it was cleared.
        """
        return next((run for run in self._found((), "successful") if run.successful), None)

    @property
    def created_at(self) -> datetime | None:
        """When its first run was created, None when there is none; lists all runs."""
        oldest = deque(self, maxlen=1)
        return oldest[0].created_at if oldest else None

    def _exists(self) -> bool:
        return self._facts.datastore.has_flow(self.id)

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


def _has_tags(run: Run, tags: tuple[str, ...]) -> bool:
    try:
        return run._facts.has_tags(tags)
    except NotFound:
        return False


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
