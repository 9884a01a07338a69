"""The store's shelves: plans, code, runs, tasks and their attempts, by name.

The keys are the ones that `airloom.store.records` draws. The names that a listing
gives back are the names that were given, not the escaped ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from airloom.digests import Digest, digest_of
from airloom.errors import AlreadyExists, CorruptBlob, NotFound
from airloom.names import escape, indices_of, unescape
from airloom.plan import Plan
from airloom.settings import Settings, Verify
from airloom.store import artifacts
from airloom.store.blobs import Blobs
from airloom.store.cache import cached
from airloom.store.compression import compress, decompress, last_bytes
from airloom.store.objects import Objects, open_objects
from airloom.store.records import (
    ArtifactRecord,
    BeginRecord,
    CardName,
    DoneRecord,
    FailedRecord,
    JobRecord,
)
from airloom.store.runs import Runs
from airloom.store.serializers import Loaded
from airloom.store.shelf import flow_key, run_key
from airloom.store.sizes import Sizes
from airloom.store.sweeping import put_to_stay

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R")
T = TypeVar("T", bound="DataclassInstance")

_HTML, _LIVE = ".html", ".live.html"
_REDEPLOY = "deploy the flow to this store, or point datastore_root at the store that it was deployed to."


@dataclass(frozen=True, slots=True)
class TaskKey:
    """One task of a run; ``task`` is the index path."""

    flow: str
    run: str
    step: str
    task: str

    @property
    def pathspec(self) -> str:
        """The task's pathspec."""
        return f"{self.flow}/{self.run}/{self.step}/{self.task}"


