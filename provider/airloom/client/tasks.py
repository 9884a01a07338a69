"""One task of a run, and what one attempt at it left."""

# The classes are one family, and every public name of theirs is the users'.
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from airloom.client.artifacts import DataArtifact, TaskArtifacts, TaskData
from airloom.client.base import ClientObject, Container, moment
from airloom.client.code import Code
from airloom.client.facts import AttemptFacts, RunFacts
from airloom.client.stores import Where
from airloom.codec import Json, to_json
from airloom.errors import NotFound
from airloom.failures import Failure, FailureKind
from airloom.flow.caught import CaughtException
from airloom.names import Pathspec, task_id
from airloom.runtime.logs import Line, parse
from airloom.sizing.catalogue import Size
from airloom.store.datastore import TaskKey
from airloom.store.records import CLONED_FROM, DoneRecord, Usage

_STREAMS = {"stdout": "o", "stderr": "e"}
_KINDS = {kind.value for kind in FailureKind}


class Task(ClientObject, Container[DataArtifact]):
    """One task: ``Task("Train/7/fit/2")``.

    It stands for the highest committed attempt, as for every step that reads it, or while
    none is committed for the newest one. What has ended is read once: for what a task that was
    cleared has made since, make a new object.

    Parameters
    ----------
    pathspec
        Flow/run/step/task; ``Train/7/fit/2@1`` names attempt 1, as records of parents do.
    attempt
        Exactly this attempt, from 0.
    datastore
        Where to look.

    Raises
    ------
    NotFound
        When there is no such task, or no such attempt.
    """

    _depth: ClassVar[int] = 4
    _kind: ClassVar[str] = "artifact"
    _read: AttemptFacts | None = None

    def __init__(
        self,
        pathspec: str,
        attempt: int | None = None,
        *,
        datastore: Where | None = None,
        _namespace_check: bool = True,
    ) -> None:
        name, _, number = pathspec.partition("@")
        if number.isdecimal() and attempt is None:
            pathspec, attempt = name, int(number)
        self._attempt = attempt
        super().__init__(pathspec, datastore=datastore, _namespace_check=_namespace_check)

    # -- what it left --------------------------------------------------------------------

    @property
    def artifacts(self) -> TaskArtifacts:
        """Its artifacts, by attribute or one after another; those with ``_`` in front are left out."""
        return TaskArtifacts(self._spec, self._facts, self._attempt, self._reading)

    @property
    def private_artifacts(self) -> list[str]:
        """Names of the artifacts that a listing leaves out: those with ``_`` in front."""
        return sorted(name for name in self._reading.artifacts if name.startswith("_"))

    @property
    def data(self) -> TaskData:
        """Values of its artifacts: ``task.data.model``."""
        return TaskData(self.artifacts)

    def load(self, *names: str) -> dict[str, Any]:
        """Load values of several artifacts at once, by name: from a remote store side by side.

        Parameters
        ----------
        names
            Which; none for all but those with ``_`` in front.

        Raises
        ------
        NotFound
            When it has no artifact of such a name, or a value's blob is gone.
        ArtifactError
            When a value's class or a package of it is missing.
        CorruptBlob
            When a value's bytes are not the ones that were saved.
        """
        artifacts = {name: self.artifacts[name] for name in names or self.artifacts._fields}
        records = {name: artifact._record for name, artifact in artifacts.items()}
        fetched = self._facts.datastore.fetch_artifacts(records)
        return {name: artifact._load(fetched.get(name)) for name, artifact in artifacts.items()}

    @property
    def exception(self) -> CaughtException | None:
        """The exception that it failed with or that @catch caught: its text, type and traceback."""
        failed = self._reading.failed
        if failed is not None:
            return CaughtException(failed.error.message, failed.error.type, failed.error.traceback)
        done = self._reading.done
        if done is None or done.caught is None:
            return None
        return CaughtException(done.caught.message, done.caught.type, done.caught.traceback)

    @property
    def stdout(self) -> str:
        """What it printed to standard output."""
        return "".join(f"{text}\n" for _, text in self.loglines("stdout"))

    @property
    def stderr(self) -> str:
        """What it printed to standard error."""
        return "".join(f"{text}\n" for _, text in self.loglines("stderr"))

    def loglines(self, stream: str | None = None) -> Iterator[tuple[datetime, str]]:
        """Give the lines that it printed, each with its time in UTC.

        Parameters
        ----------
        stream
            ``stdout``, ``stderr``, or None for both as they came.

        Raises
        ------
        NotFound
            When there is no such stream.
        """
        if stream is not None and stream not in _STREAMS:
            raise NotFound(
                f"there is no stream {stream!r}", where=self.pathspec, mend="write 'stdout' or 'stderr'."
            )
        wanted = _STREAMS.values() if stream is None else (_STREAMS[stream],)
        return ((moment(line.time), line.text) for line in self._log() if line.stream in wanted)

    def _log(self) -> Iterator[Line]:
        origin = self._origin
        key, attempt = (self._reading.key, self.current_attempt) if origin is None else origin
        try:
            return parse(self._facts.datastore.log(key, attempt))
        except NotFound:
            return iter(())

    @property
    def origin_pathspec(self) -> str | None:
        """The task that really ran, where a resumed run took it over; else None."""
        origin = self._origin
        return None if origin is None else origin[0].pathspec

    @property
    def _origin(self) -> tuple[TaskKey, int] | None:
        cloned = self._reading.begin.origin.get(CLONED_FROM)
        if not isinstance(cloned, str):
            return None
        name, _, attempt = cloned.partition("@")
        return TaskKey(*name.split("/")), int(attempt)

    # -- how it went ---------------------------------------------------------------------

    @property
    def successful(self) -> bool:
        """Whether it was committed; so it is when @catch caught its failure."""
        return self._reading.done is not None

    @property
    def finished(self) -> bool:
        """Whether it was committed or has failed."""
        return self._reading.ended is not None

    @property
    def created_at(self) -> datetime:
        """When this attempt was begun."""
        return moment(self._reading.begin.started_at)

    @property
    def finished_at(self) -> datetime | None:
        """When this attempt ended, None while it runs."""
        ended = self._reading.ended
        return None if ended is None else moment(ended.finished_at)

    @property
    def current_attempt(self) -> int:
        """Number of the attempt that this object stands for, from 0."""
        return self._reading.number

    @property
    def attempts(self) -> list[int]:
        """Numbers of all attempts that were begun."""
        return self._facts.datastore.attempts(self._reading.key)

    @property
    def index(self) -> int | None:
        """Index in the innermost foreach around it, None outside of all."""
        indices = self._facts.indices(self._step, self.id)
        return indices[-1] if indices else None

    @property
    def size(self) -> Size | None:
        """What the attempt asked for, and why so much (``size.why``); None where nothing said a size."""
        ended = self._reading.ended
        return self._reading.begin.size or (None if ended is None else ended.size)

    @property
    def usage(self) -> Usage | None:
        """Peak memory, processor and wall time of the attempt, None while it runs."""
        return self._reading.usage

    @property
    def failure(self) -> Failure | None:
        """Why the attempt failed: its kind, one line of reason, and what to do (``failure.mend``).

        None while it runs and when it was committed, also where @catch kept its failure: see `exception`.
        """
        failed = self._reading.failed
        if failed is None:
            return None
        kind = FailureKind(failed.failure) if failed.failure in _KINDS else FailureKind.UNKNOWN
        error = failed.error
        reason = error.message.partition("\n")[0]
        if error.traceback:  # else it was no exception: AWS or the process's end said so
            reason = f"{error.type.removeprefix('builtins.')}: {reason}"
        return Failure(kind, reason, kind.again and not failed.final)

    @property
    def code_digest(self) -> str:
        """Digest of the code package that it ran, or is to run."""
        ended = self._reading.done or self._reading.failed
        return (ended.code if ended is not None else "") or self._facts.plan.code

    @property
    def code(self) -> Code:
        """The code package that it ran, or is to run; of a clone, that of the task that really ran."""
        return Code(self._facts, self.code_digest)

    @property
    def metadata_dict(self) -> dict[str, Json]:
        """All facts about the attempt, flat; ``origin.`` stands before the scheduler's ids."""
        begin, usage, done = self._reading.begin, self._reading.usage, self._reading.done
        facts: dict[str, Json] = {
            "attempt": self.current_attempt,
            "retry_count": begin.retry_count,
            "started_at": begin.started_at,
            "host": begin.host,
            "pid": begin.pid,
            "plan": self._facts.record.plan,
            "code": self.code_digest,
        }
        facts |= {f"origin.{name}": value for name, value in begin.origin.items()}
        if usage is not None:
            measured = to_json(usage)
            facts |= measured if isinstance(measured, dict) else {}
        if done is not None:
            facts |= {"python": done.python, "platform": done.platform, "caught": done.caught is not None}
        end = done or self._reading.failed
        if end is not None and end.image:
            facts |= {"image": end.image}
        if self.size is not None:
            asked = to_json(self.size)
            facts |= (
                {f"size.{name}": value for name, value in asked.items()} if isinstance(asked, dict) else {}
            )
        if self.failure is not None:
            facts |= {"failure": self.failure.kind.value}
        ended = self._reading.ended
        return facts | ({} if ended is None else {"finished_at": ended.finished_at})

    # -- what it read, and what reads it ---------------------------------------------------

    @property
    def parent_pathspecs(self) -> tuple[str, ...]:
        """The attempts that it read: ``Train/7/start/0@0``. Known when it has ended."""
        ended = self._reading.done or self._reading.failed
        return () if ended is None else ended.parents

    @property
    def parent_tasks(self) -> list[Task]:
        """The attempts that it read, in the order in which a join sees them."""
        return [self._named(name) for name in self.parent_pathspecs]

    @property
    def child_tasks(self) -> Iterator[Task]:
        """The tasks that read this attempt, or have begun and are to read it; found one by one."""
        outcome = self._reading.outcome
        for step in () if outcome is None else outcome.targets:
            for name in self._tasks_after(step, 0 if outcome is None else outcome.cardinality):
                child = self._sibling(step, name)
                if child != self and child._exists() and child._reads(self):
                    yield child

    def _tasks_after(self, step: str, cardinality: int | None) -> Iterator[str]:
        indices = self._facts.indices(self._step, self.id)
        depth = self._facts.plan.step(step).depth
        if depth <= len(indices):
            yield task_id(indices[:depth])
            return
        for index in range(cardinality or 0):
            yield task_id((*indices, index))

    def _reads(self, parent: Task) -> bool:
        ended = self._reading.ended
        if not isinstance(ended, DoneRecord):
            return True
        return f"{parent.pathspec}@{parent.current_attempt}" in ended.parents

    def _named(self, text: str) -> Task:
        name, _, attempt = text.partition("@")
        spec = Pathspec.parse(name)
        facts = self._facts
        if (spec.flow, spec.run) != (facts.flow, facts.run):
            facts = RunFacts(facts.datastore, spec.flow, spec.run or "")
        return Task._at(spec, facts, int(attempt) if attempt else None)

    def _sibling(self, step: str, task: str) -> Task:
        return Task._at(Pathspec(self._spec.flow, self._spec.run, step, task), self._facts)

    # -- the tree ------------------------------------------------------------------------

    @property
    def _step(self) -> str:
        return self._spec.step or ""

    @property
    def _reading(self) -> AttemptFacts:
        if self._read is None:
            key = self._facts.key(self._step, self.id)
            self._read = AttemptFacts(self._facts.datastore, key, self._attempt)
        return self._read

    def _exists(self) -> bool:
        return self._reading.exists

    def _check(self) -> None:
        if self._attempt is not None and not self._exists():
            numbers = self.attempts
            if numbers:
                raise NotFound(
                    f"the task {self.pathspec} has no attempt {self._attempt}",
                    where=self.pathspec,
                    mend=f"its attempts are {', '.join(map(str, numbers))}.",
                )
        super()._check()

    def _children(self) -> Iterator[str]:
        return iter(self.artifacts._fields)

    def _child(self, name: str) -> DataArtifact:
        return self.artifacts._make(name)

    def _near(self) -> list[str]:
        return sorted(self._reading.artifacts)

    def __getitem__(self, name: str) -> DataArtifact:
        """Find an artifact by its name.

        Raises
        ------
        NotFound
            When there is none; the nearest name that there is, is told.
        """
        return self.artifacts[name]

    def _missing(self, name: str) -> NotFound:
        return self.artifacts._missing(name)
