"""The decorators of steps.

Each leaves a frozen value on the function (`flow.declarations`) and does
nothing else: behaviour lives in the stage that reads the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, overload

from airloom.errors import FlowError, GraphError, Place, SizeError
from airloom.flow.declarations import STEP_MARK, SecretSource, StepDeclaration, step_declaration
from airloom.flow.registry import STEP_DECORATORS, caller, offering
from airloom.plan import Catch, Resources, Retry

S = TypeVar("S", bound=Callable[..., Any])
Change = Callable[[StepDeclaration], StepDeclaration]
offered = offering(STEP_DECORATORS)


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
def retry(
    *,
    times: int = 3,
    minutes_between_retries: float = 2,
    on: type[BaseException] | Sequence[type[BaseException]] = (),
) -> Callable[[S], S]: ...
@offered
def retry(
    function: S | None = None,
    *,
    times: int = 3,
    minutes_between_retries: float = 2,
    on: type[BaseException] | Sequence[type[BaseException]] = (),
) -> S | Callable[[S], S]:
    """Try the step again when it fails.

    Parameters
    ----------
    times
        How many more attempts after the first; 0 turns retries off.
    minutes_between_retries
        Pause before each; Airflow keeps it, the local runner tries again at once.
    on
        Exceptions that are worth another attempt, with all their subclasses; any when not given.
        After another one the step fails, or is caught, at once.
    """
    kinds = (on,) if isinstance(on, type) else tuple(on)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise refused(
            "retry", f"on={on!r} names no exceptions", "write on=OSError or on=(OSError, KeyError)."
        )
    names = tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
    count = _number("retry", "times", times, whole=True)
    pause = _number("retry", "minutes_between_retries", minutes_between_retries)
    return _change("retry", function, lambda old: replace(old, retry=Retry(int(count), pause * 60, names)))


@overload
def catch(function: S) -> S: ...
@overload
def catch(*, var: str | None = None, print_exception: bool = True) -> Callable[[S], S]: ...
@offered
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
        raise refused(
            "catch", f"var={var!r} cannot name an artifact", "write an identifier, e.g. var='failure'."
        )
    return _change("catch", function, lambda old: replace(old, catch=Catch(var, print_exception)))


@offered
def timeout(*, seconds: float = 0, minutes: float = 0, hours: float = 0) -> Callable[[S], S]:
    """End an attempt that takes longer than the sum of the given times; it counts as failed."""
    parts = (("seconds", seconds, 1), ("minutes", minutes, 60), ("hours", hours, 3600))
    total = sum(_number("timeout", name, value) * factor for name, value, factor in parts)
    if total <= 0:
        raise refused("timeout", "the time is 0", "give seconds, minutes or hours above 0.")
    return _decorate("timeout", lambda old: replace(old, timeout_s=float(total)))


@offered
def environment(*, vars: Mapping[str, object]) -> Callable[[S], S]:  # noqa: A002 - Metaflow's name
    """Set environment variables while the step runs; values become text."""
    variables = {str(name): str(value) for name, value in vars.items()}
    return _decorate("environment", lambda old: replace(old, variables={**old.variables, **variables}))


@offered
def secrets(
    *, sources: Sequence[str | Mapping[str, Any]], role: str | None = None, allow_override: bool = False
) -> Callable[[S], S]:
    """Set environment variables from secrets while the step runs; their values are recorded nowhere.

    Parameters
    ----------
    sources
        ``"type:id"`` or ``{"type", "id", "options"}``, with the types ``env``, ``airflow-variable``,
        ``airflow-connection``, ``aws-secrets-manager`` and ``inline``. A JSON object gives a variable
        a field; the option ``env_var_name`` names the variable of any other value.
    role
        Role to read with, handed to the source as an option.
    allow_override
        Replace variables that are set already.
    """
    found = []
    for source in sources:
        if isinstance(source, str):
            kind, _, name = source.partition(":")
            entry = SecretSource(kind, name, {"role": role} if role else {})
        else:
            options = {**({"role": role} if role else {}), **(source.get("options") or {})}
            entry = SecretSource(str(source.get("type", "")), str(source.get("id", "")), options)
        if not entry.type or (not entry.id and entry.type != "inline"):
            raise refused(
                "secrets", "a source has no type or no id", "write 'type:id', e.g. 'env:DB_PASSWORD'."
            )
        found.append(entry)
    return _decorate(
        "secrets", lambda old: replace(old, secrets=tuple(found), secrets_override=allow_override)
    )


@offered
def parallel(function: S) -> S:
    """Run all tasks of this step at once, each knowing the others by ``current.parallel``.

    The step before it says how many: ``self.next(self.train, num_parallel=4)``.
    """
    decorate: Callable[[S], S] = _decorate("parallel", lambda old: replace(old, parallel=True))
    return decorate(function)


@offered
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


def refused(name: str, what: str, mend: str, kind: type[FlowError] = FlowError) -> FlowError:
    return kind(f"@{name}: {what}", where=caller(), mend=mend)


def _number(
    name: str, argument: str, value: object, kind: type[FlowError] = FlowError, *, whole: bool = False
) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < float("inf") or (whole and number != int(number)):
        what = "a whole number" if whole else "a number"
        raise refused(name, f"{argument}={value!r} is refused", f"write {what} of 0 or more.", kind)
    return number


def _size(argument: str, value: object) -> int | None:
    return None if value is None else int(_number("resources", argument, value, SizeError, whole=True))
