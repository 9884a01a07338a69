"""Frozen values that decorators leave on steps and flows, for later stages to read."""

from __future__ import annotations

from dataclasses import dataclass, field

from airloom.plan import Catch, Resources, Retry, Schedule, Target

STEP_MARK = "__airloom_step__"
FLOW_MARK = "__airloom_flow__"


@dataclass(frozen=True, slots=True)
class StepDeclaration:
    """What the decorators of one step say. ``decorators`` names them, innermost first."""

    start: bool = False
    end: bool = False
    target: Target = "worker"
    resources: Resources = field(default_factory=Resources)
    retry: Retry = field(default_factory=Retry)
    catch: Catch | None = None
    timeout_s: float | None = None
    variables: dict[str, str] = field(default_factory=dict)
    parallel: bool = False
    decorators: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FlowDeclaration:
    """What the decorators of one flow class say."""

    schedule: Schedule | None = None
    decorators: tuple[str, ...] = ()


def step_declaration(function: object) -> StepDeclaration | None:
    """Return what stands on a step's function; None when it is no step."""
    found = getattr(function, STEP_MARK, None)
    return found if isinstance(found, StepDeclaration) else None


def flow_declaration(flow: type) -> FlowDeclaration:
    """Return what stands on a flow class or is inherited by it."""
    found = getattr(flow, FLOW_MARK, None)
    return found if isinstance(found, FlowDeclaration) else FlowDeclaration()