class Datastore(Runs, Sizes):
    """What runs leave behind, and how it is found again.

    Parameters
    ----------
    objects
        The store's bytes.
    verify
        See `airloom.store.blobs.Blobs`.
    """

    def __init__(self, objects: Objects, verify: Verify = "auto") -> None:
        super().__init__(objects)
        self._blobs = Blobs(objects, verify)
        self._plans: dict[tuple[str, str], Plan] = {}

    @classmethod
    def open(cls, settings: Settings) -> Datastore:
        """Open the store that the settings name; nothing is read or made yet.

        Raises
        ------
        SettingsError
            When this version does not offer stores of that kind.
        """
        verify: Verify = "always" if settings.verify == "always" else "auto"
        return cls(cached(open_objects(settings.datastore_root, settings), settings), verify)

    def save_plan(self, plan: Plan) -> Digest:
        """Save a plan; the same plan again changes nothing."""
        put_to_stay(self._objects, [plan.to_bytes()], lambda: _plan_key(plan.flow, plan.digest))
        return plan.digest

    def plan(self, flow: str, digest: str) -> Plan:
        """Read a plan, once in a process.

        Raises
        ------
        NotFound
            When the flow has no such plan in this store.
        CorruptBlob
            When its bytes are not the ones that were saved.
        VersionSkew
            When another version of Airloom wrote it in a form that this one cannot read.
        """
        if (flow, digest) not in self._plans:
            self._plans[flow, digest] = self._read_plan(flow, digest)
        return self._plans[flow, digest]

    def plans(self, flow: str) -> list[str]:
        """Give the digests of a flow's plans, sorted."""
        return [name.removesuffix(".json") for name in self._names(f"{flow_key(flow)}/plans")]

    def _read_plan(self, flow: str, digest: str) -> Plan:
        key = _plan_key(flow, digest)
        try:
            data = self._objects.get(key)
        except NotFound:
            raise NotFound(
                f"the store has no plan {digest} of the flow {flow}",
                where=f"{self.root}/{key}",
                mend=_REDEPLOY,
            ) from None
        if digest_of([data]) != digest:
            raise CorruptBlob(
                f"the plan of the flow {flow} has other bytes than the ones that were saved",
                where=f"{self.root}/{key}",
                mend="delete the file, and deploy the flow again.",
            )
        return Plan.from_bytes(data)

    def save_code(self, archive: bytes) -> Digest:
        """Save a code package; gives the digest that names it."""
        return self._blobs.put([archive])

    def code(self, digest: str) -> bytes:
        """Read a code package.

        Raises
        ------
        NotFound
            When the store has no such package.
        CorruptBlob
            When its bytes are not the ones that were saved.
        """
        try:
            return bytes(self._blobs.get(digest))
        except NotFound as error:
            raise NotFound(
                f"the store has no code package {digest}",
                where=error.where,
                mend=_REDEPLOY,
            ) from None

    def save_runtime(self, digest: str, archive: bytes) -> None:
        """Save an archive that containers fetch, under the SHA-256 of its bytes."""
        self._objects.put_if_absent(f"runtimes/{digest}.zip", [archive])

    def save_runtime_index(self, runtime: str, archives: Mapping[str, str]) -> None:
        """Note which archives of packages belong to a runtime, by the image's Python and machine."""
        self._objects.put(f"runtimes/{runtime}.json", [json.dumps(archives, sort_keys=True).encode()])

    def runtime_index(self, runtime: str) -> dict[str, str] | None:
        """Read which archives of packages belong to a runtime; None when nobody has saved it."""
        try:
            found: dict[str, str] = json.loads(self._objects.get(f"runtimes/{runtime}.json"))
        except NotFound:
            return None
        return found

    def steps(self, flow: str, run: str) -> list[str]:
        """Name the steps of which a run began any task, sorted."""
        return self._names(f"{run_key(flow, run)}/tasks")

    def tasks(self, flow: str, run: str, step: str) -> list[str]:
        """Name the tasks of a step that were begun, in the order of their indices."""
        names = self._names(f"{run_key(flow, run)}/tasks/{escape(step)}")
        return sorted(names, key=lambda task: indices_of(task, 1))

    def claim(self, key: TaskKey, make: Callable[[int], BeginRecord]) -> int:
        """Begin a new attempt, which nobody else can begin.

        Parameters
        ----------
        make
            Makes the record of the attempt whose number it is given; called again, with a
            higher number, each time another process was faster.

        Returns
        -------
        int
            The attempt's number, from 0.
        """
        attempt = max(self._numbers(key), default=-1) + 1
        while not self._put_new(f"{_attempt_key(key, attempt)}/begin.json", make(attempt)):
            attempt = max(attempt, *self._numbers(key)) + 1
        return attempt

    def attempts(self, key: TaskKey) -> list[int]:
        """Give the numbers of the attempts that were begun, in order."""
        # A process that was killed at the wrong moment can leave an empty folder.
        return [
            number
            for number in self._numbers(key)
            if self._objects.exists(f"{_attempt_key(key, number)}/begin.json")
        ]

    def begin(self, key: TaskKey, attempt: int) -> BeginRecord:
        """Read who began an attempt, and when.

        Raises
        ------
        NotFound
            When there is no such attempt.
        """
        return self._get(f"{_attempt_key(key, attempt)}/begin.json", BeginRecord)

    def save_job(self, key: TaskKey, attempt: int, record: JobRecord) -> None:
        """Note which job an attempt runs in; the first note counts."""
        self._put_new(f"{_attempt_key(key, attempt)}/job.json", record)

    def job(self, key: TaskKey, attempt: int) -> JobRecord | None:
        """Read which job an attempt runs in; None when nobody has noted it."""
        return self._find(f"{_attempt_key(key, attempt)}/job.json", JobRecord)

    def save_definition(self, digest: str, name: str) -> None:
        """Remember what AWS calls a job definition or task definition with these contents."""
        self._objects.put(f"runtimes/definitions/{digest}", [name.encode()])

    def claim_definition(self, digest: str) -> bool:
        """Say to others that a definition is being registered; False when somebody else has said it."""
        return self._objects.put_if_absent(f"runtimes/definitions/{digest}.claim", [b""])

    def definition(self, digest: str) -> str | None:
        """Name a job definition or task definition that was registered before."""
        try:
            return self._objects.get(f"runtimes/definitions/{digest}").decode()
        except NotFound:
            return None

    def done(self, key: TaskKey, attempt: int | None = None) -> DoneRecord:
        """Read what an attempt committed.

        Parameters
        ----------
        attempt
            None for the highest one that was committed.

        Raises
        ------
        NotFound
            When it was not committed.
        """
        if attempt is not None:
            return self._get(f"{_attempt_key(key, attempt)}/done.json", DoneRecord)
        found = self.done_attempt(key)
        if found is None:
            raise NotFound(
                f"the task {key.pathspec} is not done",
                where=f"{key.pathspec} in {self.root}",
                mend="wait for the task, or look at its log for why it failed.",
            )
        return found[1]

    def done_attempt(self, key: TaskKey) -> tuple[int, DoneRecord] | None:
        """Read the highest attempt that was committed, with its number; None when none was."""
        for number in reversed(self._numbers(key)):
            record = self._find(f"{_attempt_key(key, number)}/done.json", DoneRecord)
            if record is not None:
                return number, record
        return None

    def is_done(self, key: TaskKey, attempt: int) -> bool:
        """Say whether an attempt was committed."""
        return self._objects.exists(f"{_attempt_key(key, attempt)}/done.json")

    def last_attempt(self, key: TaskKey) -> tuple[int, DoneRecord | None]:
        """Give the highest attempt that was begun, -1 when none was, and what it committed."""
        for number in reversed(self._numbers(key)):
            done = self._find(f"{_attempt_key(key, number)}/done.json", DoneRecord)
            if done is not None or self._objects.exists(f"{_attempt_key(key, number)}/begin.json"):
                return number, done
        return -1, None

    def failed(self, key: TaskKey, attempt: int) -> FailedRecord | None:
        """Read how an attempt failed; None when it did not."""
        return self._find(f"{_attempt_key(key, attempt)}/failed.json", FailedRecord)

    def commit(self, key: TaskKey, attempt: int, record: DoneRecord) -> None:
        """Make an attempt's artifacts visible, once and for all.

        Raises
        ------
        AlreadyExists
            When the attempt has ended already.
        """
        self._end(key, attempt, "done", "failed", record)

    def fail(self, key: TaskKey, attempt: int, record: FailedRecord) -> None:
        """Note how an attempt failed.

        Raises
        ------
        AlreadyExists
            When the attempt has ended already.
        """
        self._end(key, attempt, "failed", "done", record)

    def save_artifacts(self, values: Mapping[str, object]) -> dict[str, ArtifactRecord]:
        """Save values; see `airloom.store.artifacts.save`."""
        return artifacts.save(self._blobs, values)

    def load_artifact(self, record: ArtifactRecord, where: str, fetched: memoryview | None = None) -> Loaded:
        """Load a value; see `airloom.store.artifacts.load`."""
        return artifacts.load(self._blobs, record, where, fetched)

    def fetch_artifacts(self, records: Mapping[str, ArtifactRecord]) -> dict[str, memoryview]:
        """Read values' bytes side by side before they are loaded; none where the store is on this machine."""
        return {} if self._objects.is_local else artifacts.fetch(self._blobs, records)

    def write_log(self, key: TaskKey, attempt: int, text: bytes) -> None:
        """Save an attempt's log, or replace it."""
        self._objects.put(f"{_attempt_key(key, attempt)}/log", [compress(text)])

    def log(self, key: TaskKey, attempt: int) -> bytes:
        """Read an attempt's log.

        Raises
        ------
        NotFound
            When it left none.
        CorruptBlob
            When its bytes are not the ones that were saved.
        """
        return self._log(key, attempt, decompress)

    def log_end(self, key: TaskKey, attempt: int, most: int) -> tuple[bytes, bool]:
        """Read the last bytes of an attempt's log, at most so many; say whether they are all.

        Raises
        ------
        NotFound, CorruptBlob
            See `log`.
        """
        return self._log(key, attempt, lambda data: last_bytes(data, most))

    def _log(self, key: TaskKey, attempt: int, read: Callable[[bytes], R]) -> R:
        name = f"{_attempt_key(key, attempt)}/log"
        try:
            return read(self._objects.get(name))
        except ValueError as error:
            raise CorruptBlob(
                f"the log of attempt {attempt} of {key.pathspec} cannot be read: {error}",
                where=f"{self.root}/{name}",
                mend="look at the scheduler's own log of the task.",
            ) from error

    def save_card(
        self, key: TaskKey, attempt: int, name: CardName, html: bytes, *, live: bool = False
    ) -> None:
        """Save a card of an attempt: once and for all, or with ``live`` as it stands while the task runs."""
        place = f"{_attempt_key(key, attempt)}/cards/{escape(str(name))}"
        if live:
            self._objects.put(f"{place}{_LIVE}", [html])
            return
        self._objects.put_if_absent(f"{place}{_HTML}", [html])
        self._objects.delete(f"{place}{_LIVE}")

    def cards(self, key: TaskKey, attempt: int) -> list[CardName]:
        """Name the cards of an attempt in the order of its decorators; those of a running task, too."""
        files = self._objects.children(f"{_attempt_key(key, attempt)}/cards")
        names = {unescape(file.removesuffix(_HTML).removesuffix(".live")) for file in files}
        return sorted(map(CardName.parse, names), key=lambda name: name.number)

    def card(self, key: TaskKey, attempt: int, name: CardName) -> tuple[str, bytes]:
        """Read a card, the final one where there is one: its place below the root, and its HTML.

        Raises
        ------
        NotFound
            When there is none.
        """
        place = f"{_attempt_key(key, attempt)}/cards/{escape(str(name))}"
        # The final one again: it may have taken the place of the live one in between.
        for suffix in (_HTML, _LIVE):
            with suppress(NotFound):
                return f"{place}{suffix}", self._objects.get(f"{place}{suffix}")
        return f"{place}{_HTML}", self._objects.get(f"{place}{_HTML}")

    def _numbers(self, key: TaskKey) -> list[int]:
        return sorted(int(name) for name in self._objects.children(_task_key(key)) if name.isdecimal())

    def _end(self, key: TaskKey, attempt: int, kind: str, other: str, record: DataclassInstance) -> None:
        folder = _attempt_key(key, attempt)
        ended = self._objects.exists(f"{folder}/{other}.json")
        if ended or not self._put_new(f"{folder}/{kind}.json", record):
            raise AlreadyExists(
                f"attempt {attempt} of {key.pathspec} has ended already",
                where=f"{self.root}/{folder}",
                mend="claim a new attempt: one attempt ends once.",
            )


def _plan_key(flow: str, digest: str) -> str:
    return f"{flow_key(flow)}/plans/{escape(digest)}.json"


def _task_key(key: TaskKey) -> str:
    return f"{run_key(key.flow, key.run)}/tasks/{escape(key.step)}/{escape(key.task)}"


def _attempt_key(key: TaskKey, attempt: int) -> str:
    return f"{_task_key(key)}/{attempt}"
