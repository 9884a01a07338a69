"""Airloom: write a flow as a Python class; run it as an Airflow DAG whose every result is a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airloom.flow.cards import card
from airloom.flow.configs import Config, ConfigValue, config_expr
from airloom.flow.current import current
from airloom.flow.decorators import assets, catch, environment, parallel, retry, secrets, step, timeout
from airloom.flow.files import IncludeFile
from airloom.flow.flow_decorators import exit_hook, project, schedule, trigger, trigger_on_finish
from airloom.flow.parameters import JSONType, Parameter
from airloom.flow.spec import FlowSpec
from airloom.flow.targets import batch, ecs, kubernetes, resources
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
    from airloom.flow.mutators import FlowMutator, MutableFlow, MutableStep, StepMutator
    from airloom.flow.user_decorators import USER_SKIP_STEP, UserStepDecorator, user_step_decorator
    from airloom.object_store import S3, ObjectStore
    from airloom.runner import DeployedFlow, Deployer, NBRunner, Runner
    from airloom.store.serializers import Serializer, register_serializer

__all__ = [
    "S3",
    "USER_SKIP_STEP",
    "Config",
    "ConfigValue",
    "DataArtifact",
    "DeployedFlow",
    "Deployer",
    "Flow",
    "FlowMutator",
    "FlowSpec",
    "IncludeFile",
    "JSONType",
    "Metaflow",
    "MutableFlow",
    "MutableStep",
    "NBRunner",
    "ObjectStore",
    "Parameter",
    "Run",
    "Runner",
    "Serializer",
    "Step",
    "StepMutator",
    "Task",
    "UserStepDecorator",
    "__version__",
    "assets",
    "batch",
    "card",
    "catch",
    "config_expr",
    "current",
    "default_namespace",
    "ecs",
    "environment",
    "exit_hook",
    "get_namespace",
    "kubernetes",
    "namespace",
    "parallel",
    "project",
    "register_serializer",
    "resources",
    "retry",
    "schedule",
    "secrets",
    "step",
    "timeout",
    "trigger",
    "trigger_on_finish",
    "user_step_decorator",
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
_MUTATORS = ("FlowMutator", "MutableFlow", "MutableStep", "StepMutator")
_OBJECTS = ("S3", "ObjectStore")
_RUNNERS = ("DeployedFlow", "Deployer", "NBRunner", "Runner")
_SERIALIZERS = ("Serializer", "register_serializer")
_OF_USERS = ("USER_SKIP_STEP", "UserStepDecorator", "user_step_decorator")


def __getattr__(name: str) -> Any:
    # The client is only loaded where it is used: a task needs none of it; so are the others.
    if name in _CLIENT:
        from airloom import client

        return getattr(client, name)
    if name in _MUTATORS:
        from airloom.flow import mutators

        return getattr(mutators, name)
    if name in _OBJECTS:
        from airloom import object_store

        return getattr(object_store, name)
    if name in _RUNNERS:
        from airloom import runner

        return getattr(runner, name)
    if name in _SERIALIZERS:
        from airloom.store import serializers

        return getattr(serializers, name)
    if name in _OF_USERS:
        from airloom.flow import user_decorators

        return getattr(user_decorators, name)
    raise AttributeError(f"module 'airloom' has no attribute {name!r}")
