"""The plan of a DAG that people wrote by hand: its tasks as steps, for whoever reads its runs."""

from __future__ import annotations

import inspect
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airloom.compiler.package import pack_file
from airloom.plan import Plan, StepPlan, Transition, TransitionKind
from airloom.version import __version__

if TYPE_CHECKING:
    from airloom.store.datastore import Datastore


def plan_of(dag_id: str, dag: Any | None, code: str = "") -> Plan:
    """Make the plan of a DAG; without the DAG at hand one that names no steps.

    A client completes it with the tasks that have begun.

    Parameters
    ----------
    dag
        Airflow's DAG, as the DAG file made it.
    code
        Digest of the code package with the DAG file.
    """
    steps = [] if dag is None else [step_of(dag.task_dict[name]) for name in _in_order(dag.task_dict)]
    file = Path(getattr(dag, "fileloc", None) or "dag.py")
    return Plan(
        flow=dag_id,
        module=file.stem,
        steps=tuple(steps),
        start=steps[0].name if steps else "",
        end=steps[-1].name if steps else "",
        code=code,
        doc=str(getattr(dag, "doc_md", None) or ""),
        airloom_version=__version__,
    )


def _in_order(tasks: dict[str, Any]) -> list[str]:
    before = {name: sorted(tasks[name].upstream_task_ids) for name in sorted(tasks)}
    return list(TopologicalSorter(before).static_order())


def step_of(task: Any) -> StepPlan:
    """Make the step that a task of a DAG is."""
    after = tuple(sorted(task.downstream_task_ids))
    kind: TransitionKind = "end" if not after else "linear" if len(after) == 1 else "split"
    return StepPlan(
        name=task.task_id,
        transition=Transition(kind, after),
        parents=tuple(sorted(task.upstream_task_ids)),
        # A mapped task has one index, whatever it was mapped over.
        foreaches=(task.task_id,) if _is_mapped(task) else (),
        doc=str(task.doc_md or ""),
    )


def _is_mapped(task: Any) -> bool:
    return bool(task.is_mapped) or task.get_closest_mapped_task_group() is not None


def file_of(function: Any) -> str | None:
    """Name the file that a function's code stands in, behind whatever is wrapped around it."""
    return getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", None)


def save_code(datastore: Datastore, file: str | None) -> str:
    """Save the file that a task's code stands in; gives the digest, empty where there is no such file."""
    if not file or not Path(file).is_file():
        return ""
    return datastore.save_code(pack_file(Path(file)).archive)
