"""What the end of a flow tells other tasks and DAGs: its asset's event, and references to its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airloom.errors import NotFound
from airloom.flow.flow_decorators import FINISHED
from airloom.names import did_you_mean
from airloom.runtime.references import reference
from airloom.store.index import namespace_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.plan import Plan
    from airloom.store.datastore import Datastore, TaskKey


def announce(context: Context, datastore: Datastore, plan: Plan, keys: Sequence[TaskKey]) -> None:
    """Tell the DAGs that wait for a task's assets whose run has made them new, and by which code.

    The event of the flow's own asset tells which run has succeeded; that of any other one also which task
    has written it, with its attempt where the Airflow task is one task of the flow.
    """
    outlets = [asset for asset in context["task"].outlets if getattr(asset, "uri", None)]
    if not outlets:
        return
    key = keys[0]
    record = datastore.run(plan.flow, key.run)
    of_run = {
        "flow": plan.flow,
        "run": f"{plan.flow}/{key.run}",
        "namespace": namespace_of(record),
        "project": record.project,
        "branch": record.branch,
        "plan": record.plan,
        "code": plan.code,
    }
    for asset in outlets:
        if asset.uri == FINISHED + plan.dag_id:
            of_task: dict[str, Json] = {}
        elif len(keys) == 1:
            done = datastore.done_attempt(key)
            of_task = {"task": key.pathspec, "attempt": None if done is None else done[0]}
        else:
            of_task = {"task": f"{plan.flow}/{key.run}/{key.step}"}
        context["outlet_events"][asset].extra = {**of_run, **of_task}


def hand_on(context: Context, datastore: Datastore, key: TaskKey, outputs: Sequence[str]) -> None:
    """Put references to artifacts into XCom, each under the artifact's name; no value is loaded.

    Raises
    ------
    NotFound
        When the task has left no such artifact.
    """
    if not outputs:
        return
    found = datastore.done_attempt(key)
    attempt, artifacts = (0, {}) if found is None else (found[0], found[1].artifacts)
    known = sorted(name for name in artifacts if not name.startswith("_"))
    for name in outputs:
        if name not in known:
            raise NotFound(
                f"the flow {key.flow} leaves no artifact {name!r}",
                where=key.pathspec,
                mend=did_you_mean(name, known),
            )
    for name in outputs:
        context["ti"].xcom_push(key=name, value=reference(key, attempt, name, artifacts[name]))
