"""The tags of a run: those that people give, and those that follow from its record.

A person's tags are never rewritten: each change is one more record, and the present set is the
one that the run was started with, changed by all records in their order. So two people who tag
a run at the same time lose nothing.

System tags have the form ``name:value`` and cannot be changed. One of them is the run's
namespace: ``user:<name>``, or ``production:<Flow>`` for what Airflow started without a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from airloom.errors import TagError
from airloom.store.datastore import Datastore
from airloom.store.index import namespace_of as namespace_of
from airloom.store.records import RunRecord, TagRecord

MOST = 50
"""So many tags people can give to a run."""

LONGEST = 500
"""So many signs a tag can have."""

_FACTS = ("runtime", "python_version", "airloom_version", "date", "project", "project_branch")


def system_tags(record: RunRecord) -> frozenset[str]:
    """Tags that follow from a run's record."""
    values = (
        record.origin.get("scheduler"),
        record.python,
        record.airloom,
        record.created_at[:10],
        record.project,
        record.branch,
    )
    facts = zip(_FACTS, values, strict=True)
    return frozenset({namespace_of(record), *(f"{name}:{value}" for name, value in facts if value)})


def is_indexed(tag: str) -> bool:
    """Say whether `Datastore.runs` finds the runs with a tag; not so for facts that most runs share."""
    return tag.partition(":")[0] not in _FACTS


def user_tags(datastore: Datastore, record: RunRecord) -> frozenset[str]:
    """Tags that people have given to a run and not taken away since."""
    present = set(record.tags)
    for change in datastore.tag_changes(record.flow, record.run):
        present -= set(change.removed)
        present |= set(change.added)
    return frozenset(present)


def has_tags(datastore: Datastore, record: RunRecord, wanted: Iterable[str]) -> bool:
    """Say whether a run has all these tags; the store is only asked for those of people."""
    missing = set(wanted) - system_tags(record)
    return not missing or missing <= user_tags(datastore, record)


def checked(tags: Iterable[str], where: str) -> tuple[str, ...]:
    """Return tags that a run can be given, each once, sorted.

    Raises
    ------
    TagError
        When one is empty, too long, or no text; or when they are too many.
    """
    found = sorted({_checked(tag, where) for tag in tags})
    return tuple(_few(found, where))


def change(
    datastore: Datastore,
    record: RunRecord,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    user: str,
) -> frozenset[str]:
    """Remove tags from a run, then add tags to it; return those that it has then.

    What it has already is not added, what it has not is not removed. When nothing is left to
    change, nothing is written.

    Raises
    ------
    TagError
        When a system tag is to be removed, a tag has not the form of one, or there are too many.
    """
    where = f"{record.flow}/{record.run}"
    system, present = system_tags(record), user_tags(datastore, record)
    refused = sorted(set(remove) & system)
    if refused:
        raise TagError(
            f"{', '.join(map(repr, refused))} cannot be removed: the run's own record says so",
            where=where,
            mend="remove tags that people gave; `airloom tag list --hide-system-tags` lists them.",
        )
    removed = present & set(remove)
    added = set(checked(add, where)) - system - (present - removed)
    after = (present - removed) | added
    _few(sorted(after), where)
    removed -= added
    added -= present
    if added or removed:
        now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        datastore.tag_run(
            record.flow,
            record.run,
            TagRecord(now, user, tuple(sorted(added)), tuple(sorted(removed))),
        )
    return frozenset(after)


def _few(tags: list[str], where: str) -> list[str]:
    if len(tags) > MOST:
        raise TagError(
            f"a run can have {MOST} tags, and these are {len(tags)}", where=where, mend="remove some first."
        )
    return tags


def _checked(tag: object, where: str) -> str:
    if not isinstance(tag, str) or not tag.strip():
        raise TagError(f"{tag!r} cannot be a tag", where=where, mend="give a text that is not empty.")
    if len(tag) > LONGEST:
        raise TagError(
            f"a tag can have {LONGEST} signs, and {tag[:20]!r}... has {len(tag)}",
            where=where,
            mend="shorten it; what is longer belongs into an artifact.",
        )
    try:
        tag.encode()
    except UnicodeEncodeError:
        raise TagError(f"{tag!r} is no text that can be saved", where=where, mend="use Unicode.") from None
    return tag
