"""How an Airflow run becomes a run of a flow: its id, its parameters, the events that started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airloom import settings as settings_of
from airloom.errors import NotFound, SettingsError
from airloom.flow.flow_decorators import FINISHED
from airloom.flow.parameters import from_text
from airloom.runtime.start import begin, run_parameters
from airloom.runtime.task import now
from airloom.store.records import RunRecord

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.plan import ParameterPlan, Plan
    from airloom.settings import Settings
    from airloom.store.datastore import Datastore


def airflow_settings(connection: str | None = None) -> Settings:
    """Settings from AIRLOOM_* variables and Airflow's section ``[airloom]``.

    Parameters
    ----------
    connection
        A connection that counts instead of the setting ``datastore_connection``; one of the type
        ``airloom`` instead of ``datastore_root``, too.

    Raises
    ------
    SettingsError
        When a value is not of its form, or no datastore is named that all workers can find.
    """
    given = {
        item.name: conf.get("airloom", item.name, fallback=None) for item in fields(settings_of.Settings)
    }
    found = settings_of.load(
        {"datastore_connection": connection},
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


def begin_run(datastore: Datastore, plan: Plan, settings: Settings, context: Context) -> RunRecord:
    """Write the run's record if this is its first task; check what the run was triggered with.

    Raises
    ------
    ParameterError
        When the run was triggered with a parameter that the flow does not have, or a wrong value.
    AlreadyExists
        When the store has an older run of this id with other parameters.
    """
    dag_run = context["dag_run"]
    run = plan.run_in_airflow(dag_run.run_id)
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
    run_type = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    origin: dict[str, Json] = {
        "scheduler": "airflow",
        "dag_id": dag_run.dag_id,
        "dag_run_id": dag_run.run_id,
        "run_type": run_type,
        "logical_date": _moment(dag_run.logical_date),
        "started_at": started_at,
        "events": events,
    }
    user = getattr(dag_run, "triggering_user_name", None) or settings.user_name
    record = RunRecord(plan.flow, run, plan.digest, now(), str(user), parameters, origin)
    return begin(datastore, record)


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
                    found[name] = _typed(known.get(name), extra[key], f"the event {wanted}")
    return found


def _typed(parameter: ParameterPlan | None, value: Json, where: str) -> Json:
    # Events written by hand often carry numbers as text.
    if parameter is not None and isinstance(value, str) and parameter.type not in ("str", "file"):
        return from_text(parameter, value, where)
    return value


def _events(context: Context) -> list[Json]:
    """Events that started the run, oldest first, as plain values."""
    raised = dict(context.get("triggering_asset_events") or {})
    found: list[tuple[str, Json]] = [
        (str(event.timestamp), _event(asset, event)) for asset, events in raised.items() for event in events
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
