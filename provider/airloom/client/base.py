"""What all objects of the client have in common: a pathspec, a datastore, a parent, children.

Objects are made in two ways: by their pathspec, which looks whether they exist, and by their
parent while it lists what exists, which reads nothing.
"""

# The classes are one family, and every public name of theirs is the users'.
# ruff: noqa: SLF001

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import ClassVar, Generic, TypeVar

from airloom.client.facts import RunFacts
from airloom.client.namespaces import mismatch
from airloom.client.stores import Where, resolve
from airloom.errors import NotFound
from airloom.names import Pathspec, did_you_mean

S = TypeVar("S", bound="ClientObject")

_FORMS = ("Flow", "Flow/run", "Flow/run/step", "Flow/run/step/task", "Flow/run/step/task/artifact")


class ClientObject(ABC):
    """Something with a pathspec.

    Two of them are equal when their pathspecs are. They pickle as pathspec and datastore root,
    and are read again where they are used.

    Parameters
    ----------
    pathspec
        Its name, as long as the class asks for: ``Train/7`` for a run.
    datastore
        Where to look: a datastore, or its folder or URL.

    Raises
    ------
    NotFound
        When there is no such thing; the nearest name that there is, is told.
    NamespaceMismatch
        When it is there, but not in the namespace that holds; not with ``_namespace_check=False``.
    """

    _depth: ClassVar[int]
    _by_depth: ClassVar[dict[int, type[ClientObject]]] = {}

    _spec: Pathspec
    _facts: RunFacts
    _attempt: int | None = None
    _namespace_check: bool = True

    def __init__(
        self, pathspec: str, *, datastore: Where | None = None, _namespace_check: bool = True
    ) -> None:
        self._spec = _parse(pathspec, self._depth, type(self).__name__)
        self._facts = RunFacts(resolve(datastore), self._spec.flow, self._spec.run or "")
        self._namespace_check = _namespace_check
        self._check()
        if _namespace_check and not self.is_in_namespace():
            raise mismatch(self.pathspec)

    def __init_subclass__(cls) -> None:
        depth = cls.__dict__.get("_depth")
        if depth is not None:
            ClientObject._by_depth[depth] = cls

    @classmethod
    def _at(cls: type[S], spec: Pathspec, facts: RunFacts, attempt: int | None = None) -> S:
        made = cls.__new__(cls)
        made._spec = spec
        made._facts = facts
        made._attempt = attempt
        return made

    @property
    def pathspec(self) -> str:
        """Its name."""
        return str(self._spec)

    @property
    def path_components(self) -> list[str]:
        """The parts of its name, the flow first."""
        parts = (self._spec.flow, self._spec.run, self._spec.step, self._spec.task, self._spec.artifact)
        return [part for part in parts if part is not None]

    @property
    def id(self) -> str:
        """Last part of its name."""
        return self.path_components[-1]

    @property
    def parent(self) -> ClientObject | None:
        """What it belongs to: the step of a task, the run of a step; None for a flow."""
        return None if self._depth == 1 else self._parent()

    @property
    def tags(self) -> frozenset[str]:
        """Tags of its run, those of people and those of the system."""
        return self.user_tags | self.system_tags

    @property
    def user_tags(self) -> frozenset[str]:
        """Tags that people have given to its run, looked up each time."""
        return self._facts.user_tags

    @property
    def system_tags(self) -> frozenset[str]:
        """Tags that follow from its run's record: who, when, where, by which versions."""
        return self._facts.system_tags

    def is_in_namespace(self) -> bool:
        """Say whether its run is in the namespace that holds; in the global one everything is."""
        return self._facts.is_shown

    @property
    def origin_pathspec(self) -> str | None:
        """What it is a clone of, where a resumed run took it over; else None."""
        return None

    @property
    @abstractmethod
    def created_at(self) -> datetime | None:
        """When it was made, in UTC."""

    def _parent(self) -> ClientObject:
        parts = self.path_components[:-1]
        parent = self._by_depth[len(parts)]._at(Pathspec(*parts), self._facts)
        parent._namespace_check = self._namespace_check
        return parent

    @abstractmethod
    def _exists(self) -> bool: ...

    def _check(self) -> None:
        """Raise NotFound for the first part of the name that does not exist."""
        if self._exists():
            return
        parent = self._above()
        if isinstance(parent, ClientObject):
            parent._check()
        raise parent._missing(self.id)

    def _above(self) -> Container[ClientObject]:
        parent = self._parent()
        assert isinstance(parent, Container)  # noqa: S101 - all but an artifact are
        return parent

    def __reduce__(self) -> tuple[object, ...]:
        place = (self.path_components, self._facts.datastore.root)
        return _revive, (type(self), *place, self._attempt, self._namespace_check)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientObject) and self.pathspec == other.pathspec

    def __hash__(self) -> int:
        return hash(self.pathspec)

    def __repr__(self) -> str:
        attempt = "" if self._attempt is None else f", attempt={self._attempt}"
        return f"{type(self).__name__}({self.pathspec!r}{attempt})"


C = TypeVar("C", bound=ClientObject, covariant=True)


class Container(ABC, Generic[C]):
    """Something with children: iterated lazily, found by their id."""

    _kind: ClassVar[str]

    @abstractmethod
    def _children(self) -> Iterator[str]:
        """Give the ids of the children, in their order."""

    @abstractmethod
    def _child(self, name: str) -> C:
        """Make a child without a look at whether it exists."""

    def _near(self) -> list[str]:
        """List names that a person may have meant."""
        return list(self._children())

    def _missing(self, name: str) -> NotFound:
        return NotFound(
            f"{self!r} has no {self._kind} {name!r}",
            where=getattr(self, "pathspec", "the datastore"),
            mend=did_you_mean(name, self._near()),
        )

    def __iter__(self) -> Iterator[C]:
        return (self._child(name) for name in self._children())

    def __getitem__(self, name: str) -> C:
        """Find a child by its id.

        Raises
        ------
        NotFound
            When there is none; the nearest id that there is, is told.
        """
        child = self._child(name)
        if not name or "/" in name or not child._exists():
            raise self._missing(name)
        return child

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name != "" and "/" not in name and self._child(name)._exists()


def moment(iso: str) -> datetime:
    """Read the time of a record, always aware and in UTC."""
    # Python 3.10 cannot read the Z.
    time = datetime.fromisoformat(iso.replace("Z", "+00:00"))
    return time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)


def _parse(pathspec: str, depth: int, kind: str) -> Pathspec:
    spec = Pathspec.parse(pathspec)
    if spec.depth != depth:
        raise NotFound(
            f"{pathspec!r} is not the pathspec of a {kind}",
            where=pathspec,
            mend=f"write {_FORMS[depth - 1]}, or use {ClientObject._by_depth[spec.depth].__name__}.",
        )
    return spec


def _revive(
    cls: type[ClientObject], parts: list[str], root: str, attempt: int | None, namespace_check: bool
) -> ClientObject:
    spec = Pathspec(*parts)
    made = cls._at(spec, RunFacts(resolve(root), spec.flow, spec.run or ""), attempt)
    made._namespace_check = namespace_check
    return made
