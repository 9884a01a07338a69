"""How a run begins: its parameters checked, its record written once."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import replace

from airloom.codec import Json
from airloom.errors import AlreadyExists, NotFound, ParameterError
from airloom.flow.parameters import checked
from airloom.names import did_you_mean
from airloom.plan import ParameterPlan, Plan
from airloom.runtime.task import now
from airloom.store.datastore import Datastore
from airloom.store.records import RunRecord
from airloom.version import __version__


def run_parameters(
    plan: Plan, given: Mapping[str, Json], datastore: Datastore, *, where: str
) -> dict[str, Json]:
    """Complete and check the parameters of a run that is to begin.

    A file is given as its text, or as ``{"digest", "name"}`` of bytes that are in the store.

    Raises
    ------
    ParameterError
        When one is not known, missing, or not of its type.
    """
    known = {parameter.name: parameter for parameter in plan.parameters}
    for name in given:
        if name not in known:
            raise ParameterError(
                f"the flow {plan.flow} has no parameter {name!r}",
                where=where,
                mend=did_you_mean(name, list(known)),
            )
    return {name: _value(parameter, given, datastore, where) for name, parameter in known.items()}


def _value(parameter: ParameterPlan, given: Mapping[str, Json], datastore: Datastore, where: str) -> Json:
    value = given.get(parameter.name)
    if parameter.type == "file":
        value = value or None  # Airflow's form gives an empty text where nobody wrote anything
        if isinstance(value, str):
            data = value.encode(parameter.encoding or "utf-8")
            return {"digest": datastore.save_code(data), "name": "given as text"}
        if value is None and parameter.digest is not None:
            return {"digest": parameter.digest, "name": parameter.default}
    if value is None:
        value = parameter.default
    if value is None:
        if parameter.required:
            raise ParameterError(
                f"the parameter {parameter.name!r} is required and has no value",
                where=where,
                mend=f"give {parameter.name!r} a value.",
            )
        return None
    if parameter.type == "file":
        return value
    return checked(parameter.name, parameter.type, value, where, parameter.schema)


def new_run(
    plan: Plan,
    parameters: dict[str, Json],
    user: str,
    origin: dict[str, Json],
    *,
    tags: tuple[str, ...] = (),
    resumed_from: str | None = None,
) -> RunRecord:
    """Record of a local run that begins now; its id is the time in microseconds, as in Metaflow."""
    run = str(time.time_ns() // 1000)
    return RunRecord(plan.flow, run, plan.digest, now(), user, parameters, origin, resumed_from, tags)


def begin(datastore: Datastore, record: RunRecord) -> RunRecord:
    """Write a run's record unless it is there; return the one that is there.

    What the record does not say of the versions and the project is completed.

    Raises
    ------
    AlreadyExists
        When the store has a run of this name that began with other parameters.
    """
    try:
        found = datastore.run(record.flow, record.run)
    except NotFound:
        record = _completed(datastore, record)
        if datastore.create_run(record):
            return record
        found = datastore.run(record.flow, record.run)
    if found.parameters != record.parameters:
        raise AlreadyExists(
            f"the store has a run {record.run!r} of {record.flow} with other parameters",
            where=f"{record.flow}/{record.run}",
            mend="start the run under another id.",
        )
    return found


def _completed(datastore: Datastore, record: RunRecord) -> RunRecord:
    project = datastore.plan(record.flow, record.plan).project
    return replace(
        record,
        python=platform.python_version(),
        airloom=__version__,
        project="" if project is None else project.name,
        branch="" if project is None else project.branch,
    )
