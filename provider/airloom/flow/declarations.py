"""Frozen values that decorators leave on steps and flows, for later stages to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airloom.errors import Place
from airloom.plan import (
    BatchPlan,
    CardPlan,
    Catch,
    EcsPlan,
    EventTrigger,
    Recovery,
    Resources,
    Retry,
    Schedule,
    SizeName,
    Target,
)

STEP_MARK = "__airloom_step__"
FLOW_MARK = "__airloom_flow__"
CONFIGS_MARK = "__airloom_configs__"


@dataclass(frozen=True, slots=True)
class Written:
    """A decorator as somebody wrote it; ``maker`` is the class of one that is the user's own."""

    name: str
    arguments: Mapping[str, Any] = field(repr=False)
    place: Place
    positional: tuple[Any, ...] = field(default=(), repr=False)
    maker: type | None = None


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
    """What the decorators of one step say.

    ``decorators`` names those of Airloom, innermost first; ``written`` holds these and the user's
    own with all that was written, so that the declaration can be made anew.
    """

    start: bool = False
    end: bool = False
    target: Target = "worker"
    resources: Resources = field(default_factory=Resources)
    size_functions: tuple[tuple[SizeName, Callable[..., Any]], ...] = field(default=(), repr=False)
    recovery: Recovery = field(default_factory=Recovery)
    batch: BatchPlan | None = None
    ecs: EcsPlan | None = None
    retry: Retry = field(default_factory=Retry)
    catch: Catch | None = None
    cards: tuple[CardPlan, ...] = ()
    timeout_s: float | None = None
    variables: dict[str, str] = field(default_factory=dict)
    parallel: bool = False
    inlets: tuple[str, ...] = ()
    outlets: tuple[str, ...] = ()
    secrets: tuple[SecretSource, ...] = ()
    secrets_override: bool = False
    decorators: tuple[str, ...] = ()
    written: tuple[Written, ...] = ()


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
    written: tuple[Written, ...] = ()


def step_declaration(function: object) -> StepDeclaration | None:
    """Return what stands on a step's function; None when it is no step."""
    found = getattr(function, STEP_MARK, None)
    return found if isinstance(found, StepDeclaration) else None


def flow_declaration(flow: type) -> FlowDeclaration:
    """Return what stands on a flow class or is inherited by it."""
    found = getattr(flow, FLOW_MARK, None)
    return found if isinstance(found, FlowDeclaration) else FlowDeclaration()


def steps_of(flow: type) -> dict[str, Callable[..., Any]]:
    """Steps of a flow class by name, in the order of declaration, inherited ones first."""
    found: dict[str, Callable[..., Any]] = {}
    for name in {name: None for base in reversed(flow.__mro__) for name in vars(base)}:
        # As Python itself looks it up, but without calling a property or a descriptor.
        value = next(vars(base)[name] for base in flow.__mro__ if name in vars(base))
        if callable(value) and step_declaration(value) is not None:
            found[name] = value
    return found


def config_attributes(flow: type) -> Mapping[str, Any]:
    """Values of the configs by attribute, of a class whose configs are filled in."""
    found: Mapping[str, Any] = getattr(flow, CONFIGS_MARK, {})
    return found
