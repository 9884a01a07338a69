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
        When nobody says which queue or image.
    """
    said = replace(step.batch or BatchPlan(), **_given(given))
    said = _from_settings(said, settings, "batch")
    said = replace(said, platform=said.platform or "EC2")
    _needed(said, step, "batch", ("queue", "image"))
    return replace(step, target="batch", batch=said, ecs=None, resources=_sized(step, size))


def ecs_step(
    step: StepPlan, given: Mapping[str, Any], size: Mapping[str, Any], settings: Settings
) -> StepPlan:
    """Fill in what @ecs leaves open.

    Raises
    ------
    SettingsError
        When nobody says which image.
    """
    said = replace(step.ecs or EcsPlan(), **_given(given))
    said = _from_settings(said, settings, "ecs")
    if said.platform is None:
        said = replace(said, launch_type="FARGATE")
    said = replace(said, cluster=said.cluster or "default")
    _needed(said, step, "ecs", ("image",))
    return replace(step, target="ecs", ecs=said, batch=None, resources=_sized(step, size))


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


def _needed(said: Any, step: StepPlan, prefix: str, names: tuple[str, ...]) -> None:
    for name in names:
        if not getattr(said, name):
            raise SettingsError(
                f"nobody says which {name} the step {step.name!r} runs with",
                where=f"step {step.name!r}, @{prefix}",
                mend=f"write @{prefix}({name}=...), or set {prefix}_{name} ({variable(f'{prefix}_{name}')}).",
            )
