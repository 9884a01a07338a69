"""How an Airflow run becomes a run of a flow: its id, its parameters, the events that started it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airloom import settings as settings_of
from airloom.errors import NotFound, SettingsError
from airloom.flow.flow_decorators import FINISHED
from airloom.flow.parameters import from_text
from airloom.operators.references import resolve
from airloom.runtime.start import begin, run_parameters
from airloom.runtime.task import now
from airloom.store.records import RunRecord

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.plan import ParameterPlan, Plan
    from airloom.settings import Settings
    from airloom.store.datastore import Datastore


def airflow_settings(connection: str | None = None, root: str | None = None) -> Settings:
    """Settings from AIRLOOM_* variables and Airflow's section ``[airloom]``.

    Parameters
    ----------
    connection
        A connection that counts instead of the setting ``datastore_connection``; one of the type
        ``airloom`` instead of ``datastore_root``, too.
    root
        A datastore that counts instead of the setting ``datastore_root``.

    Raises
    ------
    SettingsError
        When a value is not of its form, or no datastore is named that all workers can find.
    """
    given = {
        item.name: conf.get("airloom", item.name, fallback=None) for item in fields(settings_of.Settings)
    }
    found = settings_of.load(
        {"datastore_connection": connection, "datastore_root": root},
        {name: value for name, value in given.items() if value},
    )
    if found.datastore_connection:
        from airloom.operators.connection import with_connection

        found = with_connection(found, alone=connection is not None)
    root = found.datastore_root
    if "://" not in root and not Path(root).is_absolute():
        raise SettingsError(
            f"the datastore {root!r} is relative: each worker would look for it somewhere else",
            where="airflow.cfg [airloom] datastore_root",
            mend="set it, or AIRLOOM_DATASTORE_ROOT, to the absolute folder or URL flows are deployed to.",
        )
    if found.datastore_connection:
        from airloom.operators.connection import enter_datastore

        enter_datastore(found)
    return found


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a flow stands as a task group of another DAG.

    ``parameters`` are those that the DAG gives to its first step, None for all other steps.
    """

    group: str
    parameters: Mapping[str, Json] | None = None


def run_of(datastore: Datastore, plan: Plan, context: Context, group: str | None) -> str:
    """Id of the run that an Airflow run is, or that one of its task groups is.

    A task group's is ``<DAG>:<group>:<Airflow's run id>``: two groups of one flow are two runs. A group
    that is cleared, and gets other parameters than before, is a new run, with ``~2`` and so on at
    its end; the newest counts.
    """
    if not group:
        return plan.run_in_airflow(context["dag_run"].run_id)
    return _of_group(datastore, plan, context, group)[0]


def _of_group(datastore: Datastore, plan: Plan, context: Context, group: str) -> tuple[str, str]:
    """Id of a task group's run, and the id that a new one would have."""
    dag_run = context["dag_run"]
    first = plan.run_in_airflow(f"{dag_run.dag_id}:{group}:{dag_run.run_id}")
    found, number = first, 2
    while datastore.has_run(plan.flow, f"{first}~{number}"):
        found, number = f"{first}~{number}", number + 1
    return found, f"{first}~{number}"


def begin_run(
    datastore: Datastore, plan: Plan, settings: Settings, context: Context, placed: Placed | None = None
) -> RunRecord:
    """Write the run's record if this is its first task; check what the run was triggered with.

    Raises
    ------
    ParameterError
        When the run was given a parameter that the flow does not have, or a wrong value.
    AlreadyExists
        When the store has an older run of this id with other parameters.
    NotFound
        When the flow is a task group whose first step has not run.
    """
    dag_run = context["dag_run"]
    if placed is not None:
        return _begin_group(datastore, plan, settings, context, placed)
    run = run_of(datastore, plan, context, None)
    started_at = _moment(dag_run.start_date)
    try:
        found = datastore.run(plan.flow, run)
    except NotFound:
        pass
    else:
        if found.origin.get("started_at") == started_at:
            if context["ti"].try_number > 1:
                # The try that created it may have been killed before others could find it.
                datastore.list_run(found)
            return found
    events = _events(context)
    given = _given(plan, context, events)
    parameters = run_parameters(plan, given, datastore, where=f"the DAG run {dag_run.run_id}")
    return begin(datastore, _record(plan, run, settings, parameters, _origin(context, events), context))


