"""References: what stands in Airflow's table for a value that lies in the datastore.

A reference is plain JSON, so Airflow's pages show it as it is, and nobody there loads anything::

    {"airloom_artifact": 1, "pathspec": "etl/manual__1/fit/0/model", "attempt": 0,
     "type": "...", "size": 52428800, "preview": "...", "digest": "b3:...", ...}

An item of a list that other tasks are mapped over says only which: ``{"airloom_artifact": 1,
"pathspec": "...", "attempt": 0, "item": 3}``. Parsing a DAG file may import this module.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airloom.codec import Json

if TYPE_CHECKING:
    from airloom.store.datastore import Datastore, TaskKey
    from airloom.store.records import ArtifactRecord

MARK = "airloom_artifact"

_CONTAINERS = (dict, list, tuple)

# Which attempts each task of this process has read; None stands for what runs outside of a task.
_read: defaultdict[tuple[str, str, str, int] | None, dict[str, None]] = defaultdict(dict)
# What is known of tasks of this process: whether others come after them.
_is_leaf: dict[tuple[str, str, str, int], bool] = {}
_as_they_are = 0


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


def items(whole: dict[str, Json], value: object) -> Json:
    """References to the items of a saved list, tuple or dict: Airflow maps tasks over as many."""
    short = {MARK: 1, "pathspec": whole["pathspec"], "attempt": whole["attempt"]}
    if isinstance(value, dict):
        return {str(name): {**short, "item": name} for name in value}
    return [{**short, "item": number} for number in range(len(value))]  # type: ignore[arg-type]


def is_reference(value: object) -> bool:
    """Say whether a value is a reference."""
    return type(value) is dict and value.get(MARK) == 1


def whole_of(value: Any) -> dict[str, Any] | None:
    """Give the reference to the artifact that a value is, or all items of; None for other values."""
    if is_reference(value):
        return None if "item" in value else dict(value)
    inside = list(value.values()) if type(value) is dict else value
    if type(inside) is not list or not inside:
        return None
    if not all(is_reference(one) and "item" in one for one in inside):
        return None
    return {name: said for name, said in inside[0].items() if name != "item"}


def are_references(value: object) -> bool:
    """Say whether a value is a reference, or a list or dict of nothing else."""
    if is_reference(value):
        return True
    if type(value) is dict:
        return bool(value) and all(map(is_reference, value.values()))
    return type(value) is list and bool(value) and all(map(is_reference, value))


def resolve(value: Any) -> Any:
    """Put values in the place of references, also in lists, tuples and dicts.

    What a mapped task has pushed becomes a sequence whose values are loaded when they are asked for.

    Raises
    ------
    NotFound, CorruptBlob
        When a value is gone from the datastore, or is not what was saved.
    ArtifactError
        When its class or a package of it is missing.
    """
    kind = type(value)
    if kind is dict:
        if value.get(MARK) == 1:
            return load(value)
        whole: dict[str, Any] = {}  # items of one dict or list: it is loaded once
        found = {name: _resolved(item, whole) for name, item in value.items()}
        return found if any(found[name] is not value[name] for name in value) else value
    if kind is list or kind is tuple:
        if not any(type(item) in _CONTAINERS for item in value):  # a long list of numbers stays as it is
            return value
        whole = {}
        inside = [_resolved(item, whole) for item in value]
        return kind(inside) if any(new is not old for new, old in zip(inside, value, strict=True)) else value
    # What Airflow gives for a mapped task: importing its class here would cost each DAG file.
    return LazyValues(value) if kind.__name__ == "LazyXComSequence" else value


def _resolved(item: Any, whole: dict[str, Any]) -> Any:
    return load(item, whole) if is_reference(item) else resolve(item)


def load(found: dict[str, Any], whole: dict[str, Any] | None = None) -> Any:
    """Load the value that a reference stands for.

    Parameters
    ----------
    whole
        Lists whose items were asked for before, by pathspec; of several items each list is loaded once.

    Raises
    ------
    NotFound, CorruptBlob, ArtifactError
        See `resolve`.
    """
    note(found)
    pathspec = str(found["pathspec"])
    kept = {} if whole is None else whole
    if pathspec not in kept:
        kept[pathspec] = _value(found, pathspec)
    return kept[pathspec][found["item"]] if "item" in found else kept[pathspec]


def _value(found: dict[str, Any], pathspec: str) -> Any:
    from airloom.errors import ArtifactError

    try:
        return datastore().load_artifact(_record(found), pathspec).value
    except ArtifactError as error:
        if not isinstance(error.__cause__, (ImportError, AttributeError)):
            raise
        # A flow's own class: the client finds it in the code package of the attempt that saved it.
        from airloom.client import Task

        task, _, name = pathspec.rpartition("/")
        saved = Task(task, found["attempt"], datastore=datastore(), _namespace_check=False)
        return saved[name].data


def note(found: dict[str, Any]) -> None:
    """Note that the task that runs has read what a reference stands for."""
    task = "/".join(str(found["pathspec"]).split("/", 4)[:4])
    _read[_reader()][f"{task}@{found['attempt']}"] = None


def _record(found: dict[str, Any]) -> ArtifactRecord:
    from airloom.errors import NotFound
    from airloom.store.datastore import TaskKey
    from airloom.store.records import ArtifactRecord

    if "digest" in found:
        names = {item.name for item in fields(ArtifactRecord)}
        return ArtifactRecord(**{name: value for name, value in found.items() if name in names})
    *task, name = str(found["pathspec"]).split("/", 4)
    saved = datastore().done(TaskKey(*task), found["attempt"]).artifacts
    if name not in saved:
        raise NotFound(
            f"attempt {found['attempt']} of {'/'.join(task)} has no artifact {name!r}",
            where=str(found["pathspec"]),
            mend="clear the task that made it.",
        )
    return saved[name]


class LazyValues(Sequence[Any]):
    """Values that are loaded one by one, when they are asked for."""

    def __init__(self, inner: Sequence[Any]) -> None:
        self._inner = inner

    def __len__(self) -> int:
        return len(self._inner)

    def __getitem__(self, index: Any) -> Any:
        with unloaded():
            found = self._inner[index]
        return [resolve(item) for item in found] if isinstance(index, slice) else resolve(found)

    def __iter__(self) -> Iterator[Any]:
        # Of what a mapped task has pushed, all references with one request instead of one each.
        with unloaded():
            found = self._inner[:]
        return map(resolve, found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (list, tuple, LazyValues)) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # as a list has none

    def __repr__(self) -> str:
        return f"LazyValues({self._inner!r})"


@contextmanager
def unloaded() -> Iterator[None]:
    """Let references stay references within the block: a task that loads its own arguments reads them."""
    global _as_they_are
    _as_they_are += 1
    try:
        yield
    finally:
        _as_they_are -= 1


def are_loaded() -> bool:
    """Say whether an XCom that is read now is to become its value."""
    return not _as_they_are


def parents_of(dag_id: str, run_id: str, task_id: str, map_index: int) -> tuple[str, ...]:
    """Name the attempts that a task has read in this process, as records do."""
    return tuple(_read[dag_id, run_id, task_id, map_index])


def forget_parents(dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
    """Let a task's list of what it read begin anew, with a new attempt."""
    _read.pop((dag_id, run_id, task_id, map_index), None)


def _reader() -> tuple[str, str, str, int] | None:
    from airflow.sdk import get_current_context

    try:
        context = get_current_context()
    except RuntimeError:
        return None
    ti = context["ti"]
    found = ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index
    _is_leaf[found] = not context["task"].downstream_task_ids
    return found


def may_be_last(dag_id: str, run_id: str, task_id: str, map_index: int) -> bool:
    """Say whether a task may be the last of its run; of one that is mapped only when that is known."""
    return _is_leaf.get((dag_id, run_id, task_id, map_index), map_index < 0)


def datastore() -> Datastore:
    """Open the datastore of Airflow's configuration, once in a process.

    Raises
    ------
    SettingsError
        When none is named that all workers can find.
    """
    return _opened(os.getpid())


@lru_cache(maxsize=1)
def _opened(_process: int) -> Datastore:
    from airloom.operators.runs import airflow_settings
    from airloom.store.datastore import Datastore

    return Datastore.open(airflow_settings())
