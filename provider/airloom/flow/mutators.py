"""Mutators: code of the user's own that changes what stands above steps and in the flow's class.

What a mutator is and what it sees is here; `flow.finishing` lets them run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

from airloom.errors import FlowError, Place
from airloom.flow.configs import configs_of
from airloom.flow.declarations import (
    Written,
)
from airloom.flow.parameters import Parameter
from airloom.flow.registry import (
    FLOW_DECORATORS,
    STEP_DECORATORS,
    Offered,
    caller,
    filled,
    note,
    parse,
)
from airloom.flow.spec import FlowSpec
from airloom.flow.user_decorators import UserDecorator, UserStepDecorator, known_by, qualified
from airloom.names import did_you_mean

Spec = tuple[str, str, list[Any], dict[str, Any]]


class StepMutator(UserDecorator):
    """A decorator that adds other decorators to its step, or takes some away.

    ``pre_mutate`` runs when the values of configs are known, ``mutate`` when those of ``--with``
    have been attached as well.
    """

    def pre_mutate(self, mutable_step: MutableStep) -> None:
        """Change the step before ``--with``; other mutators can be added only here."""

    def mutate(self, mutable_step: MutableStep) -> None:
        """Change the step after ``--with``."""


class FlowMutator:
    """A decorator of a flow that changes its steps, its parameters and its other decorators.

    A subclass takes arguments in ``init``; the methods mean what they do for a `StepMutator`.
    """

    airloom_written: Written

    def __new__(cls, *positional: Any, **arguments: Any) -> Any:
        """Mark a class that stands bare below ``@Name``; otherwise make the object that will."""
        bare = len(positional) == 1 and not arguments and isinstance(positional[0], type)
        if bare and issubclass(positional[0], FlowSpec):
            return note(positional[0], Written(qualified(cls), {}, caller(), (), cls))
        self = super().__new__(cls)
        self.airloom_written = Written(qualified(cls), arguments, caller(), positional, cls)
        return self

    def __call__(self, flow: Any) -> Any:
        """Mark the flow."""
        return note(flow, self.airloom_written)

    def init(self, *positional: Any, **arguments: Any) -> None:
        """Take the mutator's arguments; to be defined by a subclass that has some."""
        UserDecorator.init(cast("UserDecorator", self), *positional, **arguments)

    def pre_mutate(self, mutable_flow: MutableFlow) -> None:
        """Change the flow before ``--with``; parameters and flow decorators can be changed only here."""

    def mutate(self, mutable_flow: MutableFlow) -> None:
        """Change the steps after ``--with``."""


@dataclass(slots=True)
class Draft:
    """A flow while it is being changed: what stands above it and its steps, innermost first."""

    flow: type[FlowSpec]
    configs: dict[str, Any]
    above: list[Written]
    steps: dict[str, list[Written]]
    parameters: dict[str, Parameter]


