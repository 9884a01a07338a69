"""Which transition a step has taken, and how wide: read from what its code left behind."""

from __future__ import annotations

from typing import Any

from airloom.errors import GraphError
from airloom.flow.spec import FlowSpec
from airloom.plan import StepPlan
from airloom.runtime.lineage import ITEMS
from airloom.store.records import Outcome


def outcome(step: StepPlan, instance: FlowSpec, where: str) -> Outcome:
    """Read which transition a step has taken, and refuse one that its source does not say.

    Raises
    ------
    GraphError
        When it took none, another one, or spreads over nothing.
    """
    taken, planned = instance._airloom.next, step.transition  # noqa: SLF001 - its own state
    if planned.kind == "end":
        return Outcome()
    if taken is None:
        raise GraphError(
            f"the step {step.name!r} ended without self.next()",
            where=where,
            mend="a return before self.next() leaves the run without a next step: end the step with it.",
        )
    other = taken.foreach not in (planned.variable, None) and not taken.replaced
    if not set(taken.targets) <= set(planned.targets) or other:
        raise GraphError(
            f"the step {step.name!r} went to {', '.join(taken.targets)}, "
            f"but its source says {', '.join(planned.targets)}",
            where=where,
            mend="do not build the transition at run time: write the steps out in self.next().",
        )
    if planned.kind == "foreach":
        return Outcome(planned.targets, _spread(step, instance, where))
    if planned.kind == "parallel":
        return Outcome(planned.targets, _gang_size(step, taken.num_parallel, where))
    if planned.kind == "switch":
        return Outcome(taken.targets, choice=taken.choice)
    return Outcome(planned.targets)


def _gang_size(step: StepPlan, size: object, where: str) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise GraphError(
            f"num_parallel of {step.name!r} is {size!r}",
            where=where,
            mend="give a whole number of at least 1.",
        )
    return size


def _spread(step: StepPlan, instance: FlowSpec, where: str) -> int:
    """Width of a foreach; what cannot be indexed later becomes a list now."""
    taken, planned = instance._airloom.next, step.transition.variable or ""  # noqa: SLF001
    name = (taken.foreach if taken is not None else None) or planned
    try:
        items = getattr(instance, name)
    except AttributeError:
        raise GraphError(
            f"the foreach of {step.name!r} iterates over self.{name}, which is not set",
            where=where,
            mend=f"set self.{name} before self.next(), in this step or one before it.",
        ) from None
    if not _indexable(items):
        try:
            items = list(items)
        except TypeError:
            raise GraphError(
                f"the foreach of {step.name!r} iterates over self.{name}, "
                f"which is {type(items).__name__} and has no items",
                where=where,
                mend="set it to a list.",
            ) from None
        if hasattr(getattr(instance, name), "__next__"):
            setattr(instance, name, items)  # an iterator is used up now, and could not be saved
        setattr(instance, ITEMS, items)
    elif name != planned:
        setattr(instance, ITEMS, items)
    width = len(items)
    if width == 0 and not step.transition.allow_empty:
        raise GraphError(
            f"the foreach of {step.name!r} has nothing to iterate over: self.{name} is empty",
            where=where,
            mend="give it items, or write allow_empty=True to go on with the join.",
        )
    return width


def _indexable(items: Any) -> bool:
    """Say whether ``items[i]`` gives the i-th item; a dict's or a data frame's does not."""
    return isinstance(items, (list, tuple, range, str)) or type(items).__module__.split(".")[0] == "numpy"
