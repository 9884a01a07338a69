"""The decorators of steps and flows.

Each leaves a frozen value on the function or class (`flow.declarations`) and does
nothing else: behaviour lives in the stage that reads the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, overload

from airloom.errors import FlowError, GraphError, Place, SizeError
from airloom.flow.declarations import (
    FLOW_MARK,
    STEP_MARK,
    FlowDeclaration,
    StepDeclaration,
    flow_declaration,
    step_declaration,
)
from airloom.plan import Catch, Resources, Retry, Schedule

S = TypeVar("S", bound=Callable[..., Any])
C = TypeVar("C", bound=type)
Change = Callable[[StepDeclaration], StepDeclaration]


@overload
def step(function: S) -> S: ...
@overload
def step(*, start: bool = False, end: bool = False) -> Callable[[S], S]: ...
def step(function: S | None = None, *, start: bool = False, end: bool = False) -> S | Callable[[S], S]:
    """Make a method a step of its flow; stands innermost of a step's decorators.

    Parameters
    ----------
    start, end
        Mark the first or the last step where it is not named ``start`` or ``end``.
    """

    def mark(function: S) -> S:
        setattr(function, STEP_MARK, StepDeclaration(start=start, end=end))
        return function

    return mark if function is None else mark(function)


@overload
def retry(function: S) -> S: ...
@overload
def retry(*, times: int = 3, minutes_between_retries: float = 2) -> Callable[[S], S]: ...
def retry(
    function: S | None = None, *, times: int = 3, minutes_between_retries: float = 2
) -> S | Callable[[S], S]:
    """Try the step again when it fails.

    Parameters
    ----------
    times
        How many more attempts after the first; 0 turns retries off.
    minutes_between_retries
        Pause before each; Airflow keeps it, the local runner tries again at once.
    """
    count = _number("retry", "times", times, whole=True)
    pause = _number("retry", "minutes_between_retries", minutes_between_retries)
    return _change("retry", function, lambda old: replace(old, retry=Retry(int(count), pause * 60)))


@overload
def catch(function: S) -> S: ...
@overload
def catch(*, var: str | None = None, print_exception: bool = True) -> Callable[[S], S]: ...
def catch(
    function: S | None = None, *, var: str | None = None, print_exception: bool = True
) -> S | Callable[[S], S]:
    """Go on when the step has failed in its last attempt; what it had set on ``self`` is kept.

    Parameters
    ----------
    var
        Artifact that gets the exception, or None when all went well.
    print_exception
        Write the traceback to the log.
    """
    if var is not None and not (isinstance(var, str) and var.isidentifier()):
        raise _refused(
            "catch", f"var={var!r} cannot name an artifact", "write an identifier, e.g. var='failure'."
        )
    return _change("catch", function, lambda old: replace(old, catch=Catch(var, print_exception)))


def timeout(*, seconds: float = 0, minutes: float = 0, hours: float = 0) -> Callable[[S], S]:
    """End an attempt that takes longer than the sum of the given times; it counts as failed."""
    parts = (("seconds", seconds, 1), ("minutes", minutes, 60), ("hours", hours, 3600))
    total = sum(_number("timeout", name, value) * factor for name, value, factor in parts)
    if total <= 0:
        raise _refused("timeout", "the time is 0", "give seconds, minutes or hours above 0.")
    return _decorate("timeout", lambda old: replace(old, timeout_s=float(total)))


def environment(*, vars: Mapping[str, object]) -> Callable[[S], S]:  # noqa: A002 - Metaflow's name
    """Set environment variables while the step runs; values become text."""
    variables = {str(name): str(value) for name, value in vars.items()}
    return _decorate("environment", lambda old: replace(old, variables={**old.variables, **variables}))


def parallel(function: S) -> S:
    """Run all tasks of this step at once, each knowing the others by ``current.parallel``.

    The step before it says how many: ``self.next(self.train, num_parallel=4)``.
    """
    decorate: Callable[[S], S] = _decorate("parallel", lambda old: replace(old, parallel=True))
    return decorate(function)


def resources(
    *,
    cpu: float | None = None,
    gpu: int | None = None,
    disk: int | None = None,
    memory: int | None = None,
    shared_memory: int | None = None,
) -> Callable[[S], S]:
    """Say what the step needs, wherever it runs.

    Parameters
    ----------
    cpu
        vCPU, also fractions.
    gpu
        Number of GPUs.
    memory, disk, shared_memory
        MiB.
    """
    given = {
        "cpu": None if cpu is None else _number("resources", "cpu", cpu, SizeError),
        "gpu": _size("gpu", gpu),
        "disk_mib": _size("disk", disk),
        "memory_mib": _size("memory", memory),
        "shared_memory_mib": _size("shared_memory", shared_memory),
    }
    wanted = Resources(**given)  # type: ignore[arg-type]
    return _decorate("resources", lambda old: replace(old, resources=wanted))


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
        raise _refused(
            "schedule", "more than one schedule is given", "keep one of cron, weekly, daily, hourly."
        )
    line = _cron(cron) if cron is not None else "@hourly" if hourly else "@weekly" if weekly else "@daily"
    zone = _zone(timezone) if timezone is not None else "UTC"

    def mark(flow: C) -> C:
        old = flow_declaration(flow)
        new = FlowDeclaration(schedule=Schedule(line, zone), decorators=(*old.decorators, "schedule"))
        setattr(flow, FLOW_MARK, new)
        return flow

    return mark


def _change(name: str, function: S | None, change: Change) -> S | Callable[[S], S]:
    decorate: Callable[[S], S] = _decorate(name, change)
    return decorate if function is None else decorate(function)


def _decorate(name: str, change: Change) -> Callable[[S], S]:
    def mark(function: S) -> S:
        old = step_declaration(function)
        if old is None:
            raise GraphError(
                f"@{name} stands on {getattr(function, '__name__', function)!r}, which is not a step",
                where=_place_of(function),
                mend="put @step right above the function, and the other decorators above @step.",
            )
        if name in old.decorators:
            raise GraphError(
                f"@{name} stands twice on the step {function.__name__!r}",
                where=_place_of(function),
                mend="keep one of them.",
            )
        setattr(function, STEP_MARK, replace(change(old), decorators=(*old.decorators, name)))
        return function

    return mark


def _place_of(function: object) -> Place:
    code = getattr(function, "__code__", None)
    if code is None:
        return Place(str(function))
    return Place(code.co_filename, code.co_firstlineno, getattr(function, "__name__", None))


def _refused(name: str, what: str, mend: str, kind: type[FlowError] = FlowError) -> FlowError:
    import sys

    frame = sys._getframe(2)  # noqa: SLF001 - the line of the decorator, not of this file
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return kind(f"@{name}: {what}", where=Place(frame.f_code.co_filename, frame.f_lineno), mend=mend)


def _number(
    name: str, argument: str, value: object, kind: type[FlowError] = FlowError, *, whole: bool = False
) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < float("inf") or (whole and number != int(number)):
        what = "a whole number" if whole else "a number"
        raise _refused(name, f"{argument}={value!r} is refused", f"write {what} of 0 or more.", kind)
    return number


def _size(argument: str, value: object) -> int | None:
    return None if value is None else int(_number("resources", argument, value, SizeError, whole=True))


def _cron(line: str) -> str:
    names = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@midnight", "@annually", "@once")
    if line in names:
        return line
    parts = line.split()
    if len(parts) == 6 and parts[5] == "*":  # the AWS form that Metaflow's step-functions users write
        parts = [part.replace("?", "*") for part in parts[:5]]
    signs = set("0123456789*,-/#LWABCDEFGHIJKMNOPQRSTUVXYZ?")
    if len(parts) != 5 or not all(set(part.upper()) <= signs for part in parts):
        raise _refused(
            "schedule",
            f"cron={line!r} is not a cron line",
            "write five fields, e.g. '0 6 * * 1-5' (minute, hour, day, month, day of week).",
        )
    return " ".join(part.replace("?", "*") for part in parts)


def _zone(name: str) -> str:
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise _refused(
            "schedule", f"timezone={name!r} is not known", "write an IANA name, e.g. 'Europe/Vienna'."
        ) from None
    return name
