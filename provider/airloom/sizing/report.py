"""What a step asked for, what it used, and what it could ask for: the numbers of ``airloom sizes``."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from airloom.errors import SizeError
from airloom.plan import Platform, StepPlan, Target
from airloom.sizing.catalogue import Size, declared, fit, platform_of
from airloom.sizing.learning import Observation, learn, percentile
from airloom.sizing.prices import Prices, cost


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory of the attempts at one task that ran out of it, and of the one that did not. MiB."""

    task: str
    memory_mib: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step over its last attempts that were committed.

    ``used_mib`` is the 95th percentile of the peaks and ``most_mib`` the largest, ``used_cpu`` the
    95th percentile of vCPU in use over attempts of a second or more. ``waste`` is the share of the
    asked memory that the 95th percentile leaves unused. Costs are those of 1000 attempts.
    """

    step: str
    target: Target
    attempts: int
    runs: int
    asked: Size
    used_mib: float | None = None
    most_mib: float | None = None
    used_cpu: float | None = None
    wall_s: float | None = None
    suggested: Size | None = None
    why: str = ""
    waste: float | None = None
    cost: float | None = None
    suggested_cost: float | None = None
    currency: str = ""
    growths: tuple[Growth, ...] = ()


def report(
    step: StepPlan,
    observations: Sequence[Observation],
    *,
    runs: int,
    platform: Platform,
    prices: Prices,
    growths: Sequence[Growth] = (),
) -> StepReport:
    """Sum up what is known about a step.

    Parameters
    ----------
    platform
        Where its attempts are priced when the step does not say it.
    """
    asked = _fitted(declared(step.resources, step.target), step, platform)
    if not observations:
        return StepReport(step.name, step.target, 0, runs, asked, growths=tuple(growths))
    peaks = [one.peak_mib for one in observations]
    long = [one for one in observations if one.wall_s >= 1]
    walls = [one.wall_s for one in observations]
    learned = learn(observations, runs=runs, needs=step.resources)
    inputs = int(percentile([one.input_bytes for one in observations]))
    memory = learned.memory(step.resources, inputs)
    cpu = asked.cpu if learned.cpu is None else learned.cpu
    suggested = _fitted(Size(cpu, memory, asked.gpu), step, platform)
    used = percentile(peaks)
    place = platform_of(step) or platform

    def price(size: Size) -> float | None:
        if size.cpu is None or size.memory_mib is None:
            return None
        return round(1000 * statistics.fmean(cost(size, wall, place, prices) for wall in walls), 8)

    return StepReport(
        step=step.name,
        target=step.target,
        attempts=len(observations),
        runs=runs,
        asked=asked,
        used_mib=used,
        most_mib=max(peaks),
        used_cpu=round(percentile([one.cpu_s / one.wall_s for one in long]), 2) if long else None,
        wall_s=round(statistics.median(walls), 3),
        suggested=suggested,
        why=learned.why,
        waste=round(max(0.0, 1 - used / asked.memory_mib), 3) if asked.memory_mib else None,
        cost=price(asked),
        suggested_cost=None if price(asked) is None else price(suggested),
        currency=prices.currency,
        growths=tuple(growths),
    )


def _fitted(size: Size, step: StepPlan, platform: Platform) -> Size:
    try:
        return fit(size, step.target, platform_of(step) or platform, where=step.name)
    except SizeError:
        return size  # shown as it is: whoever runs the step is told
