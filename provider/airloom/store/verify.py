"""Whether a store still has what its records name, bit by bit.

The runs are taken in lots: first the records of a lot are read, then the blobs that they name
and that no lot before has named. A blob is read in pieces, so that a large one takes no more
memory than a small one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeVar

from airloom import codec
from airloom.digests import PREFIX, digest_of
from airloom.errors import AirloomError, CorruptBlob, NotFound
from airloom.names import Pathspec
from airloom.plan import Plan
from airloom.store import index, reach
from airloom.store.blobs import blob_key
from airloom.store.compression import decompress
from airloom.store.objects import Objects
from airloom.store.reach import Part, Place, RunName
from airloom.store.records import RunRecord

T = TypeVar("T")

_CHUNK = 8 << 20
_LOT = 64
_KEYS_AT_ONCE = 1000
_NAMED = 20

_RUN_AGAIN = "copy the run again from a store that has it whole, or run the tasks again"
_MENDS = {
    "missing": f"{_RUN_AGAIN}.",
    "corrupt": f"delete the object, then {_RUN_AGAIN}.",
    "unreadable": f"use the version of Airloom that wrote it; else delete it, then {_RUN_AGAIN}.",
    "plan": "deploy the flow to this store again, from the same code.",
    "unlisted": "`airloom gc --delete` puts it back; until then only its pathspec leads to it.",
    "run": "`airloom gc --delete` clears away the rest, or copy the run again from a store that has it.",
}

Kind = Literal["missing", "corrupt", "unreadable", "unlisted"]


@dataclass(slots=True)
class Finding:
    """Something that is wrong with one object.

    ``needed_by`` names up to 20 of those that need it, ``needed`` counts all of them.
    """

    kind: Kind
    key: str
    what: str
    mend: str
    needed_by: list[str] = field(default_factory=list)
    needed: int = 0

    def need(self, who: str) -> None:
        """Add one that needs the object."""
        self.needed += 1
        if len(self.needed_by) < _NAMED:
            self.needed_by.append(who)


@dataclass(slots=True)
class Report:
    """What was looked at, and what is wrong with it; ``size`` counts the bytes that were read."""

    runs: int = 0
    records: int = 0
    blobs: int = 0
    size: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class _Wanted:
    """What the records of a lot want of one blob."""

    parts: set[Part] = field(default_factory=set)
    by: dict[str, None] = field(default_factory=dict)


class _Wrong(Exception):
    def __init__(self, kind: Kind, what: str) -> None:
        super().__init__(what)
        self.kind: Kind = kind
        self.what = what


def verify(
    objects: Objects,
    specs: list[Pathspec],
    *,
    quick: bool = False,
    progress: Callable[[Report], None] = lambda _: None,
    threads: int = 16,
) -> Report:
    """Read what pathspecs mean, each blob once, and compare it with its digests and lengths.

    Parameters
    ----------
    specs
        Flows, runs, steps, tasks; all flows when there is none.
    quick
        Read the records, but of each blob its length only.
    progress
        Called now and then with the report so far.
    threads
        How many objects are read at the same time; each takes at most 16 MiB.

    Raises
    ------
    NotFound
        When there is no such flow or run.
    StoreUnavailable
        When the store does not answer: then nothing is said about what is in it.
    """
    with ThreadPoolExecutor(threads) as pool:
        return _Verifying(objects, quick, progress, pool).all(specs)


class _Verifying:
    def __init__(
        self, objects: Objects, quick: bool, progress: Callable[[Report], None], pool: ThreadPoolExecutor
    ) -> None:
        self._objects = objects
        self._quick = quick
        self._progress = progress
        self._pool = pool
        self._lock = threading.Lock()
        self._report = Report()
        self._found: dict[str, Finding] = {}
        # Of each blob that was whole its length: 32 bytes name it.
        self._whole: dict[bytes, int] = {}
        self._plans: dict[str, tuple[Part, ...]] = {}
        self._lost: set[RunName] = set()

    def all(self, specs: list[Pathspec]) -> Report:
        names = iter(_existing(self._objects, specs))
        while lot := list(islice(names, _LOT)):
            self._wanted: dict[str, _Wanted] = {}
            self._each(self._run, [run for run, _ in lot])
            for run, folder in lot:
                if run in self._lost:
                    continue
                keys = (Place.of(run, key) for key in self._keys(run, folder))
                while some := list(islice(keys, _KEYS_AT_ONCE)):
                    self._each(self._record, some)
            self._each(self._blob, list(self._wanted.items()))
        self._report.findings = sorted(self._found.values(), key=lambda finding: finding.key)
        return self._report

    def _each(self, what: Callable[[T], object], items: Iterable[T]) -> None:
        for _ in self._pool.map(what, items):
            self._progress(self._report)

    def _keys(self, run: RunName, folder: str) -> Iterator[str]:
        return (key for key in self._objects.list(folder) if key != run.key)

    # -- records ---------------------------------------------------------------------------

    def _run(self, run: RunName) -> None:
        """Look at a run's own record, its plan, and whether it is listed."""
        with self._lock:
            self._report.runs += 1
        if next(self._objects.list(run.folder), None) is None:
            return  # a folder that a killed process left
        record = self._record(Place(run, ("run.json",)))
        if not isinstance(record, RunRecord):
            with self._lock:
                self._lost.add(run)
            return
        entry = index.entries(record, ())[0]
        if not self._objects.exists(entry):
            self._tell("unlisted", entry, "the run is not among the runs of its flow", str(run))
        key = reach.plan_key(run.flow, record.plan)
        parts = self._plan(key, record.plan, str(run))
        for part in parts:
            self._want(part, f"{run} ({part.name})")

    def _plan(self, key: str, digest: str, run: str) -> tuple[Part, ...]:
        with self._lock:
            known = self._plans.get(key)
        if known is not None:
            if key in self._found:
                self._found[key].need(run)
            return known
        parts: tuple[Part, ...] = ()
        try:
            data = self._objects.get(key)
            parts = tuple(reach.parts_of(_plan_of(data, digest)))
        except NotFound:
            self._tell("missing", key, "the plan is missing", run, mend=_MENDS["plan"])
        except _Wrong as wrong:
            self._tell(wrong.kind, key, wrong.what, run, mend=_MENDS["plan"])
        except (AirloomError, ValueError) as error:
            if isinstance(error, AirloomError) and error.retriable:
                raise
            self._tell("unreadable", key, f"the plan cannot be read: {_text(error)}", run)
        with self._lock:
            self._plans[key] = parts
        return parts

    def _record(self, place: Place) -> object:
        key = "/".join((place.run.folder, *place.path))
        who = str(place)
        try:
            data = self._objects.get(key)
        except NotFound:
            if key == place.run.key:
                self._tell("missing", key, "the run's own record is missing", who, mend=_MENDS["run"])
            return None  # of another key: a live card or log that was replaced meanwhile
        with self._lock:
            self._report.size += len(data)
            self._report.records += 1
        cls = place.record
        if cls is None:
            if place.name == "log":
                try:
                    decompress(data)
                except ValueError as error:
                    self._tell("corrupt", key, f"the log cannot be read: {error}", who)
            return None
        try:
            record: object = codec.loads(cls, data)
        except ValueError as error:
            self._tell("unreadable", key, f"the record cannot be read: {error}", who)
            return None
        for part in reach.parts_of(record):
            self._want(part, f"{who} ({part.name})")
        return record

    def _want(self, part: Part, who: str) -> None:
        with self._lock:
            finding = self._found.get(part.blob)
            if finding is not None:
                finding.need(who)
                return
            wanted = self._wanted.setdefault(part.blob, _Wanted())
            wanted.parts.add(part)
            wanted.by[who] = None

    # -- blobs -----------------------------------------------------------------------------

    def _blob(self, item: tuple[str, _Wanted]) -> None:
        digest, wanted = item
        try:
            key = blob_key(digest)
        except CorruptBlob:
            self._tell("unreadable", digest, f"{digest!r} is no digest", *wanted.by)
            return
        try:
            self._check(digest, key, wanted.parts)
        except NotFound:
            self._tell("missing", key, "the blob is missing", *wanted.by, found_as=digest)
        except _Wrong as wrong:
            self._tell(wrong.kind, key, wrong.what, *wanted.by, found_as=digest)

    def _check(self, digest: str, key: str, parts: set[Part]) -> None:
        name = bytes.fromhex(digest[len(PREFIX) :])
        size = self._whole.get(name)
        slices = [part for part in parts if part.offset is not None]
        if size is None:
            size, slices = self._read(digest, key, slices)
            with self._lock:
                self._whole[name] = size
                self._report.blobs += 1
        for part in parts:
            if part.offset is None and part.size not in (None, size):
                raise _Wrong("corrupt", f"the blob has {size} bytes instead of {part.size}")
            if part.offset is not None and part.offset + part.length > size:
                raise _Wrong("corrupt", f"the blob has {size} bytes, too few for {part.name}")
        for part in () if self._quick else slices:
            assert part.offset is not None  # noqa: S101 - chosen so above
            if digest_of([self._objects.get_range(key, part.offset, part.length)]) != part.digest:
                raise _changed(part)

    def _read(self, digest: str, key: str, slices: list[Part]) -> tuple[int, list[Part]]:
        """Read a blob; return its length, and the slices that are not compared yet."""
        if self._quick:
            return self._objects.size(key), slices
        first = self._objects.get_range(key, 0, _CHUNK)
        size = 0

        def pieces() -> Iterator[bytes | memoryview]:
            nonlocal size
            piece = first
            while piece:
                size += len(piece)
                yield piece
                piece = self._objects.get_range(key, size, _CHUNK) if len(piece) == _CHUNK else b""

        found = digest_of(pieces())
        with self._lock:
            self._report.size += size
        if found != digest:
            raise _Wrong("corrupt", f"the blob has other bytes than the ones that were saved, {size} of them")
        if size > len(first):
            return size, slices
        view = memoryview(first)
        for part in slices:
            end = (part.offset or 0) + part.length
            if end <= size and digest_of([view[part.offset : end]]) != part.digest:
                raise _changed(part)
        return size, []

    def _tell(
        self, kind: Kind, key: str, what: str, *needed_by: str, mend: str = "", found_as: str = ""
    ) -> None:
        with self._lock:
            finding = self._found.setdefault(found_as or key, Finding(kind, key, what, mend or _MENDS[kind]))
            for who in needed_by:
                finding.need(who)


def _plan_of(data: bytes, digest: str) -> Plan:
    if digest_of([data]) != digest:
        raise _Wrong("corrupt", "the plan has other bytes than the ones that were saved")
    return Plan.from_bytes(data)


def _changed(part: Part) -> _Wrong:
    return _Wrong("corrupt", f"the blob is whole, but the record names other bytes of it as {part.name}")


def _text(error: AirloomError | ValueError) -> str:
    return error.what if isinstance(error, AirloomError) else str(error)


def _existing(objects: Objects, specs: list[Pathspec]) -> list[tuple[RunName, str]]:
    """Find the runs that are meant; each must be there."""
    if not specs:
        return list(reach.selected(objects, []))
    found = []
    for spec in specs:
        meant = list(reach.selected(objects, [spec]))
        if not meant or next(objects.list(meant[0][1]), None) is None:
            raise NotFound(
                f"the store has nothing of {spec}",
                where=objects.root,
                mend="`airloom runs FLOW` lists the runs of a flow; --datastore-root names the store.",
            )
        found += meant
    return found
