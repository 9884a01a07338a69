"""What ``current`` says while a step runs: about the run, the task, its gang and its deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airloom.flow.current import Late, Parallel, Trigger
from airloom.names import task_id
from airloom.store.datastore import TaskKey
from airloom.store.tags import namespace_of

if TYPE_CHECKING:
    from airloom.runtime.task import Task


def facts_of(task: Task, folder: Late) -> dict[str, Any]:
    """Give what ``current`` says in a task, by name."""
    record = task.run_record
    return {
        "flow_name": task.plan.flow,
        "run_id": record.run,
        "step_name": task.step.name,
        "task_id": task.request.task,
        "retry_count": task.request.retry_count,
        "origin_run_id": record.resumed_from,
        "pathspec": task.key.pathspec,
        "namespace": namespace_of(record),
        "username": record.user,
        "tags": frozenset(record.tags),
        "tempdir": folder,
        "parameter_names": [*task.plan.configs, *(one.name for one in task.plan.parameters)],
        "graph": task.plan,
        **_gang(task),
        **({} if task.cards is None else {"card": task.cards.current}),
        **_deployment(task),
    }


def _deployment(task: Task) -> dict[str, Any]:
    """Facts about the project, and about the events that started the run."""
    facts: dict[str, Any] = {}
    project = task.plan.project
    if project is not None:
        facts |= {
            "project_name": project.name,
            "branch_name": project.branch,
            "is_production": project.production,
            "is_user_branch": project.branch.startswith("user."),
            "project_flow_name": task.plan.dag_id,
        }
    events = task.run_record.origin.get("events")
    if isinstance(events, list) and events:
        facts["trigger"] = Trigger.of(events)
    return facts


def _gang(task: Task) -> dict[str, Any]:
    around = task.step.foreaches
    if not around or task.plan.step(around[-1]).transition.kind != "parallel":
        return {}
    split = task.lineage.committed(around[-1], task.indices[:-1])
    control = TaskKey(task.key.flow, task.key.run, task.key.step, task_id((*task.indices[:-1], 0)))
    # All nodes are processes of one machine: the local one, or the Airflow worker.
    nodes = split.done.outcome.cardinality or 0
    return {"parallel": Parallel("127.0.0.1", nodes, task.indices[-1], control.task)}
