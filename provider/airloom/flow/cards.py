"""@card: a step leaves a card, an HTML page that shows what it did.

Like every decorator it leaves a frozen value on the step; what makes cards reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, overload

from airloom.errors import FlowError, GraphError, Place
from airloom.flow.declarations import STEP_MARK, step_declaration
from airloom.flow.registry import STEP_DECORATORS, caller, offering
from airloom.names import did_you_mean
from airloom.plan import CardPlan

S = TypeVar("S", bound=Callable[..., Any])

TYPES = ("default", "blank")
_ID = re.compile(r"[A-Za-z0-9_]+\Z")


@overload
def card(function: S) -> S: ...
@overload
def card(
    *,
    type: str = "default",
    id: str | None = None,
    options: Mapping[str, Any] | None = None,
    timeout: float = 45,
    save_errors: bool = True,
    customize: bool = False,
    refresh_interval: float = 5,
) -> Callable[[S], S]: ...
@offering(STEP_DECORATORS, several=True)
def card(
    function: S | None = None,
    *,
    type: str = "default",  # noqa: A002 - Metaflow's name
    id: str | None = None,  # noqa: A002 - Metaflow's name
    options: Mapping[str, Any] | None = None,
    timeout: float = 45,
    save_errors: bool = True,
    customize: bool = False,
    refresh_interval: float = 5,
) -> S | Callable[[S], S]:
    """Leave a card; a step may have several.

    Parameters
    ----------
    type
        ``default``: the facts of the task and what the step appended; ``blank``: only that.
    id
        Letters, digits and underscores: ``current.card["id"]`` is this card.
    options
        Options of the card's type; those here have none.
    timeout
        Seconds that writing it may take; then it is given up, and the task goes on.
    save_errors
        Save a card that says why this one could not be written.
    customize
        ``current.card.append`` is for this one of several cards.
    refresh_interval
        Seconds that must have passed between two ``current.card.refresh()``.
    """
    place = caller()
    if type not in TYPES:
        raise FlowError(
            f"@card: there is no type {type!r}", where=place, mend=did_you_mean(str(type), list(TYPES))
        )
    if id is not None and not (isinstance(id, str) and _ID.match(id)):
        raise FlowError(
            f"@card: id={id!r} is refused", where=place, mend="write letters, digits and underscores only."
        )
    plan = CardPlan(
        type=type,
        id=id,
        options=_json(options or {}, place),
        timeout_s=_seconds("timeout", timeout, place),
        save_errors=bool(save_errors),
        customize=bool(customize),
        refresh_interval_s=_seconds("refresh_interval", refresh_interval, place),
    )

    def mark(function: S) -> S:
        return _marked(function, plan, place)

    return mark if function is None else mark(function)


def _marked(function: S, plan: CardPlan, place: Place) -> S:
    old = step_declaration(function)
    if old is None:
        raise GraphError(
            f"@card stands on {getattr(function, '__name__', function)!r}, which is not a step",
            where=place,
            mend="put @step right above the function, and the other decorators above @step.",
        )
    if plan.id is not None and plan.id in [other.id for other in old.cards]:
        raise FlowError(
            f"@card: two cards of one step have the id {plan.id!r}", where=place, mend="rename one of them."
        )
    # The innermost decorator comes first here, and cards stand as they are read: from above.
    said = replace(old, cards=(plan, *old.cards), decorators=(*old.decorators, "card"))
    setattr(function, STEP_MARK, said)
    return function


def _seconds(name: str, value: object, place: Place) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
    if not good:
        raise FlowError(f"@card: {name}={value!r} is refused", where=place, mend="write seconds, 0 or more.")
    return float(value)  # type: ignore[arg-type] # it is one


def _json(options: Mapping[str, Any], place: Place) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(options), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise FlowError(
            f"@card: options cannot be written as JSON: {error}", where=place, mend="write texts and numbers."
        ) from None
    return plain
