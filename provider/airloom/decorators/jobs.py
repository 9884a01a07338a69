"""``@task.artifacts(target="batch")`` and ``"ecs"``: the function runs as a job, sized as it asks.

Only DAG files that say so import this module: the operators of Amazon's provider come with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator

from airloom.decorators.needs import step_of_needs
from airloom.operators.batch import BatchStepOperator
from airloom.operators.ecs import EcsStepOperator
from airloom.operators.job import OF_FLOW, FunctionJob
from airloom.plan import Retry
from airloom.sizing.recovery import retries

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.plan import StepPlan, Target


def _fields(operator: type[BatchStepOperator | EcsStepOperator]) -> tuple[str, ...]:
    """Name the template fields of a function: of a flow it has none."""
    own = (name for name in operator.template_fields if name not in OF_FLOW)
    return ("op_args", "op_kwargs", "needs", *own)


class ArtifactsJob(FunctionJob):
    """A function as a job: what both targets have in common.

    Parameters
    ----------
    outputs
        As for `ArtifactsOperator`.
    needs
        Arguments of @resources, and below ``batch`` or ``ecs`` those of that decorator.
    own_retries
        Retries of the user's own failures. ``retries``, which Airflow counts, is the sum of all budgets.
    kwargs
        Those of the operator of the target: ``aws_conn_id``, ``deferrable``, ``poll_interval`` ...
    """

    airloom_target: ClassVar[Target]
    takes_references: ClassVar[bool] = True
    custom_operator_name: ClassVar[str] = "@task.artifacts"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        outputs: Sequence[str] | None = None,
        needs: Mapping[str, Any] | None = None,
        own_retries: int | None = None,
        **kwargs: Any,
    ) -> None:
        # The container keeps the time limit, from its start on: a job may wait long for its place.
        limit = kwargs.pop("execution_timeout", None)
        super().__init__(  # type: ignore[call-arg] # the operator of the target comes behind
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            flow="",
            plan="",
            timeout=limit,
            **kwargs,
        )
        self.outputs = outputs
        self.needs = needs
        self.own_retries = own_retries
        if own_retries is None:
            self.own_retries = self.retries or 0
            self.retries = self.all_retries(needs or {}, self.own_retries)

    @classmethod
    def all_retries(cls, needs: Mapping[str, Any], own: int) -> int:
        """Count the tries after the first one that Airflow has to allow, ``own`` for the user's failures."""
        return retries(replace(step_of_needs(cls.airloom_target, needs), retry=Retry(own)))

    def declared(self) -> StepPlan:
        """Give target, sizes and budgets of the task."""
        return step_of_needs(self.airloom_target, self.needs or {})

    def execute(self, context: Context) -> Any:
        """Run the function as a job; see `JobStep.execute`."""
        return FunctionJob.execute(self, context)


class ArtifactsBatchOperator(ArtifactsJob, DecoratedOperator, BatchStepOperator):
    """Call a function in a job of AWS Batch, and save what it returns as artifacts of one attempt."""

    airloom_target: ClassVar[Target] = "batch"
    template_fields: Sequence[str] = _fields(BatchStepOperator)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **BatchStepOperator.template_fields_renderers,
        "op_args": "py",
        "op_kwargs": "py",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # Airflow wraps the constructor of each class of operators


class ArtifactsEcsOperator(ArtifactsJob, DecoratedOperator, EcsStepOperator):
    """Call a function in a task of Amazon ECS, and save what it returns as artifacts of one attempt."""

    airloom_target: ClassVar[Target] = "ecs"
    template_fields: Sequence[str] = _fields(EcsStepOperator)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **EcsStepOperator.template_fields_renderers,
        "op_args": "py",
        "op_kwargs": "py",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # Airflow wraps the constructor of each class of operators


OPERATORS: dict[str, type[ArtifactsJob]] = {"batch": ArtifactsBatchOperator, "ecs": ArtifactsEcsOperator}


def needs_of(target: str, resources: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Put together what a function asks for, as far as it is right.

    Raises
    ------
    FlowError, SizeError
        See `step_of_needs`.
    """
    needs = {**resources, target: dict(options)} if options else dict(resources)
    step_of_needs(OPERATORS[target].airloom_target, needs)
    return needs
