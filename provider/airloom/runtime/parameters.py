"""The parameters of a run as its steps see them: values from its record, in the types of the flow's class."""

from __future__ import annotations

from typing import Any

from airloom.flow.files import IncludeFile
from airloom.flow.parameters import parameters_of
from airloom.flow.spec import FlowSpec
from airloom.plan import Plan
from airloom.store.datastore import Datastore
from airloom.store.records import RunRecord


def parameter_values(
    flow: type[FlowSpec], plan: Plan, record: RunRecord, datastore: Datastore
) -> dict[str, Any]:
    """Values of a run's parameters by attribute, as the steps see them."""
    declared = parameters_of(flow)
    values: dict[str, Any] = {}
    for parameter in plan.parameters:
        value = record.parameters.get(parameter.name, parameter.default)
        found = declared.get(parameter.attribute)
        if isinstance(found, IncludeFile) and isinstance(value, dict):
            values[parameter.attribute] = found.content(datastore.code(str(value["digest"])))
        else:
            values[parameter.attribute] = value if found is None else found.load(value, record.run)
    return values
