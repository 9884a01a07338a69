"""``@task.artifacts``: a TaskFlow task whose results are artifacts with versions.

Parsing a DAG file imports this module, so everything that only a running task needs is
imported where it runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk.bases.decorator import DecoratedOperator, _TaskDecorator, task_decorator_factory

from airloom.errors import FlowError
from airloom.names import did_you_mean
from airloom.operators.references import datastore, note, resolve, returned, whole_of
from airloom.operators.xcom_args import ArtifactsXComArg

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg
    from airflow.sdk.bases.decorator import TaskDecorator


_TARGETS = ("worker", "batch", "ecs")
_SIZES = {"cpu": "cpu", "memory": "memory_mib", "gpu": "gpu", "disk": "disk_mib"}


class ArtifactsOperator(DecoratedOperator, PythonOperator):
    """Call a function, and save what it returns as artifacts of one attempt.

    Parameters
    ----------
    outputs
        Names of the values that the function returns, as a tuple in this order or as a dict; None
        for one value, or for a dict with ``multiple_outputs``.
    size
        What the task asks for, noted with each attempt: cpu in vCPU, memory and disk in MiB, gpu.
    """

    takes_references: ClassVar[bool] = True

    template_fields: Sequence[str] = ("templates_dict", "op_args", "op_kwargs")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "templates_dict": "json",
        "op_args": "py",
        "op_kwargs": "py",
    }
    ui_color = "#dbe8f4"
    custom_operator_name = "@task.artifacts"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        outputs: Sequence[str] | None = None,
        size: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        upstream = {"python_callable": python_callable, "op_args": op_args, "op_kwargs": op_kwargs}
        # The value itself may be of any size: Airflow's log gets the names of the artifacts.
        kwargs.setdefault("show_return_value_in_logs", False)
        super().__init__(
            kwargs_to_upstream=upstream,
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            **kwargs,
        )
        self.outputs = outputs
        self.size = size

    def execute(self, context: Context) -> Any:
        """Load the arguments, call the function, save what it returns; return the references.

        Raises
        ------
        AirflowFailException
            When an artifact cannot be saved or loaded, and another try cannot help.
        AirflowException
            When the datastore does not answer.
        """
        from airloom.errors import AirloomError
        from airloom.operators.dagplan import file_of
        from airloom.operators.execution import translate
        from airloom.operators.recording import Recording
        from airloom.sizing.catalogue import Size

        size = None if self.size is None else Size(**self.size)  # type: ignore[arg-type]
        try:
            recording = Recording(context, file_of(self.python_callable), size)
            value, saved = recording.run(lambda: self._call(context), self.named)
        except AirloomError as error:
            translate(error)
        return returned(self, context, saved, lambda _: value)

    def _call(self, context: Context) -> Any:
        wanted = inspect.signature(self.python_callable)
        bound = wanted.bind_partial(*self.op_args, **self.op_kwargs)
        for name, value in bound.arguments.items():
            bound.arguments[name] = self._argument(wanted.parameters[name], value)
        self.op_args, self.op_kwargs = bound.args, bound.kwargs
        return super().execute(context)

    def _argument(self, parameter: inspect.Parameter, value: Any) -> Any:
        whole = whole_of(value) if "DataArtifact" in str(parameter.annotation) else None
        if whole is not None:
            from airloom.client import Task

            note(whole)
            task, _, name = str(whole["pathspec"]).rpartition("/")
            saved = Task(task, whole["attempt"], datastore=datastore(), _namespace_check=False)
            return saved[name]
        return resolve(value)

    def named(self, value: Any) -> Mapping[str, object]:
        """Give the artifacts by name that a returned value stands for."""
        from airloom.runtime.calls import named

        where = f"the task {self.task_id!r} of the DAG {self.dag_id!r}"
        return named(value, self.outputs, several=self.multiple_outputs, where=where)


class _ArtifactsDecorator(_TaskDecorator[Any, Any, ArtifactsOperator]):
    """The function of a DAG file while the file is read: each call of it is a task."""

    def __call__(self, *args: Any, **kwargs: Any) -> XComArg:
        return _ours(super().__call__(*args, **kwargs))

    def _expand(self, expand_input: Any, *, strict: bool) -> XComArg:
        made: Any = super()._expand(expand_input, strict=strict)
        job: Any = self.operator_class
        if hasattr(job, "airloom_target"):
            given = made.operator.partial_kwargs
            own = int(given.get("retries") or 0)
            given |= {"own_retries": own, "retries": job.all_retries(given["needs"], own)}
        return _ours(made)


def _ours(made: Any) -> ArtifactsXComArg:
    return ArtifactsXComArg(operator=made.operator, key=made.key)


def artifacts_task(
    python_callable: Callable[..., Any] | None = None,
    multiple_outputs: bool | None = None,
    *,
    outputs: Sequence[str] | None = None,
    target: str | None = None,
    resources: Mapping[str, Any] | None = None,
    batch: Mapping[str, Any] | None = None,
    ecs: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> TaskDecorator:
    """Make a TaskFlow task whose results are artifacts: ``@task.artifacts``.

    Parameters
    ----------
    python_callable
        The function.
    multiple_outputs
        It returns a dict whose values are artifacts of their own; follows from the type hint of
        what it returns, as with ``@task``.
    outputs
        Names of the values that it returns, as a tuple in this order or as a dict.
    target
        ``worker``, ``batch`` or ``ecs``: where the function runs; else as ``batch=`` or ``ecs=`` says.
    resources
        What the task asks for. On the worker it is noted with each attempt: cpu in vCPU, memory and
        disk in MiB, gpu. As a job it is the size, in the arguments of @resources.
    batch, ecs
        Arguments of @batch or @ecs: queue, image, cluster ...
    **kwargs
        Whatever ``@task`` takes: retries, pool, ...; as a job also what the operators of Amazon's
        provider take: ``aws_conn_id``, ``deferrable`` ...

    Raises
    ------
    FlowError
        When the target or an argument is not known, or outputs name nothing.
    SizeError
        When nobody offers such a size.
    """
    where = f"@task.artifacts on {getattr(python_callable, '__name__', 'a function')}"
    place = _target(target, batch, ecs, where)
    if outputs is not None:
        if isinstance(outputs, str) or not outputs or len(set(outputs)) != len(outputs):
            raise FlowError(
                f"outputs={outputs!r} does not name several values",
                where=where,
                mend="write a tuple of unlike names: outputs=('model', 'score').",
            )
        kwargs["outputs"] = list(outputs)
        multiple_outputs = True
    operator: Any = ArtifactsOperator
    if place == "worker":
        for name in resources or {}:
            if name not in _SIZES:
                raise FlowError(
                    f"there is no resource {name!r}", where=where, mend=did_you_mean(name, list(_SIZES))
                )
        if resources is not None:
            kwargs["size"] = {_SIZES[name]: number for name, number in resources.items()}
    else:
        from airloom.decorators.jobs import OPERATORS, needs_of

        operator = OPERATORS[place]
        kwargs["needs"] = needs_of(place, resources or {}, (batch if place == "batch" else ecs) or {})
    made: Any = task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=operator,
        **kwargs,
    )
    if python_callable is not None:
        return cast("TaskDecorator", _ours_too(made))
    return cast("TaskDecorator", lambda function: _ours_too(made(function)))


def _target(target: str | None, batch: object, ecs: object, where: str) -> str:
    said = [name for name, one in (("batch", batch), ("ecs", ecs)) if one is not None]
    found = target or (said[0] if said else "worker")
    if found not in _TARGETS:
        raise FlowError(
            f"a function cannot run on {target!r}", where=where, mend=f"write one of {', '.join(_TARGETS)}."
        )
    if any(name != found for name in said):
        raise FlowError(
            f"target={found!r} and {said[-1]}= say two places", where=where, mend="keep one of them."
        )
    return found


def _ours_too(made: Any) -> Any:
    # Airflow's factory knows one class of decorators; this one differs in what a call gives.
    made.__class__ = _ArtifactsDecorator
    if hasattr(made.operator_class, "airloom_target"):
        _refuse_handles(made.function)
    return made


def _refuse_handles(function: Callable[..., Any]) -> None:
    for parameter in inspect.signature(function).parameters.values():
        if "DataArtifact" in str(parameter.annotation):
            raise FlowError(
                f"the argument {parameter.name!r} is a DataArtifact, which a container cannot have",
                where=f"@task.artifacts on {function.__name__}",
                mend="take the value itself, or let the function run on the worker.",
            )
