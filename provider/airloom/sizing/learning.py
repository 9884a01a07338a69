"""What former attempts used, and the size that follows from it for the next run.

Memory: the 95th percentile of the peaks, by nearest rank, times a margin of 1.2 (1.5 while there
are fewer than five), rounded up to 64 MiB. Fewer than twenty attempts have their largest peak as
95th percentile; of many, one in twenty may be larger, runs out of memory and grows by itself, which
costs less than to give all of them the size of the largest.

Where the peaks follow the size of the inputs (eight attempts or more, inputs that differ by half
or more, a straight line that explains 80 % of the peaks' variance, and rises) the line counts
instead: its height at the inputs of the task, moved up by the 95th percentile of what lay above it.
A straight line and nothing cleverer: memory that is a multiple of the data is the common case, and
anyone can check it.

vCPU: the 95th percentile of processor time by wall time over attempts of a second or more, times
1.1, rounded up to a quarter. Attempts that used 85 % or more of what they had could have used
more: twice as much is next, up to ``max_cpu`` (4 when nobody says).

>>> seen = [Observation(peak_mib=peak, cpu_s=5, wall_s=10) for peak in (300, 310, 305, 420, 300)]
>>> learned = learn(seen, runs=2)
>>> learned.memory_mib, learned.cpu, learned.attempts
(512, 0.75, 5)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from airloom.plan import Resources, SizeName, Target
from airloom.sizing.catalogue import Size, declared

PERCENTILE = 95
LEAST_MEMORY_MIB = 128
_MARGIN, _THIN_MARGIN, _THIN = 1.2, 1.5, 5
_GRID_MIB = 64
_LINE_LEAST, _LINE_SPREAD, _LINE_R2 = 8, 1.5, 0.8
_CPU_MARGIN, _CPU_GRID, _CPU_LEAST, _CPU_MOST = 1.1, 0.25, 0.25, 4.0
_SATURATED = 0.85
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Observation:
    """What one attempt that was committed used. ``cpu`` is what it was given, None when nobody said."""

    peak_mib: float
    cpu_s: float
    wall_s: float
    input_bytes: int = 0
    cpu: float | None = None


@dataclass(frozen=True, slots=True)
class Grown:
    """A growth that worked: what the step asked for at first, and what it needed."""

    declared_mib: int
    worked_mib: int
    run: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known about a step before a run; the same for all its tasks in this run.

    ``memory_mib`` is enough for a task without inputs, ``mib_per_gib`` what each GiB of inputs adds;
    both with their margin. None: nothing was learned.
    """

    attempts: int = 0
    runs: int = 0
    memory_mib: float | None = None
    mib_per_gib: float = 0.0
    cpu: float | None = None
    grown: Grown | None = None

    def memory(self, needs: Resources, input_bytes: int) -> int | None:
        """Memory for a task with such inputs, within the bounds of the step. MiB."""
        if self.memory_mib is None:
            return None
        wanted = self.memory_mib + self.mib_per_gib * input_bytes / _GIB
        rounded = math.ceil(wanted / _GRID_MIB) * _GRID_MIB
        return within(rounded, needs)

    @property
    def why(self) -> str:
        """What the record of an attempt says about where its size comes from."""
        by = " by input size" if self.mib_per_gib else ""
        return f"learned p{PERCENTILE} of {self.attempts}{by}"


def within(memory_mib: int, needs: Resources) -> int:
    """Keep a size between the step's minimum and maximum."""
    least = LEAST_MEMORY_MIB if needs.min_memory_mib is None else needs.min_memory_mib
    most = needs.max_memory_mib
    wanted = max(memory_mib, least)
    return wanted if most is None else min(wanted, most)


def learn(
    observations: Sequence[Observation],
    *,
    runs: int,
    needs: Resources | None = None,
    grown: Grown | None = None,
) -> Learned:
    """Learn from the attempts of former runs.

    Parameters
    ----------
    observations
        Attempts that were committed, the order does not matter.
    runs
        How many runs they are of, for the record.
    grown
        The last growth that worked.
    """
    needs = needs or Resources()
    seen = [one for one in observations if one.peak_mib > 0]
    if not seen:
        return Learned(grown=grown)
    margin = _MARGIN if len(seen) >= _THIN else _THIN_MARGIN
    line = _line(seen)
    if line is None:
        height, slope = percentile([one.peak_mib for one in seen]), 0.0
        flat = math.ceil(height * margin / _GRID_MIB) * _GRID_MIB
        memory: float = flat
    else:
        height, slope = line
        memory = round(height * margin, 1)
    return Learned(len(seen), runs, memory, round(slope * margin * _GIB, 3), _cpu(seen, needs), grown)


