"""An attempt failed: may there be another one, at which size, and which budget pays for it.

Airflow counts one number of retries for a task. `retries` is the sum of all budgets, which the
DAG file says; `after` tells from the attempts so far whether the budget of this kind of failure is
used up, and then the operator fails for good. So a spot instance that is reclaimed costs none of
the attempts that @retry gives to the user's own errors.

>>> from airloom.plan import Resources, Retry, StepPlan, Transition
>>> needs = Resources(memory_mib=256)
>>> step = StepPlan("fit", Transition("end"), target="batch", resources=needs, retry=Retry(2))
>>> retries(step)
13
>>> killed = Former(FailureKind.OUT_OF_MEMORY, memory_mib=256)
>>> following = after(step, [killed])
>>> following.again, following.budget, following.memory_mib, following.retry_count
(True, 'growth', 512, 0)
>>> following.sentence
'out of memory at 256 MiB: the next attempt gets 512 MiB (1 of 4 growths)'
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from airloom.failures import FailureKind
from airloom.plan import Platform, StepPlan
from airloom.sizing.catalogue import Size, declared, most_memory_mib, platform_of

Budget = Literal["retry", "growth", "reclaim", "loss", "none"]

_BUDGETS: dict[FailureKind, Budget] = {
    FailureKind.OUT_OF_MEMORY: "growth",
    FailureKind.SPOT_RECLAIMED: "reclaim",
    FailureKind.IMAGE_PULL: "loss",
    FailureKind.START_FAILED: "loss",
    FailureKind.LOST_HOST: "loss",
    FailureKind.TIMEOUT: "retry",
    FailureKind.USER_CODE: "retry",
    FailureKind.UNKNOWN: "retry",
    FailureKind.NEVER_STARTED: "none",
    FailureKind.VERSION_SKEW: "none",
    FailureKind.CANCELLED: "none",
}
GROWN = "grown after out of memory"
"""Why an attempt has more memory than the one before."""

_WORDS: dict[Budget, str] = {"retry": "retries", "reclaim": "reclaims", "loss": "losses"}


@dataclass(frozen=True, slots=True)
class Former:
    """An attempt of this generation that failed.

    ``memory_mib`` is what it had, None when nothing limited it. ``again``: False when no other attempt
    can help, as `Failure.again` and the record of a failure for good say it.
    """

    kind: FailureKind
    memory_mib: int | None = None
    again: bool = True

    @property
    def budget(self) -> Budget:
        """Which budget its successor is paid from."""
        budget = _BUDGETS[self.kind]
        # What had no limit cannot grow: the machine itself had no more.
        return "retry" if budget == "growth" and self.memory_mib is None else budget


@dataclass(frozen=True, slots=True)
class Next:
    """What follows after the attempts so far.

    ``sentence`` is for the log. ``memory_mib`` is what the next attempt gets, None: as at first.
    ``retry_count`` counts the failures that @retry pays for; ``last_try`` says that another one
    of these would be the last, so that @catch takes effect. ``reclaims`` are the attempts
    that were lost with a spot instance.
    """

    again: bool
    budget: Budget
    sentence: str
    memory_mib: int | None = None
    retry_count: int = 0
    last_try: bool = False
    reclaims: int = 0

    def on_spot(self, step: StepPlan) -> bool:
        """Whether the next attempt goes to the spot queue or provider, where the step names one."""
        if step.batch is not None:
            return step.batch.spot_queue is not None and self.reclaims < step.batch.fallback_after
        if step.ecs is not None:
            return step.ecs.spot_capacity_provider is not None and self.reclaims < step.ecs.fallback_after
        return False


def after(step: StepPlan, former: Sequence[Former], platform: Platform | None = None) -> Next:
    """Say what follows after these attempts, in their order; without any, the first one.

    Parameters
    ----------
    platform
        Where the jobs run when the step does not say it: it bounds what memory grows to.
    """
    used = {budget: sum(one.budget == budget for one in former) for budget in ("retry", "reclaim", "loss")}
    growths = sum(one.budget == "growth" for one in former)
    allowed = {"retry": step.retry.times, "reclaim": step.recovery.reclaims, "loss": step.recovery.losses}
    memory = former[-1].memory_mib if former else None
    last_try = used["retry"] >= step.retry.times

    def answer(budget: Budget, sentence: str, *, again: bool, memory_mib: int | None = memory) -> Next:
        return Next(again, budget, sentence, memory_mib, used["retry"], last_try, used["reclaim"])

    if not former:
        return answer("none", "the first attempt", again=True)
    last = former[-1]
    budget = last.budget
    name = last.kind.value.replace("_", " ")
    if not last.again or budget == "none":
        return answer("none", f"{name}: no other attempt can help", again=False)
    if budget != "growth":
        word, most = _WORDS[budget], allowed[budget]
        if used[budget] > most:
            return answer(budget, f"{name}: all {most} {word} are used up", again=False)
        sentence = f"{name}: another attempt follows ({used[budget]} of {most} {word})"
        return answer(budget, sentence, again=True)
    assert last.memory_mib is not None  # noqa: S101 - what has no size has no such budget
    most = step.recovery.growths
    text = f"{name} at {last.memory_mib} MiB"
    larger = grown(step, last.memory_mib, platform)
    if growths > most:
        return answer("growth", f"{text}: all {most} growths are used up", again=False)
    if larger <= last.memory_mib:
        return answer("growth", f"{text}, the most that it may have", again=False)
    sentence = f"{text}: the next attempt gets {larger} MiB ({growths} of {most} growths)"
    return answer("growth", sentence, again=True, memory_mib=larger)


def grown(step: StepPlan, memory_mib: int, platform: Platform | None = None) -> int:
    """Memory after one growth: times the factor, at most what the flow and the platform allow."""
    bounds = (step.resources.max_memory_mib, most_memory_mib(step.target, platform_of(step) or platform))
    return min([math.ceil(memory_mib * step.recovery.factor), *(one for one in bounds if one is not None)])


def retries(step: StepPlan, *, limited: bool | None = None) -> int:
    """Most attempts after the first one, all budgets together: what Airflow is told.

    Parameters
    ----------
    limited
        Whether memory is limited where the step runs, so that it may grow; by default on AWS only.
    """
    on_aws = step.target in ("batch", "ecs")
    total = step.retry.times + (step.recovery.reclaims + step.recovery.losses if on_aws else 0)
    return total + (_growths(step) if (on_aws if limited is None else limited) else 0)


def _growths(step: StepPlan) -> int:
    """Growths that can happen: no more than lead from the declared size to the most."""
    size = declared(step.resources, step.target).memory_mib
    most = step.resources.max_memory_mib
    if size is None and not step.resources.computed:
        return 0
    if size is None or most is None or {"memory"} & {*step.resources.computed, *step.resources.learned}:
        return step.recovery.growths
    count = 0
    while size < most and count < step.recovery.growths:
        size, count = grown(step, size), count + 1
    return count


def resized(size: Size, following: Next) -> Size:
    """Size of the next attempt, from that of the last one and what follows."""
    memory = following.memory_mib
    if memory is None or size.memory_mib is None or memory <= size.memory_mib:
        return size
    began = size.memory_mib if size.grown_from_mib is None else size.grown_from_mib
    return replace(size, memory_mib=memory, why=GROWN, grown_from_mib=began)
