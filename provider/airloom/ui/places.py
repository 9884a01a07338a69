"""Where a task of Airflow has left what it made: the address of the page that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from airloom.names import Pathspec
from airloom.plan import Plan, StepPlan
from airloom.store.datastore import Datastore, TaskKey
from airloom.ui.addresses import Addresses


def place(
    at: Addresses,
    datastore: Datastore,
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: int,
    given: Mapping[str, Any],
) -> str:
    """Give the address of a task's page; of its step's page where it stands for several, or nobody knows.

    Parameters
    ----------
    map_index
        -1 where the task is not mapped.
    given
        Fields of its operator: ``flow``, ``plan``, ``step``, ``index``, ``flow_group``. Without a
        flow it is a task of a hand-written DAG, which is a flow of its own.

    Raises
    ------
    NotFound
        When the store has no such plan.
    """
    flow, digest = given.get("flow"), given.get("plan")
    if not isinstance(flow, str) or not isinstance(digest, str):
        return at.task(TaskKey(dag_id, run_id, task_id, str(max(map_index, 0))))
    plan = datastore.plan(flow, digest)
    run = _run(datastore, plan, dag_id, run_id, given.get("flow_group"))
    # In a task group the task's id has the group's in front; a step's own name has no dot.
    step = plan.step(str(given.get("step") or task_id.rpartition(".")[2]))
    index = given.get("index")
    known = bool(index) or not step.foreaches
    if not known or _is_gang(plan, step):
        return at.of(Pathspec(flow, run, step.name))
    text = str(index or "0")
    if "," in text or ".." in text:
        return f"{at.of(Pathspec(flow, run, step.name))}?{urlencode({'indices': text})}"
    return at.task(TaskKey(flow, run, step.name, text))


def _run(datastore: Datastore, plan: Plan, dag_id: str, run_id: str, group: object) -> str:
    if not group:
        return plan.run_in_airflow(run_id)
    from airloom.operators.runs import run_of  # only here: it imports Airflow

    context: Any = {"dag_run": SimpleNamespace(dag_id=dag_id, run_id=run_id)}
    return run_of(datastore, plan, context, str(group))


def _is_gang(plan: Plan, step: StepPlan) -> bool:
    return bool(step.foreaches) and plan.step(step.foreaches[-1]).transition.kind == "parallel"
