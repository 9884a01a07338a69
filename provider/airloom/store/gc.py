"""What no kept run needs is deleted: runs that rules drop, then the blobs that no record names.

A deletion can be cut off at any moment, and others may write meanwhile. So it goes in this order:

1. Every record is read: what a kept run names is reached.
2. A run that is dropped becomes invisible: first the entries that list it, then its own record.
3. Runs that began meanwhile are looked at. One that takes a dropped run's tasks over looks for
   that run's record **after** its own is written; this looks for new runs **after** the dropped
   run's record is gone. So one of the two sees the other: the resume stops, or the run comes back.
4. The other records of the dropped runs go. What a crash leaves of them no reader finds, and the
   next collection takes it for what it is: objects of a run without a record.
5. The blobs that are not reached and older than the grace period go, beside writers, as
   `airloom.store.sweeping` says. Nothing that could be seen names them any more.

A kept run may commit records meanwhile. The blobs that these name are either reached, since a task
takes artifacts over from tasks of its own run only, or were saved within the grace period: the
time that may pass between saving a blob and committing the record that names it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from airloom import codec
from airloom.digests import PREFIX, is_digest
from airloom.errors import NotFound
from airloom.names import unescape
from airloom.store import index, reach, tags
from airloom.store.datastore import Datastore
from airloom.store.objects import Entry, Objects
from airloom.store.reach import Place, RunName
from airloom.store.records import DoneRecord, RunRecord
from airloom.store.retention import FoundRun, Rules, chosen, is_quiet, is_running, superseded
from airloom.store.shelf import data_key, flow_key
from airloom.store.sweeping import FLAGS, sweep

T = TypeVar("T")
R = TypeVar("R")

_NAMED_BY_RECORDS = 1 << 20


@dataclass(slots=True)
class Freed:
    """What goes; ``size`` counts the bytes of all of it."""

    runs: int = 0
    attempts: int = 0
    plans: int = 0
    records: int = 0
    blobs: int = 0
    size: int = 0


@dataclass(slots=True)
class Report:
    """What goes by flow, the empty name for blobs that no record names, and what stays.

    ``young`` counts the blobs that are not reached and stay for the grace period; ``returned``
    are runs that were to go, and were written to or resumed meanwhile.
    """

    flows: dict[str, Freed] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    kept_runs: int = 0
    running: int = 0
    young: int = 0
    relisted: int = 0


class Collection:
    """One collection: `look` says what would go, `delete` then deletes it.

    Parameters
    ----------
    progress
        Called now and then with a word about what is being done.
    threads
        How many requests are made at the same time.
    """

    def __init__(
        self,
        objects: Objects,
        rules: Rules,
        *,
        progress: Callable[[str], None] = lambda _: None,
        threads: int = 16,
    ) -> None:
        self._objects = objects
        self._rules = rules
        self._datastore = Datastore(objects)
        self._progress = progress
        self._threads = threads
        self._now = time.time()
        self._lock = threading.Lock()
        self._known: set[RunName] = set()
        self._kept: list[FoundRun] = []
        self._dropped: list[FoundRun] = []
        self._superseded: list[tuple[FoundRun, list[Entry]]] = []
        self._unlisted: list[RunRecord] = []
        self._plans: list[tuple[str, Entry]] = []
        # 32 bytes name a blob: this is what has to fit into memory.
        self._reached: set[bytes] = set()
        self._owners: dict[bytes, str] = {}
        self._shards: list[str] = []

    # -- looking ---------------------------------------------------------------------------

    def look(self) -> Report:
        """Find what would go; nothing is changed."""
        report = Report()
        self._progress("reading the runs")
        found = list(filter(None, self._each(self._found, self._every_run())))
        self._known = {run.name for run in found}
        self._dropped = list(chosen(found, self._rules, self._now, self._has_tag))
        going = {run.name for run in self._dropped}
        self._kept = [run for run in found if run.name not in going]
        self._progress("reading the records")
        for _ in self._each(self._mark, self._kept):
            pass
        for _ in self._each(self._own, self._dropped):
            pass
        self._mark_elsewhere()
        self._choose_plans()
        self._find_unlisted()
        self._progress("listing the blobs")
        shards = [f"blobs/{name}" for name in self._objects.children("blobs")]
        for shard, garbage in zip(shards, self._each(self._look_at_shard, shards), strict=True):
            if garbage[0]:
                self._shards.append(shard)
            for digest, size in garbage[0]:
                self._count(report, self._owners.get(digest, ""), blobs=1, size=size)
            report.young += garbage[1]
        for run in self._dropped:
            self._count_run(report, run)
            self._count_data(report, run)
        for run, entries in self._superseded:
            self._count_attempts(report, run, entries)
        for flow, entry in self._plans:
            self._count(report, flow, plans=1, size=entry.size)
        report.kept_runs = len(self._kept)
        report.running = sum(is_running(run, self._rules, self._now) for run in self._kept)
        report.relisted = len(self._unlisted)
        return report

    def _every_run(self) -> list[RunName]:
        flows = reach.flows(self._objects)
        return [
            run for some in self._each(lambda flow: reach.runs(self._objects, flow), flows) for run in some
        ]

    def _found(self, name: RunName) -> FoundRun | None:
        count, size, written_at = self._state(name)
        if not count:
            return None  # a folder that a killed process left
        raw, record = b"", None
        with suppress(NotFound):
            raw = self._objects.get(name.key)
        if raw:
            # A record that this version cannot read is one nevertheless: its run stays.
            with suppress(ValueError):
                record = codec.loads(RunRecord, raw)
        end = self._datastore.last_end(name.flow, name.run) if raw else None
        return FoundRun(name, raw, record, end, count, size, written_at)

    def _state(self, name: RunName) -> tuple[int, int, float]:
        """Count a run's objects and bytes, and say when the last of them was written."""
        count, size, written_at = 0, 0, 0.0
        for entry in self._objects.entries(name.folder):
            count, size = count + 1, size + entry.size
            written_at = max(written_at, entry.written_at)
        return count, size, written_at

    # -- marking ---------------------------------------------------------------------------

    def _mark(self, run: FoundRun) -> None:
        """Reach what a run names that stays, without its superseded attempts."""
        going: list[Entry] = []
        entries = list(self._objects.entries(run.name.folder))
        if self._rules.superseded and self._can_lose_attempts(run):
            # An attempt whose record this version cannot read may have read anything.
            with suppress(ValueError):
                going = superseded(run.name, entries, self._parents)
        keys = {entry.key for entry in entries} - {entry.key for entry in going}
        self._reach(digest for key in keys for digest in self._digests(key))
        if going:
            owned = [digest for entry in going for digest in self._digests(entry.key)]
            with self._lock:
                self._owners.update(dict.fromkeys(owned, run.name.flow))
                self._superseded.append((run, going))

    def _own(self, run: FoundRun) -> None:
        """Note that what a run names is a flow's, for the count."""
        for entry in self._objects.entries(run.name.folder):
            owned = self._digests(entry.key)
            with self._lock:
                self._owners.update(dict.fromkeys(owned, run.name.flow))

    def _mark_elsewhere(self) -> None:
        """Reach what small records name that are kept outside of runs, whatever they are."""
        for folder in self._objects.children():
            if folder not in ("blobs", "flows", FLAGS):
                self._mark_folder(folder)
        for flow in reach.flows(self._objects):
            for name in self._objects.children(flow_key(flow)):
                if name not in ("runs", "plans", "tagged", *index.KINDS):
                    self._mark_folder(f"{flow_key(flow)}/{name}")

    def _mark_folder(self, folder: str) -> None:
        for entry in self._objects.entries(folder):
            if entry.key.endswith(".json") and entry.size <= _NAMED_BY_RECORDS:
                self._reach(self._digests(entry.key))

    def _digests(self, key: str) -> list[bytes]:
        if not key.endswith(".json"):
            return []
        try:
            data = self._objects.get(key)
        except NotFound:  # deleted meanwhile
            return []
        return [_short(digest) for digest in reach.digests_in(data)]

    def _reach(self, digests: Iterable[bytes]) -> None:
        found = list(digests)
        with self._lock:
            self._reached.update(found)

    def _can_lose_attempts(self, run: FoundRun) -> bool:
        asked = not self._rules.flows or run.name.flow in self._rules.flows
        ended = run.end is not None and run.record is not None
        return asked and ended and is_quiet(run, self._rules, self._now)

    def _parents(self, done: Entry) -> tuple[str, ...]:
        return codec.loads(DoneRecord, self._objects.get(done.key)).parents

    def _choose_plans(self) -> None:
        """Reach what plans name that stay, and choose those that go."""
        limit = self._rules.plans_older_than_s
        for flow in reach.flows(self._objects):
            for entry in self._objects.entries(f"{flow_key(flow)}/plans"):
                digest = unescape(entry.key.rpartition("/")[2].removesuffix(".json"))
                old = limit is not None and self._now - entry.written_at > max(limit, self._rules.grace_s)
                named = is_digest(digest) and _short(digest) in self._reached
                asked = not self._rules.flows or flow in self._rules.flows
                if old and asked and not named:
                    self._owners.update(dict.fromkeys(self._digests(entry.key), flow))
                    self._plans.append((flow, entry))
                else:
                    self._reach(self._digests(entry.key))

    def _find_unlisted(self) -> None:
        listed = {
            RunName(flow, run)
            for flow in reach.flows(self._objects)
            for run in index.runs(self._objects, flow, None, "newest")
        }
        self._unlisted = [run.record for run in self._kept if run.record and run.name not in listed]

    def _look_at_shard(self, shard: str) -> tuple[list[tuple[bytes, int]], int]:
        """Find the blobs of a folder that would go, and count those that are too young."""
        garbage, young = [], 0
        for entry in self._objects.entries(shard):
            digest = _blob(entry.key)
            if digest is not None and digest not in self._reached:
                if self._is_old(entry):
                    garbage.append((digest, entry.size))
                else:
                    young += 1
        return garbage, young

    def _is_old(self, entry: Entry) -> bool:
        return self._now - entry.written_at >= self._rules.grace_s

    # -- deleting --------------------------------------------------------------------------

    def delete(self) -> Report:
        """Delete what `look` found, as far as nobody needs it by now.

        Raises
        ------
        AlreadyExists
            When another process deletes from the store.
        """
        report = Report(kept_runs=len(self._kept))
        self._progress("deleting runs")
        going = []
        for run in self._dropped:
            if self._state(run.name) == (run.objects, run.size, run.written_at):
                going.append((run, self._hide(run)))
            else:
                self._return(report, run, [])
        resumed = self._resumed_meanwhile()
        for run, entries in going:
            left = run.objects - (1 if run.raw else 0)
            if run.name in resumed or self._state(run.name)[0] != left:
                self._return(report, run, entries)
            else:
                self._objects.delete_many(self._objects.list(run.name.folder))
                self._count_run(report, run)
                self._objects.delete_many(self._count_data(report, run))
        for run, files in self._superseded:
            self._delete_attempts(report, run, files)
        for record in self._unlisted:
            self._datastore.list_run(record)
            report.relisted += 1
        self._delete_plans(report)
        self._progress("deleting blobs")
        if unfinished := self._objects.tidy(self._now - self._rules.grace_s):
            self._count(report, "", size=unfinished)
        for shard in self._shards:
            for entry in sweep(self._objects, shard, self._goes):
                self._count(report, self._owners.get(_blob(entry.key) or b"", ""), blobs=1, size=entry.size)
        return report

    def _hide(self, run: FoundRun) -> list[str]:
        if run.record is None:
            return []
        entries = self._datastore.entries(run.record)
        self._objects.delete_many(entries)
        self._objects.delete(run.name.key)
        return entries

    def _return(self, report: Report, run: FoundRun, entries: list[str]) -> None:
        """Let a run stay that somebody has written to, or resumed, since it was looked at."""
        if run.raw and entries:
            self._objects.put_if_absent(run.name.key, [run.raw])
            for key in entries:
                self._objects.put_if_absent(key, [b""])
        for key in self._objects.list(run.name.folder):
            self._reach(self._digests(key))
        if run.record is not None:
            self._reach(self._digests(reach.plan_key(run.name.flow, run.record.plan)))
            self._reach([_short(run.record.plan)])
        report.returned.append(str(run.name))

    def _resumed_meanwhile(self) -> set[RunName]:
        """Look at the runs that began since `look`: which runs they resume, and which plans they name."""
        resumed = set()
        for name in self._every_run():
            if name not in self._known:
                with suppress(NotFound):
                    raw = self._objects.get(name.key)
                    self._reach(_short(digest) for digest in reach.digests_in(raw))
                    record = codec.loads(RunRecord, raw)
                    if record.resumed_from is not None:
                        resumed.add(RunName(name.flow, record.resumed_from))
        return resumed

    def _delete_attempts(self, report: Report, run: FoundRun, entries: list[Entry]) -> None:
        if self._state(run.name) != (run.objects, run.size, run.written_at):
            self._reach(digest for entry in entries for digest in self._digests(entry.key))
            return
        for entry in entries:
            self._objects.delete(entry.key)
        self._count_attempts(report, run, entries)

    def _delete_plans(self, report: Report) -> None:
        chosen = {entry.key: flow for flow, entry in self._plans}
        limit = max(self._rules.plans_older_than_s or 0.0, self._rules.grace_s)

        def goes(entry: Entry) -> bool:
            digest = unescape(entry.key.rpartition("/")[2].removesuffix(".json"))
            named = is_digest(digest) and _short(digest) in self._reached
            return entry.key in chosen and not named and self._now - entry.written_at > limit

        for flow in sorted(set(chosen.values())):
            for entry in sweep(self._objects, f"{flow_key(flow)}/plans", goes):
                del chosen[entry.key]
                self._count(report, flow, plans=1, size=entry.size)
        for key in chosen:
            self._reach(self._digests(key))

    def _goes(self, entry: Entry) -> bool:
        digest = _blob(entry.key)
        return digest is not None and digest not in self._reached and self._is_old(entry)

    # -- counting --------------------------------------------------------------------------

    def _count(self, report: Report, flow: str, **more: int) -> None:
        freed = report.flows.get(flow, Freed())
        report.flows[flow] = replace(
            freed, **{name: getattr(freed, name) + number for name, number in more.items()}
        )

    def _count_run(self, report: Report, run: FoundRun) -> None:
        if run.raw:
            report.dropped.append(str(run.name))
        self._count(report, run.name.flow, runs=1 if run.raw else 0, records=run.objects, size=run.size)

    def _count_data(self, report: Report, run: FoundRun) -> list[str]:
        """Keys of the objects that people keep with a run: they go with it."""
        entries = list(self._objects.entries(data_key(run.name.flow, run.name.run)))
        self._count(report, run.name.flow, size=sum(entry.size for entry in entries))
        return [entry.key for entry in entries]

    def _count_attempts(self, report: Report, run: FoundRun, entries: list[Entry]) -> None:
        attempts = {Place.of(run.name, entry.key).attempt for entry in entries}
        size = sum(entry.size for entry in entries)
        self._count(report, run.name.flow, attempts=len(attempts), records=len(entries), size=size)

    def _has_tag(self, record: RunRecord, tag: str) -> bool:
        return tags.has_tags(self._datastore, record, (tag,))

    def _each(self, what: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(what, items)


def _short(digest: str) -> bytes:
    return bytes.fromhex(digest[len(PREFIX) :])


def _blob(key: str) -> bytes | None:
    """Name the blob of a key; None when it is no blob's."""
    digest = unescape(key.rpartition("/")[2])
    return _short(digest) if is_digest(digest) else None
