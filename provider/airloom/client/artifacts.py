"""Artifacts of one attempt: each by itself, their values by attribute, and all of them."""

# The classes are one family, and every public name of theirs is the users'.
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from airloom.client.base import ClientObject, moment
from airloom.client.facts import AttemptFacts, RunFacts
from airloom.client.stores import Where, resolve
from airloom.client.values import load
from airloom.errors import NotFound
from airloom.names import Pathspec, did_you_mean
from airloom.store.records import ArtifactRecord, DoneRecord


class ArtifactNotFound(NotFound, AttributeError):
    """A task has no artifact of that name; also an AttributeError, for ``hasattr``."""


class DataArtifact(ClientObject):
    """One artifact: ``DataArtifact("Train/7/fit/2/model")``.

    Parameters
    ----------
    pathspec
        Flow/run/step/task/artifact.
    attempt
        Of which attempt at the task; None for the one that counts.
    datastore
        Where to look.

    Raises
    ------
    NotFound
        When there is no such artifact.
    """

    _depth: ClassVar[int] = 5
    _saved: AttemptFacts | None = None

    def __init__(
        self,
        pathspec: str,
        attempt: int | None = None,
        *,
        datastore: Where | None = None,
        _namespace_check: bool = True,
    ) -> None:
        self._attempt = attempt
        super().__init__(pathspec, datastore=datastore, _namespace_check=_namespace_check)

    @classmethod
    def _of(cls, spec: Pathspec, facts: RunFacts, attempt: int | None, saved: AttemptFacts) -> DataArtifact:
        made = cls._at(spec, facts, attempt)
        made._saved = saved
        return made

    @property
    def data(self) -> Any:
        """Its value, loaded each time it is asked for: keep it in a variable.

        Raises
        ------
        ArtifactError
            When its class or a package of it is missing, also in the run's code package.
        NotFound
            When its blob is gone.
        CorruptBlob
            When its bytes are not the ones that were saved.
        """
        return self._load()

    def _load(self, fetched: memoryview | None = None) -> Any:
        done = self._facts_of_attempt.done
        code = "" if done is None else done.code
        return load(self._facts, self._record, code, self.pathspec, fetched)

    @property
    def size(self) -> int:
        """Bytes that it takes in the store."""
        return self._record.size

    @property
    def sha(self) -> str:
        """Digest of its stored bytes, the algorithm in front: ``b3:...``."""
        return self._record.digest

    @property
    def type(self) -> str:
        """Qualified name of its class, known without loading it."""
        return self._record.type

    @property
    def serializer(self) -> str:
        """How it was saved: ``pickle/2``."""
        return self._record.serializer

    @property
    def preview(self) -> str:
        """Short text that was made when it was saved."""
        return self._record.preview

    @property
    def created_at(self) -> datetime:
        """When the attempt that saved it ended."""
        return self.finished_at

    @property
    def finished_at(self) -> datetime:
        """When the attempt that saved it ended."""
        ended = self._facts_of_attempt.ended
        if ended is None:
            raise _missing(self._facts_of_attempt, self.id)
        return moment(ended.finished_at)

    @property
    def origin_pathspec(self) -> str | None:
        """The artifact of the task that really ran, where a resumed run took that over; else None."""
        task = self._parent().origin_pathspec
        return None if task is None else f"{task}/{self.id}"

    @property
    def _facts_of_attempt(self) -> AttemptFacts:
        if self._saved is None:
            key = self._facts.key(self._spec.step or "", self._spec.task or "")
            self._saved = AttemptFacts(self._facts.datastore, key, self._attempt)
        return self._saved

    @property
    def _record(self) -> ArtifactRecord:
        try:
            return self._facts_of_attempt.artifacts[self.id]
        except KeyError:
            raise _missing(self._facts_of_attempt, self.id) from None

    def _parent(self) -> ClientObject:
        parts = self.path_components[:-1]
        return self._by_depth[4]._at(Pathspec(*parts), self._facts, self._attempt)

    def _exists(self) -> bool:
        saved = self._facts_of_attempt
        return (saved.done is not None or saved.exists) and self.id in saved.artifacts


