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
from airloom.operators.references import datastore, items, note, resolve, whole_of
from airloom.operators.xcom_args import ArtifactsXComArg

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg
    from airflow.sdk.bases.decorator import TaskDecorator

    from airloom.codec import Json

RETURN = "return_value"
"""Name of the artifact of a task that returns one value: that of Airflow's XCom."""

_SIZES = {"cpu": "cpu", "memory": "memory_mib", "gpu": "gpu", "disk": "disk_mib"}


class ArtifactsOperator(DecoratedOperator, PythonOperator):
    """Call a function, and save what it returns as artifacts of one attempt.

    Parameters
    ----------
    outputs
        Names of the values that the function returns, as a tuple in this order or as a dict; None
        for one value, or for a dict with ``multiple_outputs``.
    target
        ``worker``: where the function runs.
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
        target: str = "worker",
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
        self.target = target
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
        from airloom.operators.execution import translate
        from airloom.operators.recording import Recording
        from airloom.sizing.catalogue import Size

        size = None if self.size is None else Size(**self.size)  # type: ignore[arg-type]
        try:
            code = getattr(inspect.unwrap(self.python_callable), "__code__", None)
            recording = Recording(context, getattr(code, "co_filename", None), size)
            value, saved = recording.run(lambda: self._call(context), self.named)
        except AirloomError as error:
            translate(error)
        return self._answer(context, value, saved)

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
        if not self.multiple_outputs:
            return {} if value is None else {RETURN: value}
        where = f"the task {self.task_id!r} of the DAG {self.dag_id!r}"
        if self.outputs is None:
            if not isinstance(value, Mapping):
                raise FlowError(
                    f"it returned {type(value).__name__}, and says that it returns several values by name",
                    where=where,
                    mend="return a dict, or name the values: @task.artifacts(outputs=('model', 'score')).",
                )
            return {str(name): item for name, item in value.items()}
        names = list(self.outputs)
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

    def _answer(self, context: Context, value: Any, saved: dict[str, dict[str, Json]]) -> Any:
        if self.multiple_outputs:
            return saved
        if RETURN not in saved:
            return None
        # Airflow maps over as many items as what is pushed has.
        mapped = isinstance(value, (list, tuple, dict)) and not context["ti"].is_mapped
        if mapped and next(iter(self.iter_mapped_dependants()), None) is not None:
            return items(saved[RETURN], value)
        return saved[RETURN]


class _ArtifactsDecorator(_TaskDecorator[Any, Any, ArtifactsOperator]):
    """The function of a DAG file while the file is read: each call of it is a task."""

    def __call__(self, *args: Any, **kwargs: Any) -> XComArg:
        return _ours(super().__call__(*args, **kwargs))

    def _expand(self, expand_input: Any, *, strict: bool) -> XComArg:
        return _ours(super()._expand(expand_input, strict=strict))


def _ours(made: Any) -> ArtifactsXComArg:
    return ArtifactsXComArg(operator=made.operator, key=made.key)


def artifacts_task(
    python_callable: Callable[..., Any] | None = None,
    multiple_outputs: bool | None = None,
    *,
    outputs: Sequence[str] | None = None,
    target: str = "worker",
    resources: Mapping[str, float] | None = None,
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
        ``worker``.
    resources
        What the task asks for, noted with each attempt: cpu in vCPU, memory and disk in MiB, gpu.
    **kwargs
        Whatever ``@task`` takes: retries, pool, queue, ...

    Raises
    ------
    FlowError
        When the target or a resource is not known, or outputs name nothing.
    """
    where = f"@task.artifacts on {getattr(python_callable, '__name__', 'a function')}"
    if target != "worker":
        raise FlowError(
            f"a function cannot run on {target!r}: @task.artifacts runs on the Airflow worker",
            where=where,
            mend="write a flow with @batch or @ecs for it, and run it as a task; or leave target= out.",
        )
    for name in resources or {}:
        if name not in _SIZES:
            raise FlowError(
                f"there is no resource {name!r}", where=where, mend=did_you_mean(name, list(_SIZES))
            )
    if resources is not None:
        kwargs["size"] = {_SIZES[name]: number for name, number in resources.items()}
    if outputs is not None:
        if isinstance(outputs, str) or not outputs or len(set(outputs)) != len(outputs):
            raise FlowError(
                f"outputs={outputs!r} does not name several values",
                where=where,
                mend="write a tuple of unlike names: outputs=('model', 'score').",
            )
        kwargs["outputs"] = list(outputs)
        multiple_outputs = True
    made: Any = task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=ArtifactsOperator,
        **kwargs,
    )
    if python_callable is not None:
        return cast("TaskDecorator", _ours_too(made))
    return cast("TaskDecorator", lambda function: _ours_too(made(function)))


def _ours_too(made: Any) -> Any:
    # Airflow's factory knows one class of decorators; this one differs in what a call gives.
    made.__class__ = _ArtifactsDecorator
    return made
