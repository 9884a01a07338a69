"""The decorators of steps.

Each leaves a frozen value on the function (`flow.declarations`) and does
nothing else: behaviour lives in the stage that reads the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast, overload
from urllib.parse import urlsplit

from airloom.errors import FlowError, GraphError, Place
from airloom.flow.declarations import STEP_MARK, SecretSource, StepDeclaration, step_declaration
from airloom.flow.registry import STEP_DECORATORS, caller, offering
from airloom.plan import Catch, Retry

S = TypeVar("S", bound=Callable[..., Any])
Change = Callable[[StepDeclaration], StepDeclaration]
offered = offering(STEP_DECORATORS)

_LONGEST_ASSET = 1500


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
    count = number("retry", "times", times, whole=True)
    pause = number("retry", "minutes_between_retries", minutes_between_retries)
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
    total = sum(number("timeout", name, value) * factor for name, value, factor in parts)
    if total <= 0:
        raise refused("timeout", "the time is 0", "give seconds, minutes or hours above 0.")
    return decorate("timeout", lambda old: replace(old, timeout_s=float(total)))


@offered
def environment(*, vars: Mapping[str, object]) -> Callable[[S], S]:  # noqa: A002 - Metaflow's name
    """Set environment variables while the step runs; values become text."""
    variables = {str(name): str(value) for name, value in vars.items()}
    return decorate("environment", lambda old: replace(old, variables={**old.variables, **variables}))


@offered
def assets(*, inlets: str | Sequence[str] = (), outlets: str | Sequence[str] = ()) -> Callable[[S], S]:
    """Say which Airflow assets the step's code reads and writes; it has no effect outside of Airflow.

    Parameters
    ----------
    inlets, outlets
        URIs or names of assets, one or several. A step that succeeds makes its outlets new: DAGs that are
        scheduled on them run, and find the step's task in the event.

    Notes
    -----
    What can be an asset: "Assets" in Airflow's documentation, and ``_validate_asset_name`` and
    ``_sanitize_uri`` in airflow/sdk/definitions/asset of 3.1 to 3.3; Amazon's provider wants a bucket.

    Raises
    ------
    FlowError
        When an asset is none that Airflow takes, holds a password, or stands twice.
    """
    read, written = _assets("inlets", inlets), _assets("outlets", outlets)
    if not read and not written:
        raise refused("assets", "it names no asset", "write e.g. outlets=['s3://bucket/orders'].")
    return decorate("assets", lambda old: replace(old, inlets=read, outlets=written))


def _assets(argument: str, value: object) -> tuple[str, ...]:
    several = (
        (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else (value,)
    )
    for one in several:
        if not isinstance(one, str):
            raise refused(
                "assets", f"{argument} has {one!r}, which is no text", "write URIs or names of assets."
            )
        problem = _problem_of_asset(one)
        if argument == "outlets" and one.lower().startswith("x-airloom:"):
            problem = "is that of a flow", "leave it out: the flow's last step makes it new by itself."
        if problem is not None:
            shown = re.sub("//.*@", "//...@", one)  # a password is not to stand in a log
            raise refused("assets", f"{argument}: the asset {shown!r} {problem[0]}", problem[1])
    if len(set(several)) != len(several):
        raise refused("assets", f"{argument} has an asset twice", "keep one of them.")
    return cast("tuple[str, ...]", several)


def _problem_of_asset(text: str) -> tuple[str, str] | None:
    if not text.strip() or not text.isascii() or not text.isprintable() or len(text) > _LONGEST_ASSET:
        return "is refused", f"write 1 to {_LONGEST_ASSET} printable ASCII signs: all databases keep these."
    if text in ("self", "context"):
        return "has a name that Airflow keeps for itself", "choose another one."
    try:
        parts = urlsplit(text)
    except ValueError as error:
        return f"is no URI: {error}", "write it as scheme://place/path."
    if parts.password is not None:
        return "holds a password", "leave user and password out: they are no part of what the asset is."
    if parts.scheme == "airflow":
        return "has the scheme 'airflow', which is taken", "name it by what the step reads or writes."
    if parts.scheme == "s3" and not parts.netloc:
        return "names no bucket", "write s3://bucket/key."
    return None


@offered
def secrets(
    *, sources: Sequence[str | Mapping[str, Any]], role: str | None = None, allow_override: bool = False
) -> Callable[[S], S]:
    """Set environment variables from secrets while the step runs; their values are recorded nowhere.

    Parameters
    ----------
    sources
        ``"type:id"`` or ``{"type", "id", "options"}``, with the types ``env``, ``airflow-variable``,
        ``airflow-connection``, ``aws-secrets-manager``, ``gcp-secret-manager``, ``az-key-vault`` and
        ``inline``. A JSON object gives a variable a field; the option ``env_var_name`` names the
        variable of any other value.
    role
        ARN of the AWS role that is assumed to read them; an option of one source, too.
    allow_override
        Replace variables that are set already.

    Raises
    ------
    FlowError
        When a source has no type or no id, or a role is given to one that knows none.
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
        if entry.options.get("role") and entry.type != "aws-secrets-manager":
            raise refused(
                "secrets",
                f"the source {entry.name} is read with no role",
                "give the option role to sources of the type aws-secrets-manager only.",
            )
        found.append(entry)
    return decorate(
        "secrets", lambda old: replace(old, secrets=tuple(found), secrets_override=allow_override)
    )


@offered
def parallel(function: S) -> S:
    """Run all tasks of this step at once, each knowing the others by ``current.parallel``.

    The step before it says how many: ``self.next(self.train, num_parallel=4)``.
    """
    mark: Callable[[S], S] = decorate("parallel", lambda old: replace(old, parallel=True))
    return mark(function)


def _change(name: str, function: S | None, change: Change) -> S | Callable[[S], S]:
    mark: Callable[[S], S] = decorate(name, change)
    return mark if function is None else mark(function)


def decorate(name: str, change: Change) -> Callable[[S], S]:
    """Make a decorator that changes what stands on a step, once a step."""

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
    """Make the error of a decorator, with the line that it is written in."""
    return kind(f"@{name}: {what}", where=caller(), mend=mend)


def number(
    name: str, argument: str, value: object, kind: type[FlowError] = FlowError, *, whole: bool = False
) -> float:
    """Read an argument that is a number of 0 or more, also where it comes as a text."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = -1.0
    if isinstance(value, bool) or not 0 <= found < float("inf") or (whole and found != int(found)):
        what = "a whole number" if whole else "a number"
        raise refused(name, f"{argument}={value!r} is refused", f"write {what} of 0 or more.", kind)
    return found
