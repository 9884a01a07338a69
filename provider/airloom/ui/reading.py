"""What pages show, read from the store in bounded amounts: records alone, no artifact is ever loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from airloom.client.facts import AttemptFacts, RunFacts
from airloom.errors import CorruptBlob, NotFound, VersionSkew
from airloom.names import indices_of
from airloom.plan import StepPlan
from airloom.runtime.logs import Line, parse
from airloom.settings import Settings
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import CLONED_FROM, BeginRecord, DoneRecord, EndRecord, FailedRecord, Usage

PAGE = 100
"""Rows of a page."""

LINES = 1000
"""Lines of a log that a page shows: the last ones."""

LOG_BYTES = 512 << 10
"""Bytes of a log that a page shows at most."""

_AT_ONCE = 16
_KEPT_S = 300

T = TypeVar("T")
R = TypeVar("R")


def open_store(settings: Settings) -> Datastore:
    """Open the datastore for pages: who waits for one must not wait for minutes."""
    hurried = replace(
        settings, store_timeout_s="10", store_deadline_s="20", store_retries="2", cache_limit_mib="0"
    )
    # Not for ever: credentials change, and an open store keeps every plan that it has read.
    return _opened(hurried, int(time.monotonic() // _KEPT_S))


@lru_cache(maxsize=2)
def _opened(settings: Settings, _period: int) -> Datastore:
    return Datastore.open(settings)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run of a list; ``facts`` may lack a plan that this version can read."""

    facts: RunFacts
    end: EndRecord | None
    dag_id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a task: its number, and its records as far as there are any."""

    key: TaskKey
    number: int
    started_at: str
    end: DoneRecord | FailedRecord | None

    @property
    def usage(self) -> Usage | None:
        """What it used, None while it runs."""
        return None if self.end is None else self.end.usage


def run_facts(datastore: Datastore, flow: str, run: str) -> RunFacts:
    """Facts of a run that there is.

    Raises
    ------
    NotFound
        When there is none.
    """
    facts = RunFacts(datastore, flow, run)
    _ = facts.record
    return facts


def dag_of(facts: RunFacts) -> str:
    """Id of the DAG that decides who may see a run: the one that it ran in, else that of its plan."""
    origin = facts.record.origin
    ran_in = origin.get("dag_id")
    if origin.get("scheduler") == "airflow" and isinstance(ran_in, str):
        return ran_in
    return facts.plan.dag_id


def newest_runs(datastore: Datastore, flow: str, page: int) -> tuple[list[RunRow], int]:
    """Runs of a page, the newest first, and how many entries the page had."""
    names = list(islice(datastore.runs(flow), (page - 1) * PAGE, page * PAGE))
    rows = at_once(lambda name: _run_row(datastore, flow, name), names)
    return [row for row in rows if row is not None], len(names)


def _run_row(datastore: Datastore, flow: str, run: str) -> RunRow | None:
    try:
        facts = run_facts(datastore, flow, run)
        return RunRow(facts, datastore.last_end(flow, run), dag_of(facts))
    except (NotFound, CorruptBlob, VersionSkew):  # deleted meanwhile, or not to be told whose it is
        return None


def newest_attempt(datastore: Datastore, key: TaskKey) -> Attempt | None:
    """The attempt that a task stands for: the highest committed, else the newest; None when it has none."""
    try:
        return _attempt(AttemptFacts(datastore, key, None))
    except NotFound:
        return None


def attempt(datastore: Datastore, key: TaskKey, number: int) -> Attempt:
    """One attempt at a task.

    Raises
    ------
    NotFound
        When it was not begun.
    """
    return _attempt(AttemptFacts(datastore, key, number))


def _attempt(facts: AttemptFacts) -> Attempt:
    end = facts.ended
    return Attempt(facts.key, facts.number, facts.begin.started_at, end)


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step of a run: how many tasks of it have begun, and those that were looked at."""

    plan: StepPlan
    count: int
    looked_at: Sequence[Attempt | None]


def step_rows(datastore: Datastore, run: RunFacts) -> list[StepRow]:
    """The steps of a run in the order of its plan; about `PAGE` tasks are looked at, some of each step."""
    begun = set(datastore.steps(run.flow, run.run))
    steps = run.plan.steps
    names = at_once(
        lambda step: datastore.tasks(run.flow, run.run, step.name) if step.name in begun else [], steps
    )
    wide = sum(len(tasks) > 1 for tasks in names)
    share = max(1, (PAGE - len(steps)) // max(wide, 1))
    keys = [
        run.key(step.name, task) for step, tasks in zip(steps, names, strict=True) for task in tasks[:share]
    ]
    found = dict(zip(keys, at_once(lambda key: newest_attempt(datastore, key), keys), strict=True))
    return [
        StepRow(step, len(tasks), [found[run.key(step.name, task)] for task in tasks[:share]])
        for step, tasks in zip(steps, names, strict=True)
    ]


def log_owner(key: TaskKey, number: int, begin: BeginRecord) -> tuple[TaskKey, int]:
    """The attempt that really ran: of a task that a resumed run took over, the one it was taken from."""
    cloned = begin.origin.get(CLONED_FROM)
    if not isinstance(cloned, str):
        return key, number
    name, _, taken = cloned.partition("@")
    return TaskKey(*name.split("/")), int(taken)


def log_lines(datastore: Datastore, key: TaskKey, number: int) -> tuple[list[Line], bool] | None:
    """The last lines of a log, and whether these are all; None when there is no log."""
    try:
        data, whole = datastore.log_end(key, number, LOG_BYTES)
    except NotFound:
        return None
    if not whole:
        data = data.partition(b"\n")[2]  # the first line is cut
    lines = list(parse(data))
    return lines[-LINES:], whole and len(lines) <= LINES


@dataclass(frozen=True, slots=True)
class Indices:
    """The tasks that one mapped Airflow task stands for, as it was given them: ``0.0..0.4,1.0``.

    Nothing is listed: a text from a URL may name any number of them.
    """

    text: str

    def __contains__(self, task: object) -> bool:
        return any(_within(str(task), part) for part in self.text[:20_000].split(","))


def _within(task: str, part: str) -> bool:
    first, _, last = part.partition("..")
    try:
        place, begin, end = (indices_of(text, 1) for text in (task, first, last or first))
    except ValueError:
        return False
    return place[:-1] == begin[:-1] and len(place) == len(begin) and begin[-1] <= place[-1] <= end[-1]


def at_once(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do the same for several things side by side: a store far away answers many as fast as one."""
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(_AT_ONCE, len(items))) as pool:
        return list(pool.map(work, items))
