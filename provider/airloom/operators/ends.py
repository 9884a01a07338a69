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

    from airloom.plan import Plan
    from airloom.store.datastore import Datastore, TaskKey


def announce(context: Context, datastore: Datastore, plan: Plan, run: str) -> None:
    """Tell the DAGs that wait for this flow which run has succeeded, whose it is and by which code."""
    for asset in context["task"].outlets:
        if getattr(asset, "uri", None) != FINISHED + plan.dag_id:
            continue
        record = datastore.run(plan.flow, run)
        context["outlet_events"][asset].extra = {
            "flow": plan.flow,
            "run": f"{plan.flow}/{run}",
            "namespace": namespace_of(record),
            "project": record.project,
            "branch": record.branch,
            "plan": record.plan,
            "code": plan.code,
        }


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
