"""What AWS offers: pairs of vCPU and memory on Fargate, least and most of Batch and ECS.

Sources, all read in November 2026:

- Fargate pairs up to 16 vCPU, and 32 vCPU with 60, 120 or 244 GiB on Batch: the API reference of
  AWS Batch, ``ResourceRequirement``; of Amazon ECS, ``RegisterTaskDefinition`` (which names no
  32 vCPU). `tests/sizing/test_catalogue.py` compares the table with the texts that botocore ships.
- At least 1 vCPU (whole ones) and 4 MiB on Batch with EC2, no GPU on Fargate: ``ResourceRequirement``.
- 0.125 to 192 vCPU on ECS with EC2, and 6 MiB for a container: ``RegisterTaskDefinition``.
- 21 to 200 GiB of ephemeral storage: ``EphemeralStorage`` of both; 20 GiB are there without asking:
  Amazon ECS developer guide, "Fargate task ephemeral storage".
- No shared memory, tmpfs, swap, host folders or privileges on Fargate: ``LinuxParameters`` and
  ``ContainerProperties`` of AWS Batch.

>>> str(fit(Size(cpu=1, memory_mib=9000), "batch", "FARGATE", where="a doctest"))
'2 vCPU, 9216 MiB'
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from airloom.errors import Place, SizeError
from airloom.plan import Platform, Resources, StepPlan, Target

DEFAULT_CPU = 1.0
DEFAULT_MEMORY_MIB = 4096
"""What a job gets when nobody says more: Metaflow's defaults of @batch."""

EPHEMERAL_GIB = (21, 200)
_FREE_DISK_GIB = 20
_GIB = 1024


@dataclass(frozen=True, slots=True)
class Size:
    """What one attempt gets. None: nobody says, and nothing limits it.

    ``why`` tells where it comes from ("declared", "learned p95 of 14", "grown after out of memory");
    ``grown_from_mib`` is the memory of the first attempt, where it has grown since.
    """

    cpu: float | None = None
    memory_mib: int | None = None
    gpu: int | None = None
    disk_mib: int | None = None
    shared_memory_mib: int | None = None
    why: str = "declared"
    grown_from_mib: int | None = None

    def __str__(self) -> str:
        cpu = None if self.cpu is None else f"{self.cpu:g} vCPU"
        memory = None if self.memory_mib is None else f"{self.memory_mib} MiB"
        gpu = f"{self.gpu} GPU" if self.gpu else None
        return ", ".join(part for part in (cpu, memory, gpu) if part) or "no size"


@dataclass(frozen=True, slots=True)
class FargateRow:
    """One number of vCPU with the memory that it can have, in MiB."""

    cpu: float
    memory_mib: tuple[int, ...]
    targets: tuple[Target, ...] = ("batch", "ecs")


def _steps(first_gib: int, last_gib: int, step_gib: int) -> tuple[int, ...]:
    return tuple(gib * _GIB for gib in range(first_gib, last_gib + 1, step_gib))


FARGATE: tuple[FargateRow, ...] = (
    FargateRow(0.25, (512, 1024, 2048)),
    FargateRow(0.5, _steps(1, 4, 1)),
    FargateRow(1.0, _steps(2, 8, 1)),
    FargateRow(2.0, _steps(4, 16, 1)),
    FargateRow(4.0, _steps(8, 30, 1)),
    FargateRow(8.0, _steps(16, 60, 4)),
    FargateRow(16.0, _steps(32, 120, 8)),
    FargateRow(32.0, (60 * _GIB, 120 * _GIB, 244 * _GIB), ("batch",)),
)

# A GiB costs about a ninth of a vCPU (see `sizing.prices`): of several pairs the cheapest is taken.
_GIB_IN_CPU = 0.004445 / 0.04048


def declared(resources: Resources, target: Target) -> Size:
    """Size that the flow itself says, with the defaults of a job where it is one."""
    cpu, memory = resources.cpu, resources.memory_mib
    if target in ("batch", "ecs"):
        cpu = DEFAULT_CPU if cpu is None else cpu
        if memory is None:
            memory = max(DEFAULT_MEMORY_MIB, resources.min_memory_mib or 0)
            memory = min(memory, resources.max_memory_mib or memory)
    return Size(cpu, memory, resources.gpu, resources.disk_mib, resources.shared_memory_mib)


def most_memory_mib(target: Target, platform: Platform | None) -> int | None:
    """Most memory that there is; None where only the instances of a queue limit it."""
    if platform != "FARGATE":
        return None
    return max(row.memory_mib[-1] for row in FARGATE if target in row.targets)


def fit(size: Size, target: Target, platform: Platform | None, *, where: Place | str) -> Size:
    """Round a size up to the next one that is offered.

    Parameters
    ----------
    platform
        None when it is not known yet: then only what holds everywhere is checked.

    Raises
    ------
    SizeError
        When nobody offers so much.
    """
    if target not in ("batch", "ecs"):
        return size
    if platform == "FARGATE":
        return _fit_fargate(size, target, where)
    cpu, memory = size.cpu or DEFAULT_CPU, size.memory_mib or DEFAULT_MEMORY_MIB
    if target == "batch" and platform == "EC2":
        cpu = float(max(1, math.ceil(cpu)))
    least = 4 if target == "batch" else 6
    if memory < least:
        raise SizeError(
            f"{memory} MiB is less than the {least} MiB that a container needs at least",
            where=where,
            mend=f"ask for memory={least} or more: it counts MiB.",
        )
    if target == "ecs" and not 0.125 <= cpu <= 192:
        raise SizeError(
            f"{cpu:g} vCPU cannot be asked from ECS: 0.125 to 192 are offered",
            where=where,
            mend="ask for a cpu between them.",
        )
    return replace(size, cpu=cpu, memory_mib=memory)


