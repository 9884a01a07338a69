"""Frozen values that decorators leave on steps and flows, for later stages to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airloom.plan import CardPlan, Catch, EventTrigger, Resources, Retry, Schedule, Target

STEP_MARK = "__airloom_step__"
FLOW_MARK = "__airloom_flow__"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """One source of @secrets. ``options`` may hold values themselves: it never leaves the process."""

    type: str
    id: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What records and messages call it."""
        return f"{self.type}:{self.id}" if self.id else self.type


@dataclass(frozen=True, slots=True)
class StepDeclaration:
    """What the decorators of one step say. ``decorators`` names them, innermost first."""

    start: bool = False
    end: bool = False
    target: Target = "worker"
    resources: Resources = field(default_factory=Resources)
    retry: Retry = field(default_factory=Retry)
    catch: Catch | None = None
    cards: tuple[CardPlan, ...] = ()
    timeout_s: float | None = None
    variables: dict[str, str] = field(default_factory=dict)
    parallel: bool = False
    secrets: tuple[SecretSource, ...] = ()
    secrets_override: bool = False
    decorators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowDeclaration:
    """What the decorators of one flow class say.

    ``project`` is (name, branch, production); ``exit_hooks`` are function names, (on success, on error).
    """

    schedule: Schedule | None = None
    project: tuple[str, str | None, bool] | None = None
    triggers: tuple[EventTrigger, ...] = ()
    exit_hooks: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    decorators: tuple[str, ...] = ()


def step_declaration(function: object) -> StepDeclaration | None:
    """Return what stands on a step's function; None when it is no step."""
    found = getattr(function, STEP_MARK, None)
    return found if isinstance(found, StepDeclaration) else None


def flow_declaration(flow: type) -> FlowDeclaration:
    """Return what stands on a flow class or is inherited by it."""
    found = getattr(flow, FLOW_MARK, None)
    return found if isinstance(found, FlowDeclaration) else FlowDeclaration()
