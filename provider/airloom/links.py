"""AirloomLink: from a task in Airflow to the page of what it left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode, urlsplit

# Airflow 3.1 has the configuration elsewhere; this module knows where.
from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperatorLink

from airloom.ui.addresses import PREFIX, path

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

_OPERATORS = {
    "airloom.operators.step": ("StepOperator",),
    "airloom.operators.batch": ("BatchStepOperator",),
    "airloom.operators.ecs": ("EcsStepOperator",),
    "airloom.operators.artifacts": ("SaveArtifactOperator",),
    "airloom.decorators.artifacts": ("ArtifactsOperator",),
    "airloom.decorators.jobs": ("ArtifactsBatchOperator", "ArtifactsEcsOperator"),
}


def _named(module: str, name: str) -> type:
    return type(name, (), {"__module__": module})


class AirloomLink(BaseOperatorLink):
    """The page of a task's artifacts, cards and log.

    The plugin hands it to Airflow, not the operators. So the API server makes the address when
    somebody looks at the task: no task pushes an XCom for it, and no DAG's serialized form changes.

    Notes
    -----
    Airflow finds the operators of a plugin's link by the names of their classes and modules alone
    (airflow/serialization/serialized_objects.py of 3.1 to 3.3): so they are named here, and the API
    server loads neither the operators nor the clouds' clients.
    """

    operators: ClassVar[list[type[BaseOperator]]] = [
        _named(module, name) for module, names in _OPERATORS.items() for name in names
    ]

    @property
    def name(self) -> str:
        """What the button says."""
        return "Airloom: artifacts, cards, log"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Address of the page that finds out what the task left; the fields of the operator help it."""
        prefix = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
        where = path("dags", ti_key.dag_id, "runs", ti_key.run_id, "tasks", ti_key.task_id, ti_key.map_index)
        known = urlencode({name: text for name in _FIELDS if (text := _field(operator, name))})
        return f"{prefix}{PREFIX}{where}{f'?{known}' if known else ''}"


_FIELDS = ("flow", "plan", "step", "flow_group")


def _field(operator: Any, name: str) -> str | None:
    # A mapped operator has what it was given; what is the same for all tasks stands with the DAG.
    mapped: Mapping[str, Any] | None = getattr(operator, "partial_kwargs", None)
    if mapped is None:
        found = getattr(operator, name, None)
    else:
        found = {**(getattr(getattr(operator, "dag", None), "default_args", None) or {}), **mapped}.get(name)
    return found if isinstance(found, str) else None
