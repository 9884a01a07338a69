"""An artifact of another task as an argument: the value, loaded where it is used. DAG files import this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.definitions.xcom_arg import PlainXComArg

from airloom.operators.references import resolve, unloaded


class ArtifactsXComArg(PlainXComArg):
    """What a task has left as an artifact, in the arguments of other tasks.

    An operator whose class says ``takes_references`` gets the reference, and loads it by itself.
    """

    def __getitem__(self, item: str) -> ArtifactsXComArg:
        super().__getitem__(item)  # refuses what is no name
        return ArtifactsXComArg(operator=self.operator, key=item)

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """Give the value to a task that runs; a task of Airloom's loads it by itself.

        Raises
        ------
        StoreError, ArtifactError
            When it cannot be loaded.
        """
        with unloaded():
            found = super().resolve(context)
        task = context["task"]
        reader = getattr(task, "operator_class", type(task))
        return found if getattr(reader, "takes_references", False) else resolve(found)