class _Mutable:
    """What a mutable step and a mutable flow have in common."""

    IGNORE: ClassVar[int] = 1
    ERROR: ClassVar[int] = 2
    OVERRIDE: ClassVar[int] = 3
    _offered: ClassVar[dict[str, Offered]] = STEP_DECORATORS
    _base: ClassVar[type] = UserDecorator

    def __init__(self, draft: Draft, written: list[Written], by: Written, *, early: bool) -> None:
        self._draft = draft
        self._written = written
        self._by = by
        self._early = early

    @property
    def decorator_specs(self) -> Iterator[Spec]:
        """Each decorator as (short name, full name, positional arguments, arguments with defaults)."""
        for one in list(self._written):
            offered = self._offered.get(one.name)
            arguments = dict(one.arguments) if offered is None else offered.defaults(one.arguments)
            yield short(one), full(one), list(one.positional), arguments

    def has_decorator(self, name: str) -> bool:
        """Say whether a decorator of this short or full name is there."""
        return any(name in (short(one), full(one)) for one in self._written)

    def get_decorator_specs(self, name: str) -> list[Spec]:
        """Decorators of this short or full name, as `decorator_specs` gives them."""
        return [spec for spec in self.decorator_specs if name in spec[:2]]

    def add_decorator(
        self,
        deco_type: Any,
        deco_args: Sequence[Any] | None = None,
        deco_kwargs: Mapping[str, Any] | None = None,
        duplicates: int = IGNORE,
    ) -> Written | None:
        """Add a decorator: ours, a user's, or a text such as ``"retry:times=2"``.

        Parameters
        ----------
        duplicates
            When one of the name is there already: ``IGNORE`` keeps that one, ``OVERRIDE`` replaces
            it, ``ERROR`` refuses.

        Returns
        -------
        What was added; None where the one that was there was kept.

        Raises
        ------
        FlowError
            When there is no such decorator, or it cannot be added here.
        """
        new = find(deco_type, self._offered, self._base, self._by.place)
        if new.arguments and (deco_args or deco_kwargs):
            raise self._refused(
                f"{deco_type!r} has arguments of its own, and others are given beside it",
                "give them in one way.",
            )
        new = replace(
            new,
            positional=(*new.positional, *(deco_args or ())),
            arguments={**new.arguments, **(deco_kwargs or {})},
        )
        self._check(new)
        offered = self._offered.get(new.name)
        there = self.has_decorator(new.name)
        if there and not (offered is not None and offered.several):
            if duplicates == self.ERROR:
                raise self._refused(f"@{short(new)} is there already", "take it off first, or OVERRIDE it.")
            if duplicates != self.OVERRIDE:
                return None
            self.remove_decorator(new.name)
        new = filled(new, self._draft.configs)
        self._written.append(new)
        return new

    def remove_decorator(
        self,
        deco_name: Any,
        deco_args: Sequence[Any] | None = None,
        deco_kwargs: Mapping[str, Any] | None = None,
    ) -> bool:
        """Take decorators of this name off, only those with these arguments where some are given.

        Returns
        -------
        Whether there was one.
        """
        name = deco_name if isinstance(deco_name, str) else find(deco_name, self._offered, self._base).name
        every = deco_args is None and deco_kwargs is None
        wanted = (list(deco_args or ()), dict(deco_kwargs or {}))
        gone = []
        for one, spec in zip(list(self._written), list(self.decorator_specs), strict=True):
            same = wanted in ((spec[2], spec[3]), (list(one.positional), dict(one.arguments)))
            if name in spec[:2] and (every or same):
                self._check(one)
                gone.append(one)
        self._written[:] = [one for one in self._written if not any(one is other for other in gone)]
        return bool(gone)

    def _check(self, one: Written) -> None:
        if not self._early and one.maker is not None and not issubclass(one.maker, UserStepDecorator):
            raise self._refused(
                f"the mutator {one.name} is added or removed in mutate", "do it in pre_mutate."
            )

    def _refused(self, what: str, mend: str) -> FlowError:
        return FlowError(f"{short(self._by)}: {what}", where=self._by.place, mend=mend)


class MutableStep(_Mutable):
    """A step as mutators see it."""

    def __init__(self, draft: Draft, name: str, by: Written, *, early: bool) -> None:
        super().__init__(draft, draft.steps[name], by, early=early)
        self.name = name

    @property
    def flow(self) -> MutableFlow:
        """The flow that the step belongs to."""
        return MutableFlow(self._draft, self._by, early=self._early)


