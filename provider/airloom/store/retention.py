"""Which runs and attempts stay, and which can go: the rules of a collection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from airloom.store import index
from airloom.store.objects import Entry
from airloom.store.reach import Place, RunName
from airloom.store.records import EndRecord, RunRecord

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Rules:
    """Which runs go. Without ``older_than_s``, ``keep_latest`` and ``ended`` none does.

    A run goes when all that is said of it holds: it belongs to one of ``flows`` (any when empty),
    ended ``ended``, came to its end or began more than ``older_than_s`` ago, is not among the
    ``keep_latest`` newest and newest successful ones of its flow, namespace and branch, and has
    none of the tags and namespaces that are kept. One that runs never goes, nor one that was
    written to within ``grace_s``. One that has not ended counts as failed when nothing was
    written to it for ``unfinished_s``, and as running until then.

    ``superseded``: of the runs that stay, attempts go that a newer committed one has replaced,
    unless an attempt that stays has read them. Plans go when no run that stays names them and they
    were saved more than ``plans_older_than_s`` ago. Blobs go that nothing that stays names and
    that were saved more than ``grace_s`` ago.
    """

    flows: tuple[str, ...] = ()
    older_than_s: float | None = None
    keep_latest: int | None = None
    keep_tags: tuple[str, ...] = ()
    keep_namespaces: tuple[str, ...] = ()
    ended: Literal["successful", "failed"] | None = None
    superseded: bool = False
    plans_older_than_s: float | None = None
    grace_s: float = DAY_S
    unfinished_s: float = 7 * DAY_S

    @property
    def drop_runs(self) -> bool:
        """Whether any run can go."""
        return self.older_than_s is not None or self.keep_latest is not None or self.ended is not None


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run as it was found.

    Without bytes of its own record (``raw``) it is what a deletion left. With bytes that this
    version cannot read (``record`` is None) it is a run nevertheless, and stays.
    """

    name: RunName
    raw: bytes
    record: RunRecord | None
    end: EndRecord | None
    objects: int
    size: int
    written_at: float

    @property
    def last_at(self) -> float:
        """When it ended, or else began, in seconds since 1970."""
        times = [] if self.record is None else [self.record.created_at]
        times += [] if self.end is None else [self.end.finished_at]
        return max((index.microseconds(text) / 1e6 for text in times), default=self.written_at)

    @property
    def successful(self) -> bool:
        """Whether it ended, and well."""
        return self.end is not None and self.end.successful


def is_running(run: FoundRun, rules: Rules, now: float) -> bool:
    """Say whether a run may go on."""
    return bool(run.raw) and run.end is None and now - run.written_at < rules.unfinished_s


def is_quiet(run: FoundRun, rules: Rules, now: float) -> bool:
    """Say whether nothing was written to a run within the grace period."""
    return now - run.written_at >= rules.grace_s


def chosen(
    found: list[FoundRun], rules: Rules, now: float, has_tag: Callable[[RunRecord, str], bool]
) -> Iterator[FoundRun]:
    """Choose the runs that go, with those that a deletion left."""
    running = [run for run in found if is_running(run, rules, now)]
    # A run that is being resumed may not have written yet what it takes over.
    resumed = {
        RunName(run.name.flow, run.record.resumed_from)
        for run in running
        if run.record is not None and run.record.resumed_from is not None
    }
    stay = resumed | {run.name for run in running} | _latest(found, rules.keep_latest or 0)
    for run in found:
        if run.name in stay or not is_quiet(run, rules, now):
            continue
        if not run.raw or (
            run.record is not None and rules.drop_runs and _goes(run, run.record, rules, now, has_tag)
        ):
            yield run


def _goes(
    run: FoundRun, record: RunRecord, rules: Rules, now: float, has_tag: Callable[[RunRecord, str], bool]
) -> bool:
    return (
        (not rules.flows or run.name.flow in rules.flows)
        and (rules.older_than_s is None or now - run.last_at >= rules.older_than_s)
        and (rules.ended is None or run.successful == (rules.ended == "successful"))
        and index.namespace_of(record) not in rules.keep_namespaces
        and not any(has_tag(record, tag) for tag in rules.keep_tags)
    )


def _latest(found: list[FoundRun], most: int) -> set[RunName]:
    groups: dict[tuple[str, str, str], list[tuple[str, FoundRun]]] = defaultdict(list)
    for run in found:
        if run.record is not None:
            group = groups[run.name.flow, index.namespace_of(run.record), run.record.branch]
            group.append((run.record.created_at, run))
    kept: set[RunName] = set()
    for group in groups.values():
        ordered = [run for _, run in sorted(group, key=lambda pair: pair[0], reverse=True)]
        good = [run for run in ordered if run.successful]
        kept |= {run.name for run in (*ordered[:most], *good[:most])}
    return kept


Attempts = dict[tuple[str, str], dict[int, list[Entry]]]
"""The objects of each attempt, by step and task."""


def superseded(
    run: RunName, entries: Iterable[Entry], parents: Callable[[Entry], tuple[str, ...]]
) -> list[Entry]:
    """Find the objects of attempts that a newer one has replaced and nothing that stays has read.

    Parameters
    ----------
    parents
        Reads from a record of what was committed which attempts it has read.

    Returns
    -------
    list of Entry
        In the order in which they can be deleted: first what makes an attempt count.
    """
    files: Attempts = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        place = Place.of(run, entry.key).attempt
        if place is not None:
            files[place[:2]][place[2]].append(entry)
    ahead: list[tuple[str, str, int]] = []
    for (step, task), attempts in files.items():
        newest = max([number for number, some in attempts.items() if _done(some)] or attempts)
        ahead += [(step, task, number) for number in attempts if number >= newest]
    stays: set[tuple[str, str, int]] = set()
    while ahead:
        attempt = ahead.pop()
        if attempt not in stays:
            stays.add(attempt)
            done = _done(files.get(attempt[:2], {}).get(attempt[2], []))
            ahead += [] if done is None else filter(None, map(_attempt, parents(done)))
    return [
        entry
        for (step, task), attempts in files.items()
        for number, some in attempts.items()
        if (step, task, number) not in stays
        for entry in sorted(some, key=lambda entry: not entry.key.endswith(("/done.json", "/failed.json")))
    ]


def _done(entries: list[Entry]) -> Entry | None:
    return next((entry for entry in entries if entry.key.endswith("/done.json")), None)


def _attempt(pathspec: str) -> tuple[str, str, int] | None:
    """Read ``Flow/run/step/task@number``."""
    spec, _, number = pathspec.rpartition("@")
    parts = spec.split("/")
    return (parts[2], parts[3], int(number)) if len(parts) == 4 and number.isdecimal() else None