def _begin_group(
    datastore: Datastore, plan: Plan, settings: Settings, context: Context, placed: Placed
) -> RunRecord:
    run, following = _of_group(datastore, plan, context, placed.group)
    if placed.parameters is None:
        try:
            return datastore.run(plan.flow, run)
        except NotFound:
            raise NotFound(
                f"the flow {plan.flow} has not begun in the task group {placed.group!r}",
                where=f"{plan.flow}/{run}",
                mend=f"run its first step, {plan.start!r}; clear it together with the steps after it.",
            ) from None
    where = f"the task group {placed.group!r} of {context['dag_run'].dag_id}"
    known = {parameter.name: parameter for parameter in plan.parameters}
    values = {name: plain(resolve(value)) for name, value in placed.parameters.items()}
    given = {name: typed(known.get(name), value, where) for name, value in values.items()}
    parameters = run_parameters(plan, given, datastore, where=where)
    if datastore.has_run(plan.flow, run) and datastore.run(plan.flow, run).parameters != parameters:
        run = following
    origin = {**_origin(context, _events(context)), "task_group": placed.group}
    found = begin(datastore, _record(plan, run, settings, parameters, origin, context))
    if context["ti"].try_number > 1:
        datastore.list_run(found)
    return found


def plain(value: Any) -> Any:
    """Make a list of what a mapped task has returned, which is read one by one."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else value


def _origin(context: Context, events: list[Json]) -> dict[str, Json]:
    dag_run = context["dag_run"]
    return {
        "scheduler": "airflow",
        "dag_id": dag_run.dag_id,
        "dag_run_id": dag_run.run_id,
        "run_type": str(getattr(dag_run.run_type, "value", dag_run.run_type)),
        "logical_date": _moment(dag_run.logical_date),
        "started_at": _moment(dag_run.start_date),
        "events": events,
    }


def _record(
    plan: Plan,
    run: str,
    settings: Settings,
    parameters: dict[str, Json],
    origin: dict[str, Json],
    context: Context,
) -> RunRecord:
    user = getattr(context["dag_run"], "triggering_user_name", None) or settings.user_name
    return RunRecord(plan.flow, run, plan.digest, now(), str(user), parameters, origin)


def _given(plan: Plan, context: Context, events: list[Json]) -> dict[str, Json]:
    """Parameters of the run: what a person gave, else what an event brings, else Airflow's defaults."""
    by_person: Mapping[str, Json] = context["dag_run"].conf or {}
    names = [parameter.name for parameter in plan.parameters]
    defaults = {name: context["params"].get(name) for name in names}
    # Names that the flow does not have stay in: Airflow lets them pass, the check refuses them.
    return {**defaults, **_brought(plan, events), **by_person}


def _brought(plan: Plan, events: list[Json]) -> dict[str, Json]:
    known = {parameter.name: parameter for parameter in plan.parameters}
    found: dict[str, Json] = {}
    for trigger in plan.triggers:
        wanted = FINISHED + trigger.name if trigger.finished else trigger.name
        for event in events:  # oldest first: the newest counts
            if not isinstance(event, dict) or event["name"] != wanted:
                continue
            extra = event["extra"]
            for name, key in trigger.parameters.items():
                if isinstance(extra, dict) and key in extra:
                    found[name] = typed(known.get(name), extra[key], f"the event {wanted}")
    return found


def typed(parameter: ParameterPlan | None, value: Json, where: str) -> Json:
    """Read a value that came as text: templates give texts, and events written by hand carry numbers so."""
    if parameter is not None and isinstance(value, str) and parameter.type not in ("str", "file"):
        return from_text(parameter, value, where)
    return value


def _events(context: Context) -> list[Json]:
    """Events that started the run, oldest first, as plain values."""
    # Not as a dict of its own: Airflow 3.1 cannot hash assets.
    raised = context.get("triggering_asset_events") or {}
    found: list[tuple[str, Json]] = [
        (str(event.timestamp), _event(asset, event))
        for asset, events in raised.items()
        if hasattr(asset, "uri")  # an alias repeats the events of its assets
        for event in events
    ]
    return [event for _, event in sorted(found, key=lambda pair: pair[0])]


def _event(asset: Any, event: Any) -> Json:
    return {
        "name": str(asset.name),
        "uri": str(asset.uri),
        "timestamp": _moment(event.timestamp),
        "extra": dict(event.extra or {}),
        "source_dag_id": event.source_dag_id,
        "source_run_id": event.source_run_id,
    }


def _moment(value: Any) -> str | None:
    return None if value is None else value.isoformat()
