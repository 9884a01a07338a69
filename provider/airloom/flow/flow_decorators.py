"""The decorators of flows: when a deployed flow runs, under which name, and what follows its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from airloom.flow.declarations import FLOW_MARK, FlowDeclaration, flow_declaration
from airloom.flow.decorators import refused
from airloom.flow.registry import FLOW_DECORATORS, offering
from airloom.plan import EventTrigger, Schedule

C = TypeVar("C", bound=type)
Event = str | Mapping[str, Any]
offered = offering(FLOW_DECORATORS)

_WORDS = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@midnight", "@annually", "@once")
_SIGNS = frozenset("0123456789*,-/#LWABCDEFGHIJKMNOPQRSTUVXYZ?")
_PROJECT = re.compile(r"[a-z0-9_]+\Z")
FINISHED = "x-airloom://flow/"
"""Asset that the end step of a deployed flow updates: this, and the DAG's id.

The ``x-`` is Airflow's mark of a scheme without a handler: for any other it loads the asset
handlers of all providers, 0.13 s for each parse and each task (measured on 3.3.2).
"""


@offered
def schedule(
    *,
    cron: str | None = None,
    weekly: bool = False,
    daily: bool = False,
    hourly: bool = False,
    timezone: str | None = None,
) -> Callable[[C], C]:
    """Run the flow on a schedule once it is deployed; daily when nothing is said.

    Parameters
    ----------
    cron
        Five fields: minute, hour, day of month, month, day of week.
    timezone
        IANA name, e.g. ``Europe/Vienna``; UTC when not given.
    """
    if sum((cron is not None, bool(weekly), bool(daily), bool(hourly))) > 1:
        raise refused(
            "schedule", "more than one schedule is given", "keep one of cron, weekly, daily, hourly."
        )
    line = _cron(cron) if cron is not None else "@hourly" if hourly else "@weekly" if weekly else "@daily"
    zone = _zone(timezone) if timezone is not None else "UTC"
    return _decorate("schedule", lambda old: replace(old, schedule=Schedule(line, zone)))


@offered
def project(*, name: str, branch: str | None = None, production: bool = False) -> Callable[[C], C]:
    """Keep deployments of one flow apart: a branch for each user or purpose, and one production.

    A deployed flow is then called ``name.branch.Flow``: the branch is ``user.<you>``, or with
    ``--branch b`` ``test.b``, with ``--production`` ``prod``, with both ``prod.b``.
    """
    if not _PROJECT.match(name):
        raise refused("project", f"name={name!r} is refused", "use lower case letters, digits and _ only.")
    if branch is not None and not re.match(r"[A-Za-z0-9_.-]+\Z", branch):
        raise refused("project", f"branch={branch!r} is refused", "use letters, digits and . _ - only.")
    return _decorate("project", lambda old: replace(old, project=(name, branch, production)))


@offered
def trigger(
    *,
    event: Event | None = None,
    events: Sequence[Event] = (),
    options: Mapping[str, Any] | None = None,
) -> Callable[[C], C]:
    """Run the deployed flow when events have come: updates of Airflow assets of these names.

    Parameters
    ----------
    event, events
        An asset's name, or ``{"name": ..., "parameters": {parameter: field}}``: the field of the
        event's ``extra`` that a parameter of the flow gets its value from. A list or tuple of
        names instead of the dict maps equal names. With several events all of them must come.
    """
    found = _events("trigger", event, events, "name")
    wanted = tuple(_event_trigger(one) for one in found)
    return _decorate("trigger", lambda old: replace(old, triggers=(*old.triggers, *wanted)))


@offered
def trigger_on_finish(
    *,
    flow: Event | None = None,
    flows: Sequence[Event] = (),
    options: Mapping[str, Any] | None = None,
) -> Callable[[C], C]:
    """Run the deployed flow when a run of another one, or of each of several, has succeeded.

    Parameters
    ----------
    flow, flows
        Names of deployed flows; inside of a @project, of flows of the same project and branch.
        ``{"name", "project", "project_branch"}`` names a flow of another one.
    """
    found = _events("trigger_on_finish", flow, flows, "flow")
    wanted = tuple(_finish_trigger(one) for one in found)
    return _decorate("trigger_on_finish", lambda old: replace(old, triggers=(*old.triggers, *wanted)))


@offered
def exit_hook(
    *, on_success: Sequence[Callable[..., Any]] = (), on_error: Sequence[Callable[..., Any]] = ()
) -> Callable[[C], C]:
    """Call functions of the flow's module when a run has ended.

    Parameters
    ----------
    on_success, on_error
        Module-level functions; one with a parameter ``run`` gets the client's Run.
    """
    for function in (*on_success, *on_error):
        name = getattr(function, "__qualname__", "")
        if not callable(function) or not name.isidentifier():
            raise refused(
                "exit_hook",
                f"{function!r} is not a function of the module",
                "define it with def, at top level.",
            )
    names = (tuple(f.__name__ for f in on_success), tuple(f.__name__ for f in on_error))
    if not any(names):
        raise refused("exit_hook", "it names no function", "give on_success or on_error.")
    return _decorate("exit_hook", lambda old: replace(old, exit_hooks=names))


def _decorate(name: str, change: Callable[[FlowDeclaration], FlowDeclaration]) -> Callable[[C], C]:
    def mark(flow: C) -> C:
        old = flow_declaration(flow)
        setattr(flow, FLOW_MARK, replace(change(old), decorators=(*old.decorators, name)))
        return flow

    return mark


def _events(name: str, one: Event | None, several: Sequence[Event], word: str) -> list[Event]:
    found = [*([one] if one is not None else []), *several]
    if not found:
        raise refused(name, "it names nothing to wait for", f"give {word}=... or {word}s=[...].")
    for item in found:
        called = item.get("name") if isinstance(item, Mapping) else item
        if not isinstance(called, str) or not called:
            raise refused(name, f"{item!r} has no name", "give a text, or a dict with 'name'.")
    return found


def _event_trigger(event: Event) -> EventTrigger:
    if isinstance(event, str):
        return EventTrigger(event)
    mapping = event.get("parameters") or {}
    if not isinstance(mapping, Mapping):
        pairs = [item if isinstance(item, (tuple, list)) else (item, item) for item in mapping]
        mapping = {str(pair[0]): str(pair[1]) for pair in pairs}
    return EventTrigger(str(event["name"]), {str(key): str(value) for key, value in mapping.items()})


def _finish_trigger(flow: Event) -> EventTrigger:
    if isinstance(flow, str):
        return EventTrigger(flow, finished=True)
    parts = [str(flow[key]) for key in ("project", "project_branch") if flow.get(key)]
    return EventTrigger(".".join([*parts, str(flow["name"])]), finished=True)


def _cron(line: str) -> str:
    if line in _WORDS:
        return line
    parts = line.split()
    if len(parts) == 6 and parts[5] == "*":  # the AWS form that Metaflow's step-functions users write
        parts = parts[:5]
    parts = [part.replace("?", "*") for part in parts]
    if len(parts) != 5 or not all(set(part.upper()) <= _SIGNS for part in parts):
        raise refused(
            "schedule",
            f"cron={line!r} is not a cron line",
            "write five fields, e.g. '0 6 * * 1-5' (minute, hour, day, month, day of week).",
        )
    return " ".join(parts)


def _zone(name: str) -> str:
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise refused(
            "schedule", f"timezone={name!r} is not known", "write an IANA name, e.g. 'Europe/Vienna'."
        ) from None
    return name
