"""Where a step's jobs go: what the DAG file says, else the plan, else the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airloom.errors import SettingsError
from airloom.plan import BatchPlan, EcsPlan, StepPlan
from airloom.settings import Settings, variable


def batch_step(
    step: StepPlan, given: Mapping[str, Any], size: Mapping[str, Any], settings: Settings
) -> StepPlan:
    """Fill in what @batch leaves open.

    Raises
    ------
    SettingsError
        When nobody says which queue or image, or on Fargate which execution role.
    """
    said = _batch(replace(step.batch or BatchPlan(), **_given(given)), settings)
    _refuse(_missing_of_batch(said), step, "batch")
    return replace(step, target="batch", batch=said, ecs=None, resources=_sized(step, size))


def ecs_step(
    step: StepPlan, given: Mapping[str, Any], size: Mapping[str, Any], settings: Settings
) -> StepPlan:
    """Fill in what @ecs leaves open.

    Raises
    ------
    SettingsError
        When nobody says which image, or on Fargate which execution role.
    """
    said = _ecs(replace(step.ecs or EcsPlan(), **_given(given)), settings)
    _refuse(_missing_of_ecs(said), step, "ecs")
    return replace(step, target="ecs", ecs=said, batch=None, resources=_sized(step, size))


def unsaid(step: StepPlan, settings: Settings) -> list[str]:
    """Name the settings without which AWS cannot run a step, and which neither flow nor settings say."""
    if step.batch is not None:
        return [f"batch_{name}" for name in _missing_of_batch(_batch(step.batch, settings))]
    if step.ecs is not None:
        return [f"ecs_{name}" for name in _missing_of_ecs(_ecs(step.ecs, settings))]
    return []


def _batch(said: BatchPlan, settings: Settings) -> BatchPlan:
    found: BatchPlan = _from_settings(said, settings, "batch")
    return replace(found, platform=found.platform or "EC2")


def _ecs(said: EcsPlan, settings: Settings) -> EcsPlan:
    found: EcsPlan = _from_settings(said, settings, "ecs")
    if found.platform is None:
        found = replace(found, launch_type="FARGATE")
    return replace(found, cluster=found.cluster or "default")


def _missing_of_batch(said: BatchPlan) -> list[str]:
    # API reference of AWS Batch, ContainerProperties: on Fargate a job must have an execution role.
    role = ("execution_role",) if said.platform == "FARGATE" else ()
    return [name for name in ("queue", "image", *role) if not getattr(said, name)]


def _missing_of_ecs(said: EcsPlan) -> list[str]:
    # Amazon ECS developer guide, "task execution IAM role": on Fargate the awslogs driver needs it.
    logs = said.platform == "FARGATE" and (said.log_driver or "awslogs") == "awslogs"
    return [name for name in ("image", *(("execution_role",) if logs else ())) if not getattr(said, name)]


def _given(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value not in (None, "", ())}


def _sized(step: StepPlan, size: Mapping[str, Any]) -> Any:
    return replace(step.resources, **_given(size))


def _from_settings(said: Any, settings: Settings, prefix: str) -> Any:
    found: dict[str, Any] = {}
    for name in _NAMES[prefix]:
        if name == "launch_type" and said.platform is not None:  # as a capacity provider says it
            continue
        text = getattr(settings, f"{prefix}_{name}", "")
        if getattr(said, name) in (None, ()) and text:
            found[name] = _typed(name, text)
    return replace(said, **found)


_NAMES = {
    "batch": ("queue", "spot_queue", "image", "platform", "job_role", "execution_role"),
    "ecs": (
        "cluster",
        "image",
        "launch_type",
        "task_role",
        "execution_role",
        "subnets",
        "security_groups",
        "assign_public_ip",
    ),
}


def _typed(name: str, text: str) -> Any:
    if name in ("subnets", "security_groups"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text == "true" if name == "assign_public_ip" else text


def _refuse(missing: list[str], step: StepPlan, prefix: str) -> None:
    for name in missing:
        setting = f"{prefix}_{name}"
        raise SettingsError(
            f"nobody says which {name.replace('_', ' ')} the step {step.name!r} runs with",
            where=f"step {step.name!r}, @{prefix}",
            mend=f"write @{prefix}({name}=...), or set {setting} ({variable(setting)}) in Airflow.",
        )
