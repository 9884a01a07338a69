"""Values of other tasks where a task of Airflow reads them: loaded, noted, lazy.

See `airloom.runtime.references`. A reference is plain JSON, so Airflow's pages show it as it is, and
nobody there loads anything. Parsing a DAG file may import this module.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airloom.codec import Json
from airloom.runtime.references import MARK, RETURN, attempt_of, fill, is_reference, part, record_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.store.datastore import Datastore

# Which attempts each task of this process has read; None stands for what runs outside of a task.
_read: defaultdict[tuple[str, str, str, int] | None, dict[str, None]] = defaultdict(dict)
# What is known of tasks of this process: whether others come after them.
_is_leaf: dict[tuple[str, str, str, int], bool] = {}
_as_they_are = 0


def items(whole: dict[str, Json], value: object) -> Json:
    """References to the items of a saved list, tuple or dict: Airflow maps tasks over as many."""
    short = {MARK: 1, "pathspec": whole["pathspec"], "attempt": whole["attempt"]}
    if isinstance(value, dict):
        return {str(name): {**short, "item": name} for name in value}
    return [{**short, "item": number} for number in range(len(value))]  # type: ignore[arg-type]


def returned(
    operator: Any,
    context: Context,
    saved: dict[str, dict[str, Json]],
    value: Callable[[dict[str, Json]], Any],
) -> Any:
    """Give what a task returns to Airflow: the references to what it has saved.

    Parameters
    ----------
    value
        Gives the value of a reference: of one that other tasks are mapped over.
    """
    if operator.multiple_outputs:
        return saved
    if RETURN not in saved:
        return None
    # Airflow maps over as many items as what is pushed has.
    if not context["ti"].is_mapped and next(iter(operator.iter_mapped_dependants()), None) is not None:
        whole = value(saved[RETURN])
        if isinstance(whole, (list, tuple, dict)):
            return items(saved[RETURN], whole)
    return saved[RETURN]


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
    return fill(value, load, _leaf)


def _leaf(value: Any) -> Any:
    # What Airflow gives for a mapped task: importing its class here would cost each DAG file.
    return LazyValues(value) if type(value).__name__ == "LazyXComSequence" else value


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
    return part(found, {} if whole is None else whole, lambda pathspec: _value(found, pathspec))


def _value(found: dict[str, Any], pathspec: str) -> Any:
    from airloom.errors import ArtifactError

    try:
        return datastore().load_artifact(record_of(datastore(), found), pathspec).value
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
    _read[_reader()][attempt_of(found)] = None


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
