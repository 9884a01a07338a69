"""What a function of a DAG file needs as a job, said in the arguments of @resources, @batch and @ecs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airloom.errors import FlowError
from airloom.flow.declarations import STEP_MARK, StepDeclaration, step_declaration
from airloom.flow.targets import batch, ecs, resources
from airloom.plan import StepPlan, Target, Transition
from airloom.sizing.catalogue import problems

_DECORATORS: dict[Target, Callable[..., Any]] = {"batch": batch, "ecs": ecs}


def step_of_needs(target: Target, needs: Mapping[str, Any]) -> StepPlan:
    """Make the step that a function is as a job; it has no name yet.

    Parameters
    ----------
    needs
        Arguments of @resources, and below ``batch`` or ``ecs`` those of that decorator.

    Raises
    ------
    FlowError, SizeError
        When an argument is not known or no value for it, or nobody offers such a size.
    """

    def function() -> None:
        """Carry the declaration."""

    setattr(function, STEP_MARK, StepDeclaration())
    sizes = {name: value for name, value in needs.items() if name != target}
    for name, value in sizes.items():
        if callable(value):
            raise FlowError(
                f"{name} is a function: sizes of flows may be, those of a task may not",
                where="@task.artifacts(resources=...)",
                mend='write a number, or "auto" for cpu and memory.',
            )
    both: list[tuple[Callable[..., Any], Mapping[str, Any]]] = [
        (resources, sizes),
        (_DECORATORS[target], needs.get(target) or {}),
    ]
    for decorator, arguments in both:
        try:
            decorator(**arguments)(function)
        except FlowError as error:
            raise type(error)(
                error.what, where=f"@task.artifacts(target={target!r})", mend=error.mend
            ) from None
    said = step_declaration(function)
    assert said is not None  # noqa: S101 - marked above
    step = StepPlan(
        "",
        Transition("end"),
        target=target,
        resources=said.resources,
        recovery=said.recovery,
        batch=said.batch,
        ecs=said.ecs,
    )
    for problem in problems(step, f"@task.artifacts(target={target!r})"):
        raise problem
    return step
