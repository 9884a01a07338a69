"""Airloom: write a flow as a Python class; run it as an Airflow DAG whose every result is a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airloom.flow.cards import card
from airloom.flow.current import current
from airloom.flow.decorators import catch, environment, parallel, resources, retry, schedule, step, timeout
from airloom.flow.parameters import IncludeFile, JSONType, Parameter
from airloom.flow.spec import FlowSpec
from airloom.version import __version__

if TYPE_CHECKING:
    from airloom.client import DataArtifact, Flow, Run, Step, Task

__all__ = [
    "DataArtifact",
    "Flow",
    "FlowSpec",
    "IncludeFile",
    "JSONType",
    "Parameter",
    "Run",
    "Step",
    "Task",
    "__version__",
    "card",
    "catch",
    "current",
    "environment",
    "parallel",
    "resources",
    "retry",
    "schedule",
    "step",
    "timeout",
]

_CLIENT = ("DataArtifact", "Flow", "Run", "Step", "Task")


def __getattr__(name: str) -> Any:
    # The client is only loaded where it is used: a task needs none of it.
    if name in _CLIENT:
        from airloom import client

        return getattr(client, name)
    raise AttributeError(f"module 'airloom' has no attribute {name!r}")
