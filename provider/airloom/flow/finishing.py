"""The class that is compiled and run: configs filled in, ``--with`` attached, mutators run.

It is made anew, with the same result, wherever a task runs: all that goes in is the flow's code
and what the plan holds.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from airloom.codec import Json
from airloom.errors import FlowError, GraphError, Place
from airloom.flow.configs import config_values, configs_of, waits
from airloom.flow.declarations import (
    CONFIGS_MARK,
    FLOW_MARK,
    STEP_MARK,
    StepDeclaration,
    Written,
    flow_declaration,
    step_declaration,
    steps_of,
)
from airloom.flow.mutators import Draft, FlowMutator, MutableFlow, MutableStep, StepMutator, find, short
from airloom.flow.parameters import parameters_of
from airloom.flow.registry import STEP_DECORATORS, filled, read_flow, read_step
from airloom.flow.spec import FlowSpec
from airloom.flow.targets import TARGETS
from airloom.flow.user_decorators import UserStepDecorator, make

_FINISHED: dict[tuple[type, str, tuple[str, ...]], type[FlowSpec]] = {}


class _Removed:
    """Stands for a parameter that a mutator took away: there is no such attribute."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, flow: object, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__} has no attribute {self._name!r}")


def finish(
    flow: type[FlowSpec], configs: Mapping[str, Json] | None = None, attached: Sequence[str] = ()
) -> type[FlowSpec]:
    """Make the class that is compiled and run; the flow itself where nothing is to be changed.

    Parameters
    ----------
    configs
        Values of the flow's configs by their names.
    attached
        Decorators as texts, which all steps get that do not have them.

    Raises
    ------
    FlowError
        When an expression over configs has no value, a decorator does not exist, or a mutator fails.
    """
    key = (flow, json.dumps(configs or {}), tuple(attached))
    if key not in _FINISHED:
        _FINISHED[key] = _finish(flow, configs or {}, attached)
    return _FINISHED[key]


def is_plain(flow: type[FlowSpec]) -> bool:
    """Say whether neither configs nor mutators have a part in a flow's class."""
    written = [one for step in steps_of(flow).values() for one in _written(step)]
    written += flow_declaration(flow).written
    return (
        not configs_of(flow)
        and not any(
            waits(one.arguments)
            or waits(one.positional)
            or (one.maker is not None and not issubclass(one.maker, UserStepDecorator))
            for one in written
        )
        and not any(parameter.waits for parameter in parameters_of(flow).values())
    )


def _finish(flow: type[FlowSpec], configs: Mapping[str, Json], attached: Sequence[str]) -> type[FlowSpec]:
    if is_plain(flow) and not attached:
        return flow
    values = config_values(flow, configs)
    draft = Draft(
        flow=flow,
        configs=values,
        above=[filled(one, values) for one in flow_declaration(flow).written],
        steps={
            name: [filled(one, values) for one in _written(function)]
            for name, function in steps_of(flow).items()
        },
        parameters={name: parameter.filled(values) for name, parameter in parameters_of(flow).items()},
    )
    _mutate(draft, attached)
    return _derived(draft)


def _written(function: object) -> tuple[Written, ...]:
    found = step_declaration(function)
    return () if found is None else found.written


def _mutate(draft: Draft, attached: Sequence[str]) -> None:
    flows: dict[int, FlowMutator] = {}
    steps: dict[int, StepMutator] = {}
    for early in (True, False):
        # The lists grow: a mutator may add another one, which has its turn then.
        for one in _growing(draft.above):
            if one.maker is not None:
                mutator = flows.setdefault(id(one), make(one))
                _call(
                    mutator.pre_mutate if early else mutator.mutate, MutableFlow(draft, one, early=early), one
                )
        for name, written in draft.steps.items():
            for one in _growing(written):
                if one.maker is not None and issubclass(one.maker, StepMutator):
                    step_mutator = steps.setdefault(id(one), make(one))
                    change = step_mutator.pre_mutate if early else step_mutator.mutate
                    _call(change, MutableStep(draft, name, one, early=early), one)
        if early:
            _attach(draft, attached)


def _growing(written: list[Written]) -> Iterator[Written]:
    done: list[Written] = []
    while True:
        left = [one for one in written if not any(one is other for other in done)]
        if not left:
            return
        done.append(left[0])
        yield left[0]


def _call(method: Callable[[Any], None], mutable: MutableFlow | MutableStep, by: Written) -> None:
    try:
        method(mutable)
    except FlowError:
        raise
    except Exception as error:
        raise FlowError(
            f"the mutator {short(by)} raised {type(error).__name__}: {error}",
            where=by.place,
            mend="see the traceback above, and mend the mutator.",
        ) from error


def _attach(draft: Draft, attached: Sequence[str]) -> None:
    for text in attached:
        new = find(text, STEP_DECORATORS, UserStepDecorator, Place(f"--with {text}"))
        for written in draft.steps.values():
            if _fits(new, written):
                written.append(replace(new))


def _fits(new: Written, written: Sequence[Written]) -> bool:
    """Say whether a step lacks a decorator; where a step runs is said once, whichever says it."""
    taken = {new.name, *TARGETS} if new.name in TARGETS else {new.name}
    return all(one.name not in taken for one in written)


def _derived(draft: Draft) -> type[FlowSpec]:
    flow = draft.flow
    namespace: dict[str, Any] = {
        "__module__": flow.__module__,
        "__qualname__": flow.__qualname__,
        "__doc__": flow.__dict__.get("__doc__"),
        CONFIGS_MARK: {
            attribute: draft.configs[config.airloom_config.name]
            for attribute, config in configs_of(flow).items()
        },
    }
    if not _same(draft.above, flow_declaration(flow).written):
        namespace[FLOW_MARK] = read_flow(draft.above)
    functions = steps_of(flow)
    for name, written in draft.steps.items():
        if not _same(written, _written(functions[name])):
            declaration = cast("StepDeclaration", step_declaration(functions[name]))
            namespace[name] = _copy(functions[name], read_step(name, declaration, written))
    declared = parameters_of(flow)
    namespace |= {name: one for name, one in draft.parameters.items() if declared.get(name) is not one}
    namespace |= {name: _Removed() for name in declared if name not in draft.parameters}
    metaclass: Callable[..., type[FlowSpec]] = type(flow)
    return metaclass(flow.__name__, (flow,), namespace)


def _same(some: Sequence[Written], others: Sequence[Written]) -> bool:
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))


def _copy(function: Callable[..., Any], declaration: StepDeclaration) -> Callable[..., Any]:
    if not isinstance(function, types.FunctionType):
        raise GraphError(
            f"the step {getattr(function, '__name__', function)!r} is no function",
            where=str(function),
            mend="define it with def.",
        )
    copy = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__dict__.update(function.__dict__)
    copy.__qualname__, copy.__doc__ = function.__qualname__, function.__doc__
    copy.__module__, copy.__annotations__ = function.__module__, function.__annotations__
    setattr(copy, STEP_MARK, declaration)
    return copy
