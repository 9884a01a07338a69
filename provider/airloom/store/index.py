"""Where runs are found, the newest first: all of a flow, those with a tag, those that succeeded.

::

    flows/<Flow>/newest/<reversed time>-<run>                     every run
    flows/<Flow>/successful/<reversed time>-<run>                 those that have ever succeeded
    flows/<Flow>/tagged/<tag>/newest/<reversed time>-<run>        those that have ever had the tag
    flows/<Flow>/tagged/<tag>/successful/<reversed time>-<run>

An entry is empty: its name says all, and one listing with a limit answers "the latest". Entries
are hints. What can change (tags of people, how a run ended last) is looked up in the run's own
records by whoever reads an entry; no entry is missing, but one too many does no harm. A run's
namespace is one of its tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from itertools import product
from typing import Literal

from airloom.digests import digest_of
from airloom.names import escape, unescape
from airloom.store.objects import Objects
from airloom.store.records import RunRecord

Kind = Literal["newest", "successful"]

KINDS: tuple[Kind, ...] = ("newest", "successful")

DIGITS = 17
"""Digits of a time in a name, in microseconds since 1970: names sort as the times do."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# The kinds of DAG runs that nobody asked for by hand (airflow.utils.types.DagRunType of 3.x).
_UNASKED = ("scheduled", "asset_triggered", "operator_triggered")

# A file's name can have 255 bytes.
_LONGEST = 150


def namespace_of(record: RunRecord) -> str:
    """Namespace of a run.

    >>> namespace_of(RunRecord("Train", "7", "", "2026-11-24T10:00:00+00:00", "ada"))
    'user:ada'
    """
    unasked = record.origin.get("scheduler") == "airflow" and record.origin.get("run_type") in _UNASKED
    return f"production:{record.flow}" if unasked else f"user:{record.user}"


def note(objects: Objects, record: RunRecord, tags: Iterable[str], kinds: Iterable[Kind]) -> None:
    """Write a run's entries of these kinds: for each tag, and None for the flow's own."""
    for folder in _folders(record.flow, (None, *tags), kinds):
        objects.put_if_absent(f"{folder}/{_entry(record)}", [b""])


def entries(record: RunRecord, tags: Iterable[str]) -> list[str]:
    """Keys of all entries that a run which ever had these tags, beside its namespace, can have."""
    every = (None, namespace_of(record), *record.tags, *tags)
    return [f"{folder}/{_entry(record)}" for folder in _folders(record.flow, dict.fromkeys(every), KINDS)]


def runs(objects: Objects, flow: str, tag: str | None, kind: Kind) -> Iterator[str]:
    """Give the names of the runs that have entries, the newest first, lazily."""
    (folder,) = _folders(flow, (tag,), (kind,))
    for key in objects.list(folder):
        yield unescape(key.rpartition("/")[2].partition("-")[2])


def microseconds(iso: str) -> int:
    """Read a record's time as microseconds since 1970."""
    # Python 3.10 cannot read the Z.
    time = datetime.fromisoformat(iso.replace("Z", "+00:00"))
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    passed = time - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def _folders(flow: str, tags: Iterable[str | None], kinds: Iterable[Kind]) -> Iterator[str]:
    for tag, kind in product(tags, tuple(kinds)):
        below = "" if tag is None else f"tagged/{_segment(tag)}/"
        yield f"flows/{escape(flow)}/{below}{kind}"


def _segment(tag: str) -> str:
    name = escape(tag)
    return name if len(name) <= _LONGEST else escape(digest_of([tag.encode()]))


def _entry(record: RunRecord) -> str:
    age = 10**DIGITS - 1 - microseconds(record.created_at)
    return f"{age:0{DIGITS}}-{escape(record.run)}"
