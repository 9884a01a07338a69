"""References: JSON that stands for a value in the datastore; what they are, and how values take their places.

::

    {"airloom_artifact": 1, "pathspec": "etl/manual__1/fit/0/model", "attempt": 0,
     "type": "...", "size": 52428800, "preview": "...", "digest": "b3:...", ...}

An item of a list that other tasks are mapped over says only which: ``{"airloom_artifact": 1,
"pathspec": "...", "attempt": 0, "item": 3}``. Parsing a DAG file may import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from airloom.codec import Json

if TYPE_CHECKING:
    from airloom.store.datastore import Datastore, TaskKey
    from airloom.store.records import ArtifactRecord

MARK = "airloom_artifact"

RETURN = "return_value"
"""Name of the artifact of a task that returns one value: that of Airflow's XCom."""

_CONTAINERS = (dict, list, tuple)


def reference(key: TaskKey, attempt: int, name: str, record: ArtifactRecord) -> dict[str, Json]:
    """Make the reference to an artifact of an attempt, committed or not."""
    said = {item.name: getattr(record, item.name) for item in fields(record)}
    plain = {name: value for name, value in said.items() if value not in (None, "")}
    order = ("type", "size", "preview")
    return {
        MARK: 1,
        "pathspec": f"{key.pathspec}/{name}",
        "attempt": attempt,
        **{name: plain.pop(name) for name in order if name in plain},
        **plain,
    }


def is_reference(value: object) -> bool:
    """Say whether a value is a reference."""
    return type(value) is dict and value.get(MARK) == 1


def attempt_of(found: dict[str, Any]) -> str:
    """Name the attempt that a reference reads, as the parents of a record do."""
    return f"{'/'.join(str(found['pathspec']).split('/', 4)[:4])}@{found['attempt']}"


def fill(
    value: Any,
    load: Callable[[dict[str, Any], dict[str, Any]], Any],
    leaf: Callable[[Any], Any] = lambda value: value,
) -> Any:
    """Put values in the place of references, also in lists, tuples and dicts.

    Parameters
    ----------
    load
        Gives the value of a reference; its second argument keeps what the references beside it need,
        too: of the items of one list, the list.
    leaf
        Gives what stands for any other value.
    """
    kind = type(value)
    if kind is dict:
        whole: dict[str, Any] = {}
        if value.get(MARK) == 1:
            return load(value, whole)
        found = {name: _filled(item, load, leaf, whole) for name, item in value.items()}
        return found if any(found[name] is not value[name] for name in value) else value
    if kind is list or kind is tuple:
        if not any(type(item) in _CONTAINERS for item in value):  # a long list of numbers stays as it is
            return value
        whole = {}
        inside = [_filled(item, load, leaf, whole) for item in value]
        return kind(inside) if any(new is not old for new, old in zip(inside, value, strict=True)) else value
    return leaf(value)


def _filled(item: Any, load: Any, leaf: Any, whole: dict[str, Any]) -> Any:
    return load(item, whole) if is_reference(item) else fill(item, load, leaf)


def part(found: dict[str, Any], whole: dict[str, Any], value: Callable[[str], Any]) -> Any:
    """Give the value of a reference, or the item of it that is meant.

    Parameters
    ----------
    whole
        Values that were asked for before, by pathspec: of several items of a list it is loaded once.
    value
        Gives the value of a pathspec.
    """
    pathspec = str(found["pathspec"])
    if pathspec not in whole:
        whole[pathspec] = value(pathspec)
    return whole[pathspec][found["item"]] if "item" in found else whole[pathspec]


def inside(value: Any) -> Iterator[dict[str, Any]]:
    """Give all references in a value."""
    if is_reference(value):
        yield value
    elif type(value) in _CONTAINERS:
        for item in value.values() if isinstance(value, dict) else value:
            yield from inside(item)


def record_of(datastore: Datastore, found: dict[str, Any]) -> ArtifactRecord:
    """Give the record of the artifact that a reference, or one of an item, is of.

    Raises
    ------
    NotFound
        When the attempt has no such artifact.
    """
    from airloom.errors import NotFound
    from airloom.store.datastore import TaskKey
    from airloom.store.records import ArtifactRecord

    if "digest" in found:
        names = {item.name for item in fields(ArtifactRecord)}
        return ArtifactRecord(**{name: value for name, value in found.items() if name in names})
    *task, name = str(found["pathspec"]).split("/", 4)
    saved = datastore.done(TaskKey(*task), found["attempt"]).artifacts
    if name not in saved:
        raise NotFound(
            f"attempt {found['attempt']} of {'/'.join(task)} has no artifact {name!r}",
            where=str(found["pathspec"]),
            mend="clear the task that made it.",
        )
    return saved[name]
