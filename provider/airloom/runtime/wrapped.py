"""A step inside of the user's own step decorators: what runs before it, instead of it and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airloom.errors import GraphError
from airloom.flow.declarations import Written
from airloom.flow.spec import FlowSpec, Inputs, Next
from airloom.flow.user_decorators import UserStepDecorator, make
from airloom.names import did_you_mean
from airloom.plan import StepPlan

_Arguments = Mapping[str, Any]


def call(
    around: Sequence[Written],
    step: StepPlan,
    flow: FlowSpec,
    method: Callable[..., Any],
    inputs: Inputs | None,
) -> None:
    """Run a step within its decorators, the outermost first.

    Raises
    ------
    Exception
        What the step raised, unless a decorator has caught it, or what a decorator raised.
    """
    entered: list[UserStepDecorator] = []
    instead: Callable[..., Any] | None = None
    skipped: bool | _Arguments = False
    for written in reversed(around):
        decorator = make(written)
        entered.append(decorator)
        instead = decorator.pre_step(step.name, flow, inputs)
        skipped = decorator.skip_step
        if skipped or skipped == {} or instead is not None:
            break
    says: bool | _Arguments | None = skipped or (True if skipped == {} else None)
    raised: Exception | None = None
    if says is None:
        try:
            says = _run(flow, method, inputs, instead)
        except Exception as error:
            raised = error
    failed = raised is not None
    for decorator in reversed(entered):
        raised, says = _after(decorator, step.name, flow, raised, says)
    if raised is not None:
        raise raised
    if failed or says is not None:
        _go_on(step, flow, says)


def _run(
    flow: FlowSpec, method: Callable[..., Any], inputs: Inputs | None, instead: Callable[..., Any] | None
) -> bool | _Arguments | None:
    if instead is None:
        method() if inputs is None else method(inputs)
        return None
    says = instead(flow) if inputs is None else instead(flow, inputs)
    return says or None


def _after(
    decorator: UserStepDecorator,
    step: str,
    flow: FlowSpec,
    raised: Exception | None,
    says: bool | _Arguments | None,
) -> tuple[Exception | None, bool | _Arguments | None]:
    try:
        answer = decorator.post_step(step, flow, raised)
    except Exception as error:
        return error, says
    if answer is None or isinstance(answer, Exception):
        return answer, says
    if isinstance(answer, tuple) and len(answer) == 2:
        left, arguments = answer
        return left, says if arguments is None or arguments is False else arguments
    raise GraphError(
        f"the decorator {type(decorator).__name__} gave {answer!r} after the step {step!r}",
        where=decorator.airloom_written.place,
        mend="give an exception, None, or a pair of this and of arguments for self.next.",
    )


def _go_on(step: StepPlan, flow: FlowSpec, says: bool | _Arguments | None) -> None:
    """Say what comes next where the step itself did not come to it."""
    planned = step.transition
    if planned.kind == "end":
        return
    given = dict(says) if isinstance(says, Mapping) else {}
    known = {"foreach": ["foreach"], "parallel": ["num_parallel"], "switch": ["condition"]}.get(
        planned.kind, []
    )
    for name in given:
        if name not in known:
            raise GraphError(
                f"a decorator gives self.next of {step.name!r} the argument {name!r}",
                where=f"step {step.name!r}",
                mend=did_you_mean(name, known),
            )
    state = flow._airloom  # noqa: SLF001 - the runtime's own state
    targets, choice, count = planned.targets, None, None
    if planned.kind == "switch":
        value = _value(flow, step, str(given.get("condition", planned.variable)))
        case = next((one for one in planned.cases if one.value == value), None)
        if case is None:
            raise GraphError(
                f"the switch of the skipped step {step.name!r} has no case for {value!r}",
                where=f"step {step.name!r}",
                mend=f"set self.{planned.variable} to one of {[one.value for one in planned.cases]}.",
            )
        targets, choice = (case.target,), case.value
    elif planned.kind == "parallel":
        count = given.get("num_parallel", planned.count)
        if count is None and planned.variable:
            count = _value(flow, step, planned.variable)
        if count is None:
            raise GraphError(
                f"the step {step.name!r} did not come to say num_parallel",
                where=f"step {step.name!r}",
                mend="give {'num_parallel': n} where the step is skipped.",
            )
    state.next = Next(
        targets=targets,
        foreach=given.get("foreach", planned.variable) if planned.kind == "foreach" else None,
        condition=planned.variable if planned.kind == "switch" else None,
        num_parallel=count,
        choice=choice,
        allow_empty=planned.allow_empty,
        replaced=True,
    )


def _value(flow: FlowSpec, step: StepPlan, name: str) -> Any:
    try:
        return getattr(flow, name)
    except AttributeError:
        raise GraphError(
            f"what follows the skipped step {step.name!r} depends on self.{name}, which is not set",
            where=f"step {step.name!r}",
            mend=f"set flow.{name} in the decorator.",
        ) from None