def _fit_fargate(size: Size, target: Target, where: Place | str) -> Size:
    cpu, memory = size.cpu or 0.25, size.memory_mib or 512
    rows = [row for row in FARGATE if target in row.targets]
    pairs = [
        (row.cpu, next(one for one in row.memory_mib if one >= memory))
        for row in rows
        if row.cpu >= cpu and row.memory_mib[-1] >= memory
    ]
    if not pairs:
        most_cpu, most = rows[-1].cpu, rows[-1].memory_mib[-1]
        raise SizeError(
            f"{cpu:g} vCPU with {memory} MiB is more than Fargate offers on {target}: "
            f"{most_cpu:g} vCPU with {most} MiB at most",
            where=where,
            mend='ask for less, or run the step on EC2 instances (@batch(platform="EC2", queue=...)).',
        )
    best = min(pairs, key=lambda pair: pair[0] + pair[1] / _GIB * _GIB_IN_CPU)
    return replace(size, cpu=best[0], memory_mib=best[1])


def rounded(step: StepPlan, platform: Platform | None = None) -> str | None:
    """Say what a step gets when that is not what it asks for; None when it is.

    Raises
    ------
    SizeError
        When nobody offers so much.
    """
    platform = platform_of(step) or platform
    asked = declared(step.resources, step.target)
    given = fit(asked, step.target, platform, where=step.name)
    if (given.cpu, given.memory_mib) == (asked.cpu, asked.memory_mib):
        return None
    return f"{asked.cpu:g} vCPU with {asked.memory_mib} MiB becomes {given}, the next size on {platform}"


def platform_of(step: StepPlan) -> Platform | None:
    """Where a step's jobs run, as far as the flow says it."""
    said = step.batch or step.ecs
    return None if said is None else said.platform


def problems(step: StepPlan, where: Place | str, platform: Platform | None = None) -> Iterator[SizeError]:
    """Give everything about a step's sizes that AWS would refuse.

    Parameters
    ----------
    platform
        That of the settings, for a step that does not say it.
    """
    needs = step.resources
    yield from _bounds(step, where)
    if step.target not in ("batch", "ecs"):
        return
    platform = platform_of(step) or platform
    try:
        fit(declared(needs, step.target), step.target, platform, where=where)
    except SizeError as error:
        yield error
    storage = (step.batch or step.ecs).ephemeral_storage_gib if (step.batch or step.ecs) else None  # type: ignore[union-attr]
    least, most = EPHEMERAL_GIB
    if storage is not None and not least <= storage <= most:
        yield SizeError(
            f"ephemeral_storage={storage} is refused: {least} to {most} GiB are offered",
            where=where,
            mend=f"write a number from {least} to {most}; {_FREE_DISK_GIB} GiB are there without it.",
        )
    if platform == "FARGATE":
        if needs.disk_mib is not None and needs.disk_mib > most * _GIB:
            yield SizeError(
                f"a disk of {needs.disk_mib} MiB is more than the {most} GiB that Fargate offers",
                where=where,
                mend=f"ask for disk={most * _GIB} at most, mount an EFS file system, or use EC2.",
            )
        yield from _not_on_fargate(step, where)
    elif platform == "EC2" and storage is not None and step.target == "batch":
        yield SizeError(
            "ephemeral_storage is for Fargate: on EC2 the disk is that of the instance",
            where=where,
            mend="take it out, or write platform='FARGATE'.",
        )


def _bounds(step: StepPlan, where: Place | str) -> Iterator[SizeError]:
    needs = step.resources
    least, most = needs.min_memory_mib, needs.max_memory_mib
    if least is not None and most is not None and least > most:
        yield SizeError(
            f"min_memory={least} is above max_memory={most}", where=where, mend="turn them around."
        )
    if most is not None and (needs.memory_mib or 0) > most:
        yield SizeError(
            f"memory={needs.memory_mib} is above max_memory={most}",
            where=where,
            mend="raise max_memory: it bounds what memory grows to.",
        )
    if needs.max_cpu is not None and (needs.cpu or 0) > needs.max_cpu:
        yield SizeError(
            f"cpu={needs.cpu:g} is above max_cpu={needs.max_cpu:g}", where=where, mend="raise max_cpu."
        )
    swappiness = step.batch.swappiness if step.batch is not None else None
    if swappiness is not None and swappiness > 100:
        yield SizeError(
            f"swappiness={swappiness} is refused", where=where, mend="write a whole number from 0 to 100."
        )


def _not_on_fargate(step: StepPlan, where: Place | str) -> Iterator[SizeError]:
    batch = step.batch
    asked: list[tuple[str, object]] = [
        ("GPUs", step.resources.gpu),
        ("shared memory of one's own", step.resources.shared_memory_mib),
    ]
    if batch is not None:
        asked += [
            ("tmpfs", batch.tmpfs),
            ("swap", batch.max_swap_mib or batch.swappiness),
            ("Inferentia and Trainium", batch.inferentia),
            ("EFA", batch.efa),
            ("folders of the host", batch.host_volumes),
            ("privileged containers", batch.privileged),
        ]
    for what, value in asked:
        if value:
            yield SizeError(
                f"Fargate has no {what}",
                where=where,
                mend="take it out, or run the step on EC2 instances (platform='EC2', and a queue of such).",
            )
