"""A function of a DAG file as an attempt: `@task.artifacts` in a container, where there is no Airflow.

What the function is and gets travels as one artifact, the call, which the attempt's ``begin`` names. Values
of other tasks stay references in it: the container loads them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airloom.errors import ArtifactError, FlowError, VersionSkew
from airloom.flow.spec import FlowSpec, TaskState
from airloom.plan import Plan
from airloom.runtime import references
from airloom.runtime.lineage import Parent
from airloom.runtime.task import Task, TaskRequest
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import ArtifactRecord, DoneRecord, Outcome, Usage

CALL = "call"
PYTHON = "python"
"""Key in an attempt's origin: major and minor version of the Python that the function comes from."""


@dataclass(frozen=True)
class Call:
    """A function, its arguments with references in them, and the names of what it returns.

    ``outputs`` are the names of several values, None where it returns one; with ``several`` and
    without names it returns a dict of them.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] | None = None
    several: bool = False


def python_of_this() -> str:
    """Major and minor version of this Python: a function's code is read by no other one."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def flow_without_steps(plan: Plan) -> type[FlowSpec]:
    """Make the class of a flow whose one step is a function: the call has it, not the class."""
    return type(plan.flow, (FlowSpec,), {})


def named(value: Any, outputs: Sequence[str] | None, *, several: bool, where: str) -> Mapping[str, object]:
    """Give the artifacts by name that a returned value stands for.

    Raises
    ------
    FlowError
        When it is not what the task says that it returns.
    """
    if not several:
        return {} if value is None else {references.RETURN: value}
    if outputs is None:
        if not isinstance(value, Mapping):
            raise FlowError(
                f"it returned {type(value).__name__}, and says that it returns several values by name",
                where=where,
                mend="return a dict, or name the values: @task.artifacts(outputs=('model', 'score')).",
            )
        return {str(name): item for name, item in value.items()}
    names = list(outputs)
    if isinstance(value, Mapping):
        found = {str(name): item for name, item in value.items()}
        if set(found) == set(names):
            return {name: found[name] for name in names}
        returned = f"values of the names {', '.join(found)}"
    elif isinstance(value, (tuple, list)):
        if len(value) == len(names):
            return dict(zip(names, value, strict=True))
        returned = f"{len(value)} values"
    else:
        returned = f"one {type(value).__name__}"
    raise FlowError(
        f"it returned {returned}, and says that it returns {', '.join(names)}",
        where=where,
        mend="return a tuple in the order of outputs=, or a dict with these keys.",
    )


class CallTask(Task):
    """One attempt at a function; what a flow's step inherits it has as arguments."""

    def __init__(self, datastore: Datastore, plan: Plan, request: TaskRequest) -> None:
        super().__init__(datastore, plan, flow_without_steps(plan), request)

    @cached_property
    def _wanted(self) -> Call:
        """Load the call.

        Raises
        ------
        VersionSkew
            When the function comes from another Python.
        ArtifactError
            When it needs what this image has not.
        """
        theirs = self.request.origin.get(PYTHON)
        if theirs != python_of_this():
            raise VersionSkew(
                f"the function comes from Python {theirs}, and the image has Python {python_of_this()}",
                where=self.key.pathspec,
                mend="name an image with the worker's Python: no other one reads the code of a function.",
            )
        record = self.request.call
        assert record is not None  # noqa: S101 - else it would be another kind of task
        try:
            found = self.datastore.load_artifact(record, f"{self.key.pathspec}/{CALL}").value
        except ArtifactError as error:
            raise ArtifactError(
                f"the function cannot be loaded in the container: {error.__cause__ or error.what}",
                where=self.key.pathspec,
                mend="let it use nothing of Airflow that the DAG file imports; its packages have to be "
                "in the image.",
            ) from error
        assert isinstance(found, Call)  # noqa: S101 - saved as such
        return found

    def _parents(self) -> list[Parent]:
        try:
            call = self._wanted
        except Exception:  # raised again when the attempt is to run, where it is recorded
            return []
        read: dict[str, Parent] = {}
        for found in references.inside((call.args, call.kwargs)):
            name = references.attempt_of(found)
            *task, artifact = str(found["pathspec"]).split("/", 4)
            if name not in read:
                nothing = DoneRecord("", {}, Outcome(()), Usage(0.0, 0.0, 0.0))
                read[name] = Parent(self.datastore, TaskKey(*task), (), int(found["attempt"]), nothing)
            if "digest" in found:
                read[name].artifacts[artifact] = references.record_of(self.datastore, found)
        return list(read.values())

    def _instance(self, parents: list[Parent]) -> FlowSpec:
        _ = self._wanted  # what is wrong with it ends the attempt here, where that is recorded
        instance = self.flow(use_cli=False)
        object.__setattr__(instance, "_airloom", TaskState({}))
        return instance

    def _call(self, instance: FlowSpec, parents: list[Parent]) -> None:
        call = self._wanted
        args, kwargs = references.fill((call.args, call.kwargs), self._load)
        value = call.function(*args, **kwargs)
        where = f"the task {self.key.step!r} of the DAG {self.key.flow!r}"
        vars(instance).update(named(value, call.outputs, several=call.several, where=where))

    def _outcome(self, instance: FlowSpec) -> Outcome:
        return Outcome(self.step.transition.targets)

    def _load(self, found: dict[str, Any], whole: dict[str, Any]) -> Any:
        def value(pathspec: str) -> Any:
            record = references.record_of(self.datastore, found)
            return self.datastore.load_artifact(record, pathspec).value

        return references.part(found, whole, value)


def call_record(datastore: Datastore, call: Call) -> ArtifactRecord:
    """Save a call; an attempt names it when it is claimed.

    Raises
    ------
    ArtifactError
        When the function or an argument cannot be saved.
    """
    return datastore.save_artifacts({CALL: call})[CALL]


def context_arguments(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    """Give the arguments of a function with those that it takes from Airflow's context by their names.

    Raises
    ------
    FlowError
        When one of them is nothing that can travel to a container, as ``ti``.
    """
    wanted = inspect.signature(function).parameters
    bound = inspect.signature(function).bind_partial(*args, **kwargs).arguments
    found = dict(kwargs)
    for name, parameter in wanted.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name in context and bound.get(name) is None:
            found[name] = _plain(name, context[name], function)
    return found


def _plain(name: str, value: Any, function: Callable[..., Any]) -> Any:
    from datetime import datetime

    if name == "params":
        return dict(value)
    if value is None or isinstance(value, (str, int, float, datetime)):
        return value
    raise FlowError(
        f"the function wants {name!r} of Airflow's context, and that stays with the worker",
        where=f"the function {getattr(function, '__name__', function)!r}",
        mend="give it what it needs as an argument: texts, numbers, times and params can travel.",
    )
