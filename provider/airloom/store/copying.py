"""Runs from one store into another: what is missing there, blobs first, the entry that lists the run last.

A copy that was cut off is done again: what is there already is not copied a second time, and a
reader of the target sees no record whose blobs are missing. Bytes are compared with their
digests on the way. A record of the target is never replaced; one that differs ends the copy.
Objects that people keep with a run (`airloom.object_store`) come along before its records: they can
be overwritten at any time and have no digest, so the newer of two counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from airloom import codec
from airloom.digests import digest_of
from airloom.errors import AlreadyExists, CorruptBlob, NotFound, StoreError
from airloom.names import Pathspec
from airloom.plan import Plan
from airloom.store import reach
from airloom.store.blobs import Blobs, blob_key
from airloom.store.objects import Entry, Objects
from airloom.store.reach import Place, RunName
from airloom.store.records import RunRecord
from airloom.store.runs import Runs
from airloom.store.shelf import data_key
from airloom.store.sweeping import put_to_stay, stays

T = TypeVar("T")

_LARGE = 32 << 20
_ORDER = ("run.json", "begin.json", "", "failed.json", "done.json", "tags", "ends")


@dataclass(slots=True)
class Copied:
    """What was copied; ``present`` counts the blobs that were there already, ``size`` bytes that were not.

    ``objects`` are those that people keep with a run.
    """

    runs: int = 0
    records: int = 0
    objects: int = 0
    blobs: int = 0
    present: int = 0
    size: int = 0


def copy(
    source: Objects,
    target: Objects,
    specs: list[Pathspec],
    *,
    progress: Callable[[Copied], None] = lambda _: None,
    threads: int = 8,
) -> Copied:
    """Copy runs, or all runs of flows.

    Parameters
    ----------
    specs
        ``Flow/run`` or ``Flow``.
    progress
        Called now and then with what was copied so far.
    threads
        How many objects are copied at the same time. In memory are as many blobs of up to 32 MiB,
        or one larger blob.

    Raises
    ------
    NotFound
        When there is no such run, or a blob of it is missing.
    AlreadyExists
        When the target has a run of the same id with another content.
    CorruptBlob
        When bytes of the source are not the ones that were saved.
    """
    if source.root == target.root:
        raise StoreError(
            "the runs would be copied into the store that they are in",
            where=source.root,
            mend="name another store with --to.",
        )
    runs = [run for spec in specs for run in _meant(source, spec)]
    copied = Copied()
    with ThreadPoolExecutor(threads) as pool:
        for run in runs:
            _Copying(source, target, run, copied, pool, progress).all()
            copied.runs += 1
    return copied


def _meant(source: Objects, spec: Pathspec) -> list[RunName]:
    if spec.step is not None:
        raise NotFound(
            f"{spec} is a part of a run", where=str(spec), mend=f"copy all of {spec.flow}/{spec.run}."
        )
    runs = [run for run, _ in reach.selected(source, [spec]) if source.exists(run.key)]
    if not runs:
        raise NotFound(
            f"the store has no run of {spec}",
            where=source.root,
            mend="`airloom runs FLOW` lists the runs of a flow; --from names the store.",
        )
    return runs


class _Copying:
    """One run."""

    def __init__(
        self,
        source: Objects,
        target: Objects,
        run: RunName,
        copied: Copied,
        pool: ThreadPoolExecutor,
        progress: Callable[[Copied], None],
    ) -> None:
        self._source = source
        self._target = target
        self._run = run
        self._copied = copied
        self._pool = pool
        self._progress = progress
        self._lock = threading.Lock()
        # The length of a blob, where a record tells it.
        self._wanted: dict[str, int | None] = {}
        self._named: set[str] = set()

    def all(self) -> None:
        keys = list(self._source.list(self._run.folder))
        self._refuse_conflicts(keys)
        record = self._read(self._run.key, RunRecord)
        self._each(self._look, [key for key in keys if key.endswith(".json")])
        plan = self._plan(record)
        small = [digest for digest in self._wanted if (self._size(digest) or 0) < _LARGE]
        self._each(self._blob, small)
        for digest in self._wanted.keys() - set(small):
            self._blob(digest)
        self._each(self._blob_if_there, self._named - self._wanted.keys())
        plan_key = reach.plan_key(self._run.flow, record.plan)
        put_to_stay(self._target, [plan], lambda: plan_key)
        self._data()
        for kind in _ORDER:
            self._each(self._record, [key for key in keys if self._kind(key) == kind])
        self._list(record)

    def _each(self, what: Callable[[T], object], items: Iterable[T]) -> None:
        for _ in self._pool.map(what, items):
            self._progress(self._copied)

    # -- before anything is written ----------------------------------------------------------

    def _refuse_conflicts(self, keys: list[str]) -> None:
        there = set(self._target.list(self._run.folder))
        self._each(self._refuse_conflict, [key for key in keys if key in there and key.endswith(".json")])

    def _refuse_conflict(self, key: str) -> None:
        if self._source.get(key) != self._target.get(key):
            raise self._conflict(key)

    def _conflict(self, key: str) -> AlreadyExists:
        return AlreadyExists(
            f"the target has another run {self._run}: {key.removeprefix(self._run.folder + '/')} differs",
            where=f"{self._target.root}/{key}",
            mend="keep that run, or delete it from the target first with `airloom gc`.",
        )

    def _look(self, key: str) -> None:
        """Note which blobs a record names, also in fields that this version does not know."""
        data = self._source.get(key)
        parts = []
        if (cls := Place.of(self._run, key).record) is not None:
            try:
                record: object = codec.loads(cls, data)
            except ValueError as error:
                raise CorruptBlob(
                    f"a record cannot be read: {error}",
                    where=f"{self._source.root}/{key}",
                    mend="copy with the version of Airloom that wrote it.",
                ) from error
            parts = list(reach.parts_of(record))
        named = reach.digests_in(data) - {part.digest for part in parts}
        with self._lock:
            self._named |= named
            for part in parts:
                self._wanted[part.blob] = self._wanted.get(part.blob) or part.size

    def _plan(self, record: RunRecord) -> bytes:
        key = reach.plan_key(self._run.flow, record.plan)
        data = self._source.get(key)
        if digest_of([data]) != record.plan:
            raise CorruptBlob(
                f"the plan of {self._run} has other bytes than the ones that were saved",
                where=f"{self._source.root}/{key}",
                mend="deploy the flow again from the same code.",
            )
        self._wanted |= {part.blob: None for part in reach.parts_of(Plan.from_bytes(data))}
        self._named |= reach.digests_in(data)
        return data

    # -- blobs, then records, then the entries -------------------------------------------------

    def _size(self, digest: str) -> int | None:
        if self._wanted[digest] is None:
            try:
                self._wanted[digest] = self._source.size(blob_key(digest))
            except NotFound as error:
                raise NotFound(
                    f"a blob of {self._run} is missing",
                    where=error.where,
                    mend="`airloom verify` tells more.",
                ) from None
        return self._wanted[digest]

    def _blob(self, digest: str) -> None:
        key = blob_key(digest)
        size = self._size(digest)
        assert size is not None  # noqa: S101 - found just now
        if self._target.refresh(key, size) and stays(self._target, key):
            with self._lock:
                self._copied.present += 1
            return
        data = Blobs(self._source, "always").get(digest, size)
        Blobs(self._target).put([data])
        with self._lock:
            self._copied.blobs += 1
            self._copied.size += size

    def _blob_if_there(self, digest: str) -> None:
        if self._source.exists(blob_key(digest)):
            with self._lock:
                self._wanted.setdefault(digest, None)
            self._blob(digest)

    def _data(self) -> None:
        folder = data_key(self._run.flow, self._run.run)
        there = {entry.key: entry for entry in self._target.entries(folder)}
        wanted = [entry for entry in self._source.entries(folder) if _newer(entry, there.get(entry.key))]
        self._each(
            lambda entry: self._object(entry, there.get(entry.key)),
            [entry for entry in wanted if entry.size < _LARGE],
        )
        for entry in wanted:
            if entry.size >= _LARGE:
                self._object(entry, there.get(entry.key))

    def _object(self, entry: Entry, there: Entry | None) -> None:
        def read(objects: Objects) -> bytes | memoryview:
            return objects.map(entry.key) if entry.size >= _LARGE else objects.get(entry.key)

        try:
            data = read(self._source)
        except NotFound:  # deleted meanwhile
            return
        # Buckets tell times in whole seconds: what seems to be newer may be the same.
        if there is not None and there.size == len(data) and read(self._target) == data:
            return
        self._target.put(entry.key, [data])
        with self._lock:
            self._copied.objects += 1
            self._copied.size += len(data)

    def _kind(self, key: str) -> str:
        place = Place.of(self._run, key)
        kind = place.path[0] if place.path[0] in ("tags", "ends") else place.name
        return kind if kind in _ORDER else ""

    def _record(self, key: str) -> None:
        try:
            data = self._source.get(key)
        except NotFound:  # a live card that was replaced meanwhile
            return
        if not self._target.put_if_absent(key, [data]):
            if self._target.get(key) == data:
                return
            if key.endswith(".json"):
                raise self._conflict(key)
            self._target.put(key, [data])  # a log or a card that went on
        with self._lock:
            self._copied.records += 1
            self._copied.size += len(data)

    def _list(self, record: RunRecord) -> None:
        first, *others = Runs(self._source).entries(record)
        for entry in others:
            if self._source.exists(entry):
                self._target.put_if_absent(entry, [b""])
        self._target.put_if_absent(first, [b""])

    def _read(self, key: str, cls: type[RunRecord]) -> RunRecord:
        try:
            return codec.loads(cls, self._source.get(key))
        except ValueError as error:
            raise CorruptBlob(
                f"the run's record cannot be read: {error}",
                where=f"{self._source.root}/{key}",
                mend="copy with the version of Airloom that wrote it.",
            ) from error


def _newer(entry: Entry, there: Entry | None) -> bool:
    return there is None or there.size != entry.size or there.written_at < entry.written_at
