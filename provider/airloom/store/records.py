"""The small JSON facts of a store; one file holds their form.

Layout below the store's root (every part of a key is escaped by `names.escape`)::

    blobs/<dd>/<digest>                                   immutable, content-addressed
    flows/<Flow>/plans/<digest>.json                      create-only
    flows/<Flow>/newest/<reversed time>-<run>             a listing answers "latest" in one request
    flows/<Flow>/successful/..., flows/<Flow>/tagged/...  the same for some of the runs: `store.index`
    flows/<Flow>/sizes/<step>/<reversed time>-<id>.json   appended (`store.sizes`)
    flows/<Flow>/runs/<run>/run.json                      create-only
    flows/<Flow>/runs/<run>/sizes/<step>.json             create-only (`store.sizes`)
    flows/<Flow>/runs/<run>/ends/<time>-<id>.json         appended; the newest counts
    flows/<Flow>/runs/<run>/ends/<time>-<id>-again.json   appended: it goes on after the end before
    flows/<Flow>/runs/<run>/tags/<time>-<id>.json         appended; all of them together count
    flows/<Flow>/runs/<run>/tasks/<step>/<task>/<attempt>/begin.json   create-only: claims the attempt
                                                          job.json                  create-only
                                                          done.json | failed.json   create-only
                                                          log
                                                          cards/<number>-<type>[-<id>].html       create-only
                                                          cards/<number>-<type>[-<id>].live.html  replaced
"""

from __future__ import annotations

from dataclasses import dataclass, field

from airloom.codec import Json
from airloom.sizing.catalogue import Size


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """A saved value: enough to find, check and describe it without loading it.

    ``digest`` names the stored bytes of this value and ``size`` counts them. Small values of
    one task share a blob: then ``pack`` is the digest of that blob and ``offset`` where the
    value begins in it. ``serializer`` is name and version, e.g. ``pickle/2``, of a user's
    own with the module that registers it; ``compression`` is empty, ``zstd`` or ``zstd-frames``.
    """

    digest: str
    size: int
    type: str
    serializer: str
    compression: str = ""
    preview: str = ""
    pack: str | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run: who, when, by which plan, with which parameters. Times are ISO 8601 in UTC.

    ``tags`` are those that it was started with; ``python`` and ``airloom`` the versions that it
    began with; ``project`` and ``branch`` those of its plan; ``resumed_from`` the run whose
    finished tasks it took over.
    """

    flow: str
    run: str
    plan: str
    created_at: str
    user: str
    parameters: dict[str, Json] = field(default_factory=dict)
    origin: dict[str, Json] = field(default_factory=dict)
    resumed_from: str | None = None
    tags: tuple[str, ...] = ()
    python: str = ""
    airloom: str = ""
    project: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True)
class TagRecord:
    """Somebody changed the tags of a run: what was removed first, then what was added."""

    changed_at: str
    user: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndRecord:
    """A run came to an end; a run whose tasks are cleared comes to an end again."""

    finished_at: str
    successful: bool


@dataclass(frozen=True, slots=True)
class AgainRecord:
    """A run that had come to an end goes on, since tasks of it were cleared."""

    started_at: str


BY_HAND = "dag_by_hand"
"""In the origin of a run: it is one of a DAG that people wrote, whose tasks stand for steps."""

CLONED_FROM = "cloned_from"
"""In the origin of an attempt that a resumed run took over: the attempt that really ran."""


@dataclass(frozen=True, slots=True)
class BeginRecord:
    """An attempt was claimed.

    ``generation`` counts how often the task was cleared before; ``iteration`` is the round of a
    step that leads back to itself. ``origin`` holds what the scheduler calls the attempt
    (Airflow's ids and try number). ``size`` is what the attempt got and why, None when nobody says.
    ``call`` is the function of a DAG file that runs in a container, with its arguments.
    """

    started_at: str
    host: str
    pid: int
    retry_count: int = 0
    generation: int = 0
    iteration: int = 0
    origin: dict[str, Json] = field(default_factory=dict)
    size: Size | None = None
    call: ArtifactRecord | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """The job that an attempt runs in: Batch's job id or the ARN of a task of ECS, and its name.

    ``place`` is the job queue or the cluster that it was sent to.
    """

    id: str
    name: str
    place: str
    submitted_at: str


@dataclass(frozen=True, slots=True)
class CardName:
    """A card of an attempt: its place among the step's @card, its type and id. No part has ``-`` or ``.``."""

    number: int
    type: str
    id: str | None = None

    def __str__(self) -> str:
        return "-".join((str(self.number), self.type, *(() if self.id is None else (self.id,))))

    @classmethod
    def parse(cls, text: str) -> CardName:
        """Read a name back."""
        number, kind, *rest = text.split("-")
        return cls(int(number), kind, rest[0] if rest else None)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used: peak memory in MiB, CPU and wall time in seconds.

    ``input_bytes`` is the size of all artifacts that it could read.
    """

    peak_memory_mib: float
    cpu_s: float
    wall_s: float
    input_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The transition that was taken: the next steps, a foreach's width, a switch's choice."""

    targets: tuple[str, ...] = ()
    cardinality: int | None = None
    choice: Json = None


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An exception of the user's code: qualified name of its class, its text, its traceback."""

    type: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class DoneRecord:
    """An attempt was committed: the one record that makes its artifacts visible.

    ``parents`` are the pathspecs of the tasks that it read, each with its attempt:
    ``Train/7/fit/2@1``. ``caught`` is the failure that @catch turned into this success.
    ``size`` is that of the attempt's beginning. ``image`` is the container's, with its digest.
    """

    finished_at: str
    artifacts: dict[str, ArtifactRecord]
    outcome: Outcome
    usage: Usage
    parents: tuple[str, ...] = ()
    code: str = ""
    python: str = ""
    platform: str = ""
    caught: ErrorRecord | None = None
    size: Size | None = None
    image: str = ""


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """An attempt failed; ``final``: no other may follow.

    ``failure`` is its kind (`airloom.failures.FailureKind`); ``size`` that of the attempt's beginning.
    """

    finished_at: str
    error: ErrorRecord
    usage: Usage
    artifacts: dict[str, ArtifactRecord] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    code: str = ""
    final: bool = False
    failure: str = ""
    size: Size | None = None
    image: str = ""