def percentile(values: Sequence[float], rank: float = PERCENTILE) -> float:
    """Give the smallest value that so many percent do not exceed.

    >>> percentile([1, 2, 3, 4], 50), percentile(range(1, 101)), percentile([7])
    (2, 95, 7)
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(rank / 100 * len(ordered)) - 1)]


def _line(seen: Sequence[Observation]) -> tuple[float, float] | None:
    """Peak at no input, and MiB a byte, where a straight line explains the peaks; otherwise None."""
    inputs = [float(one.input_bytes) for one in seen]
    if len(seen) < _LINE_LEAST or max(inputs) < _LINE_SPREAD * max(min(inputs), 1.0):
        return None
    peaks = [one.peak_mib for one in seen]
    mean_input, mean_peak = sum(inputs) / len(seen), sum(peaks) / len(seen)
    spread = sum((one - mean_input) ** 2 for one in inputs)
    variance = sum((one - mean_peak) ** 2 for one in peaks)
    if not spread or not variance:
        return None
    slope = sum((x - mean_input) * (y - mean_peak) for x, y in zip(inputs, peaks, strict=True)) / spread
    base = mean_peak - slope * mean_input
    above = [y - (base + slope * x) for x, y in zip(inputs, peaks, strict=True)]
    explained = 1 - sum(one**2 for one in above) / variance
    if slope <= 0 or explained < _LINE_R2:
        return None
    return max(base + max(percentile(above), 0.0), 0.0), slope


def _cpu(seen: Sequence[Observation], needs: Resources) -> float | None:
    long = [one for one in seen if one.wall_s >= 1]
    if not long:
        return None
    most = needs.max_cpu if needs.max_cpu is not None else max(_CPU_MOST, needs.cpu or 0)
    used = percentile([one.cpu_s / one.wall_s for one in long])
    wanted = math.ceil(round(used * _CPU_MARGIN / _CPU_GRID, 6)) * _CPU_GRID
    had = max((one.cpu for one in long if one.cpu is not None), default=None)
    if had is not None and used >= _SATURATED * had:
        wanted = max(wanted, 2 * had)
    return min(max(wanted, _CPU_LEAST), most)


def first(
    needs: Resources,
    target: Target,
    *,
    learned: Learned | None = None,
    input_bytes: int = 0,
    computed: Mapping[SizeName, float] | None = None,
    apply: bool = True,
) -> Size:
    """Size of a task's first attempt.

    Parameters
    ----------
    learned
        What is known from former runs; None when nobody looked.
    computed
        What the functions of the flow gave; not below the number that stands beside them.
    apply
        False only notes what was learned: every attempt gets the declared size.
    """
    size = declared(_with(needs, computed or {}), target)
    if computed:
        size = replace(size, why="computed")
    if learned is None:
        return size
    if "memory" in needs.learned:
        memory = learned.memory(needs, input_bytes)
        if memory is not None:
            if not apply:
                return replace(size, why=f"{size.why} ({memory} MiB {learned.why})")
            size = replace(size, memory_mib=memory, why=learned.why)
    elif apply and learned.grown is not None and size.memory_mib == learned.grown.declared_mib:
        worked = within(learned.grown.worked_mib, replace(needs, min_memory_mib=size.memory_mib))
        why = f"grown in run {learned.grown.run}"
        size = replace(size, memory_mib=worked, why=why, grown_from_mib=size.memory_mib)
    if apply and "cpu" in needs.learned and learned.cpu is not None:
        why = size.why if size.why == learned.why else f"{size.why}; vCPU {learned.why}"
        size = replace(size, cpu=learned.cpu, why=why)
    return size


def _with(needs: Resources, computed: Mapping[SizeName, float]) -> Resources:
    def larger(name: SizeName, said: float | None) -> float | None:
        found = computed.get(name)
        return said if found is None else max(found, said or 0)

    def whole(name: SizeName, said: int | None) -> int | None:
        found = larger(name, said)
        return None if found is None else math.ceil(found)

    return replace(
        needs,
        cpu=larger("cpu", needs.cpu),
        memory_mib=whole("memory", needs.memory_mib),
        gpu=whole("gpu", needs.gpu),
        disk_mib=whole("disk", needs.disk_mib),
        shared_memory_mib=whole("shared_memory", needs.shared_memory_mib),
    )
