"""The decorators by name, and what was written with them.

`offering` makes the decorators of a module known by their names, so that ``--with`` and
mutators can add them, keeps the arguments beside the declaration that they make, and lets
those that hold a config's value wait: `read_step` and `read_flow` make the declaration anew
when the configs are known.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from airloom.errors import FlowError, GraphError, Place
from airloom.flow.configs import evaluate, waits
from airloom.flow.declarations import (
    FLOW_MARK,
    STEP_MARK,
    FlowDeclaration,
    StepDeclaration,
    Written,
    flow_declaration,
    step_declaration,
)
from airloom.names import did_you_mean

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Offered:
    """A decorator as its module defines it."""

    function: Callable[..., Any]
    signature: inspect.Signature
    several: bool

    @property
    def keywords(self) -> list[str]:
        """Names of the arguments that are given by name."""
        every = self.signature.parameters.items()
        return [name for name, one in every if one.kind is inspect.Parameter.KEYWORD_ONLY]

    @property
    def takes_function(self) -> bool:
        """Whether it can stand bare above a step."""
        return len(self.keywords) < len(self.signature.parameters)

    def defaults(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments as given, with the defaults of the others."""
        every = {name: self.signature.parameters[name].default for name in self.keywords}
        given = {name: value for name, value in every.items() if value is not inspect.Parameter.empty}
        return given | dict(arguments)


STEP_DECORATORS: dict[str, Offered] = {}
FLOW_DECORATORS: dict[str, Offered] = {}


def offering(known: dict[str, Offered], *, several: bool = False) -> Callable[[F], F]:
    """Give the decorator that makes decorators known.

    Parameters
    ----------
    known
        `STEP_DECORATORS` or `FLOW_DECORATORS`.
    several
        The decorator may stand on one step more than once.
    """

    def offered(function: F) -> F:
        name = function.__name__
        known[name] = one = Offered(function, inspect.signature(function), several)

        @functools.wraps(function)
        def call(*positional: Any, **arguments: Any) -> Any:
            written = Written(name, arguments, caller())
            if positional:
                target = function(*positional, **arguments)
                return note(target, written) if target is positional[0] else target
            _check_names(one, written)
            if waits(arguments):
                return lambda target: note(target, written, held=True)
            mark = function(**arguments)
            return lambda target: note(mark(target), written)

        return cast("F", call)

    return offered


def caller() -> Place:
    """Line outside of this package that calls it."""
    frame = sys._getframe(1)  # noqa: SLF001 - the line in the flow's file
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("airloom.flow."):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def note(target: Any, written: Written, *, held: bool = False) -> Any:
    """Keep what was written with the declaration; ``held`` where it has not changed that yet.

    Raises
    ------
    GraphError
        When the target is neither a step nor a class.
    """
    more: dict[str, Any] = {}
    if isinstance(target, type):
        flow = flow_declaration(target)
        if held:
            more["decorators"] = (*flow.decorators, written.name)
        setattr(target, FLOW_MARK, replace(flow, written=(*flow.written, written), **more))
        return target
    step = step_declaration(target)
    if step is None:
        raise GraphError(
            f"@{written.name} stands on {getattr(target, '__name__', target)!r}, which is not a step",
            where=written.place,
            mend="put @step right above the function, and the other decorators above @step.",
        )
    if held:
        more["decorators"] = (*step.decorators, written.name)
    setattr(target, STEP_MARK, replace(step, written=(*step.written, written), **more))
    return target


def _check_names(offered: Offered, written: Written) -> None:
    known = offered.keywords
    for name in written.arguments:
        if name not in known and name.isidentifier():
            what = f"@{written.name} has no argument {name!r}"
            raise FlowError(what, where=written.place, mend=did_you_mean(name, known))


def filled(written: Written, configs: Mapping[str, Any]) -> Written:
    """Fill in what waits for configs.

    Raises
    ------
    FlowError
        With the decorator's place, when a value does not exist.
    """
    if not waits(written.arguments) and not waits(written.positional):
        return written
    try:
        return replace(
            written,
            arguments=evaluate(written.arguments, configs),
            positional=evaluate(written.positional, configs),
        )
    except FlowError as error:
        raise type(error)(f"@{written.name}: {error.what}", where=written.place, mend=error.mend) from error


def read_step(name: str, old: StepDeclaration, written: Sequence[Written]) -> StepDeclaration:
    """Make the declaration of a step from what was written; innermost first."""
    # The decorators themselves make it, on something that only looks like the step's function.
    carrier = SimpleNamespace(__name__=name)
    setattr(carrier, STEP_MARK, StepDeclaration(start=old.start, end=old.end))
    _apply_all(STEP_DECORATORS, carrier, written)
    found = step_declaration(carrier)
    assert found is not None  # noqa: S101 - it was set above
    return replace(found, written=tuple(written))


def read_flow(written: Sequence[Written]) -> FlowDeclaration:
    """Make the declaration of a flow from what was written."""
    carrier = SimpleNamespace()
    _apply_all(FLOW_DECORATORS, carrier, written)
    return replace(flow_declaration(cast("type", carrier)), written=tuple(written))


def _apply_all(known: Mapping[str, Offered], carrier: Any, written: Sequence[Written]) -> None:
    for one in written:
        if one.maker is not None:
            continue
        offered = known[one.name]
        try:
            _check_names(offered, one)
            if offered.takes_function:
                offered.function(carrier, **one.arguments)
            else:
                offered.function(**one.arguments)(carrier)
        except FlowError as error:
            raise type(error)(error.what, where=one.place, mend=error.mend) from error
        except TypeError as error:
            raise FlowError(
                f"@{one.name}: {error}", where=one.place, mend="look at the decorator's arguments."
            ) from error


_NEXT_ARGUMENT = re.compile(r",(?=\s*\w+\s*=)")


def parse(text: str, where: Place | str = "a decorator as text") -> tuple[str, dict[str, Any]]:
    """Read a decorator as a text: ``name`` or ``name:argument=value,argument=value``.

    Values are JSON where they can be read as such, otherwise texts.

    >>> parse("retry:times=2,minutes_between_retries=0.5")
    ('retry', {'times': 2, 'minutes_between_retries': 0.5})
    >>> parse('environment:vars={"A": "1,b=2"},other=a text, too')
    ('environment', {'vars': {'A': '1,b=2'}, 'other': 'a text, too'})

    Raises
    ------
    FlowError
        When a part is no ``argument=value``.
    """
    name, _, rest = text.partition(":")
    arguments: dict[str, Any] = {}
    while rest:
        key, equals, rest = rest.partition("=")
        if not equals or not key.strip().isidentifier():
            what = f"{text!r} cannot be read at {key!r}"
            raise FlowError(what, where=where, mend="write e.g. retry:times=2.")
        arguments[key.strip()], rest = _first_value(rest)
    return name.strip(), arguments


def _first_value(text: str) -> tuple[Any, str]:
    """Value that a text begins with, and what follows behind the comma."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        end = -1
    if end < 0 or text[end:].lstrip()[:1] not in ("", ","):
        plain, *rest = _NEXT_ARGUMENT.split(text, maxsplit=1)
        return plain.strip(), "".join(rest)
    return value, text[end:].lstrip()[1:]
