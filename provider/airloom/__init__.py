"""Airloom: write a flow as a Python class; run it as an Airflow DAG whose every result is a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airloom.flow.cards import card
from airloom.flow.current import current
from airloom.flow.decorators import catch, environment, parallel, resources, retry, secrets, step, timeout
from airloom.flow.flow_decorators import exit_hook, project, schedule, trigger, trigger_on_finish
from airloom.flow.parameters import IncludeFile, JSONType, Parameter
from airloom.flow.spec import FlowSpec
from airloom.version import __version__

if TYPE_CHECKING:
    from airloom.client import (
        DataArtifact,
        Flow,
        Metaflow,
        Run,
        Step,
        Task,
        default_namespace,
        get_namespace,
        namespace,
    )

__all__ = [
    "DataArtifact",
    "Flow",
    "FlowSpec",
    "IncludeFile",
    "JSONType",
    "Metaflow",
    "Parameter",
    "Run",
    "Step",
    "Task",
    "__version__",
    "card",
    "catch",
    "current",
    "default_namespace",
    "environment",
    "exit_hook",
    "get_namespace",
    "namespace",
    "parallel",
    "project",
    "resources",
    "retry",
    "schedule",
    "secrets",
    "step",
    "timeout",
    "trigger",
    "trigger_on_finish",
]

_CLIENT = (
    "DataArtifact",
    "Flow",
    "Metaflow",
    "Run",
    "Step",
    "Task",
    "default_namespace",
    "get_namespace",
    "namespace",
)


def __getattr__(name: str) -> Any:
    # The client is only loaded where it is used: a task needs none of it.
    if name in _CLIENT:
        from airloom import client

        return getattr(client, name)
    raise AttributeError(f"module 'airloom' has no attribute {name!r}")
