"""What is reached from where: the objects of a run, and the blobs that its records name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airloom.digests import PREFIX, Digest
from airloom.names import Pathspec, escape, unescape
from airloom.plan import Plan
from airloom.sizing.learning import Learned
from airloom.store.objects import Objects
from airloom.store.records import (
    AgainRecord,
    ArtifactRecord,
    BeginRecord,
    DoneRecord,
    EndRecord,
    FailedRecord,
    JobRecord,
    RunRecord,
    TagRecord,
)
from airloom.store.shelf import flow_key, run_key

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    RecordClass: TypeAlias = "type[DataclassInstance]"

_DIGEST = re.compile(rb"%s[0-9a-f]{64}" % PREFIX.encode())
_RECORDS: dict[str, RecordClass] = {
    "run.json": RunRecord,
    "begin.json": BeginRecord,
    "done.json": DoneRecord,
    "failed.json": FailedRecord,
    "job.json": JobRecord,
}


@dataclass(frozen=True, slots=True)
class RunName:
    """A run, and the folder of its objects."""

    flow: str
    run: str

    def __str__(self) -> str:
        return f"{self.flow}/{self.run}"

    @property
    def folder(self) -> str:
        """Where its objects lie."""
        return run_key(self.flow, self.run)

    @property
    def key(self) -> str:
        """Key of its record: without it there is no such run."""
        return f"{self.folder}/run.json"


@dataclass(frozen=True, slots=True)
class Place:
    """What an object of a run is, by its key: ``path`` holds the parts below the run's folder."""

    run: RunName
    path: tuple[str, ...]

    @classmethod
    def of(cls, run: RunName, key: str) -> Place:
        """Take a key apart."""
        return cls(run, tuple(key.removeprefix(f"{run.folder}/").split("/")))

    @property
    def attempt(self) -> tuple[str, str, int] | None:
        """Step, task and number of the attempt that it belongs to; None when to none."""
        if len(self.path) < 5 or self.path[0] != "tasks" or not self.path[3].isdecimal():
            return None
        return unescape(self.path[1]), unescape(self.path[2]), int(self.path[3])

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.path[-1]

    @property
    def record(self) -> RecordClass | None:
        """Which record it is; None when it is none."""
        if self.path[0] == "ends":
            return AgainRecord if self.name.endswith("-again.json") else EndRecord
        if self.path[0] == "tags":
            return TagRecord
        if self.path[0] == "sizes":
            return Learned
        return _RECORDS.get(self.name) if len(self.path) in (1, 5) else None

    def __str__(self) -> str:
        return str(self.run) if self.attempt is None else f"{self.run}/{attempt_name(*self.attempt)}"


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a blob that something names.

    ``size`` of the blob is None where it is not known; ``offset`` is None where the whole blob
    is meant, else ``digest`` and ``length`` are those of the bytes from there.
    """

    name: str
    blob: str
    size: int | None = None
    offset: int | None = None
    length: int = 0
    digest: str = ""


def plan_key(flow: str, digest: str) -> str:
    """Key of a plan."""
    return f"{flow_key(flow)}/plans/{escape(digest)}.json"


def attempt_name(step: str, task: str, number: int) -> str:
    """Name an attempt as the parents of a record do, below its run."""
    return f"{step}/{task}@{number}"


def digests_in(data: bytes) -> set[Digest]:
    """All digests in the bytes of a record, whatever its form: none that it means is left out."""
    return {Digest(found.decode()) for found in _DIGEST.findall(data)}


def flows(objects: Objects) -> list[str]:
    """Name the flows of which the store has anything."""
    return [unescape(name) for name in objects.children("flows")]


def runs(objects: Objects, flow: str) -> list[RunName]:
    """Name all runs of a flow of which the store has anything, listed among the runs or not."""
    return [RunName(flow, unescape(name)) for name in objects.children(f"{flow_key(flow)}/runs")]


def selected(objects: Objects, specs: list[Pathspec]) -> Iterator[tuple[RunName, str]]:
    """Give the runs that pathspecs mean, each with the folder that is meant of it.

    All runs are meant when there is no pathspec.
    """
    for spec in specs or [Pathspec(flow) for flow in flows(objects)]:
        if spec.run is None:
            for run in runs(objects, spec.flow):
                yield run, run.folder
            continue
        run = RunName(spec.flow, spec.run)
        parts = [escape(part) for part in (spec.step, spec.task) if part is not None]
        yield run, "/".join([run.folder, *(["tasks", *parts] if parts else [])])


def parts_of(record: object) -> Iterator[Part]:
    """Give the blobs, and the bytes in them, that a record or plan names."""
    if isinstance(record, Plan):
        if record.code:
            yield Part("the code package", record.code)
        for parameter in record.parameters:
            if parameter.digest is not None:
                yield Part(f"the file of the parameter {parameter.name!r}", parameter.digest)
    elif isinstance(record, RunRecord):
        for name, value in record.parameters.items():
            if isinstance(value, dict) and isinstance(value.get("digest"), str):
                yield Part(f"the file of the parameter {name!r}", str(value["digest"]))
    elif isinstance(record, BeginRecord) and record.call is not None:
        yield _part("the function and its arguments", record.call)
    elif isinstance(record, (DoneRecord, FailedRecord)):
        if record.code:
            yield Part("the code package", record.code)
        for name, item in record.artifacts.items():
            yield _part(f"the artifact {name!r}", item)


def _part(what: str, item: ArtifactRecord) -> Part:
    if item.pack is None:
        return Part(what, item.digest, item.size)
    return Part(what, item.pack, None, item.offset, item.size, item.digest)