class TaskData:
    """Values of a task's artifacts by attribute; each is loaded when it is asked for.

    Names that begin with an underscore are left out of a listing, but can be reached.
    """

    def __init__(self, artifacts: TaskArtifacts) -> None:
        self._artifacts = artifacts

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_artifacts":
            raise AttributeError(name)
        return self._artifacts[name].data

    def __contains__(self, name: object) -> bool:
        return name in self._artifacts

    def __iter__(self) -> Iterator[str]:
        return iter(self._artifacts._fields)

    def __len__(self) -> int:
        return len(self._artifacts)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    def __reduce__(self) -> tuple[object, ...]:
        return TaskData, (self._artifacts,)

    def __repr__(self) -> str:
        return f"<TaskData of {self._artifacts._spec}: {', '.join(self)}>"


class TaskArtifacts:
    """All artifacts of a task, as a named tuple has its fields: by attribute, or one after another."""

    def __init__(self, spec: Pathspec, facts: RunFacts, attempt: int | None, saved: AttemptFacts) -> None:
        self._spec = spec
        self._facts = facts
        self._attempt = attempt
        self._saved = saved

    # No public names: each would hide an artifact.
    @property
    def _fields(self) -> tuple[str, ...]:
        return tuple(sorted(name for name in self._saved.artifacts if not name.startswith("_")))

    def _asdict(self) -> dict[str, DataArtifact]:
        return {artifact.id: artifact for artifact in self}

    def _make(self, name: str) -> DataArtifact:
        spec = Pathspec(self._spec.flow, self._spec.run, self._spec.step, self._spec.task, name)
        return DataArtifact._of(spec, self._facts, self._attempt, self._saved)

    def __getitem__(self, name: str) -> DataArtifact:
        if name not in self._saved.artifacts:
            raise self._missing(name)
        return self._make(name)

    def _missing(self, name: str) -> ArtifactNotFound:
        return _missing(self._saved, name)

    def __getattr__(self, name: str) -> DataArtifact:
        if name.startswith("__") or name in ("_spec", "_facts", "_attempt", "_saved"):
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._saved.artifacts

    def __iter__(self) -> Iterator[DataArtifact]:
        return (self._make(name) for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._fields})

    def __reduce__(self) -> tuple[object, ...]:
        parts = [self._spec.flow, self._spec.run, self._spec.step, self._spec.task]
        return _revive, (parts, self._facts.datastore.root, self._attempt)

    def __repr__(self) -> str:
        return f"<TaskArtifacts of {self._spec}: {', '.join(self._fields)}>"


def _revive(parts: list[str], root: str, attempt: int | None) -> TaskArtifacts:
    spec = Pathspec(*parts)
    facts = RunFacts(resolve(root), spec.flow, spec.run or "")
    saved = AttemptFacts(facts.datastore, facts.key(spec.step or "", spec.task or ""), attempt)
    return TaskArtifacts(spec, facts, attempt, saved)


def _missing(saved: AttemptFacts, name: str) -> ArtifactNotFound:
    task = saved.key.pathspec
    if not saved.exists:
        return ArtifactNotFound(
            f"the task {task} was not begun", where=task, mend="look whether the steps before it have failed."
        )
    if saved.ended is None:
        return ArtifactNotFound(
            f"the task {task} has no artifact {name!r} yet: it has not finished",
            where=task,
            mend="wait for it; artifacts are visible when a task ends.",
        )
    failed = "" if isinstance(saved.ended, DoneRecord) else ", which failed,"
    return ArtifactNotFound(
        f"the task {task}{failed} has no artifact {name!r}",
        where=task,
        mend=did_you_mean(name, sorted(saved.artifacts)),
    )