class MutableFlow(_Mutable):
    """A flow as mutators see it; steps, parameters and configs are also attributes of it."""

    _offered = FLOW_DECORATORS
    _base = FlowMutator

    def __init__(self, draft: Draft, by: Written, *, early: bool) -> None:
        super().__init__(draft, draft.above, by, early=early)

    @property
    def configs(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each config."""
        yield from self._draft.configs.items()

    @property
    def parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Attribute and declaration of each parameter."""
        yield from list(self._draft.parameters.items())

    @property
    def steps(self) -> Iterator[tuple[str, MutableStep]]:
        """Each step, in the order of declaration."""
        for name in list(self._draft.steps):
            yield name, MutableStep(self._draft, name, self._by, early=self._early)

    def add_parameter(self, name: str, value: Parameter, overwrite: bool = False) -> None:
        """Add a parameter under an attribute; only in ``pre_mutate``.

        Raises
        ------
        FlowError
            When the flow has something of that name, and ``overwrite`` is not set.
        """
        self._only_early("a parameter is added")
        if not isinstance(value, Parameter):
            raise self._refused(f"{name!r} is no Parameter", "give a Parameter or an IncludeFile.")
        if not overwrite and (name in self._draft.parameters or hasattr(self._draft.flow, name)):
            raise self._refused(
                f"{self._draft.flow.__name__} has {name!r} already",
                "choose another name, or set overwrite=True.",
            )
        value.attribute = name
        self._draft.parameters[name] = value.filled(self._draft.configs)

    def remove_parameter(self, parameter_name: str) -> bool:
        """Take a parameter away, by its name; only in ``pre_mutate``. Say whether there was one."""
        self._only_early("a parameter is removed")
        for attribute, parameter in self._draft.parameters.items():
            if parameter.name == parameter_name:
                del self._draft.parameters[attribute]
                return True
        return False

    def __getattr__(self, name: str) -> Any:
        draft: Draft | None = self.__dict__.get("_draft")
        if draft is None or name.startswith("__"):
            raise AttributeError(name)
        if name in draft.steps:
            return MutableStep(draft, name, self._by, early=self._early)
        if name in draft.parameters:
            return draft.parameters[name]
        for attribute, config in configs_of(draft.flow).items():
            if attribute == name:
                return draft.configs[config.airloom_config.name]
        raise AttributeError(f"{draft.flow.__name__} has no step, parameter or config {name!r}")

    def _check(self, one: Written) -> None:
        self._only_early(f"@{short(one)} is added or removed")

    def _only_early(self, what: str) -> None:
        if not self._early:
            raise self._refused(f"{what} in mutate", "do it in pre_mutate.")


def short(one: Written) -> str:
    """Name of a decorator as it is written above a step."""
    return one.name if one.maker is None else one.maker.__qualname__


def full(one: Written) -> str:
    """Name of a decorator with that of its module."""
    offered = STEP_DECORATORS.get(one.name) or FLOW_DECORATORS.get(one.name)
    return one.name if one.maker or offered is None else f"{offered.function.__module__}.{one.name}"


def find(wanted: Any, offered: Mapping[str, Offered], base: type, place: Place | None = None) -> Written:
    """Look a decorator up: by itself, by its class, by an object of that, or by a text.

    Raises
    ------
    FlowError
        When there is none.
    """
    place = place or Place("a mutator")
    if isinstance(wanted, str):
        name, arguments = parse(wanted, place)
        if name in offered:
            return Written(name, arguments, place)
        cls = _user_class(name, offered, base, place)
        return Written(qualified(cls), arguments, place, (), cls)
    if isinstance(wanted, base):
        return cast("Written", wanted.airloom_written)  # type: ignore[attr-defined] # all of these have it
    if isinstance(wanted, type) and issubclass(wanted, base):
        return Written(qualified(wanted), {}, place, (), wanted)
    for name, one in offered.items():
        if getattr(wanted, "__wrapped__", wanted) is one.function:
            return Written(name, {}, place)
    raise FlowError(
        f"{getattr(wanted, '__name__', wanted)!r} is no decorator that can be added here",
        where=place,
        mend="give one of airloom's, a class of your own, or a text such as 'retry:times=2'.",
    )


def _user_class(name: str, offered: Mapping[str, Offered], base: type, place: Place) -> type:
    # A module that was imported anew defines its classes anew: the last one of a name counts.
    known: dict[str, type] = {qualified(cls): cls for cls in known_by(cast("type[UserDecorator]", base))}
    found = [one for one in known if one == name or one.endswith(f".{name}")]
    if len(found) == 1:
        return known[found[0]]
    if found:
        raise FlowError(
            f"there are several decorators {name!r}: {', '.join(found)}",
            where=place,
            mend="write one in full.",
        )
    raise FlowError(
        f"there is no decorator {name!r}",
        where=place,
        mend=did_you_mean(name, [*offered, *(one.rpartition(".")[2] for one in known)]),
    )
