"""The decorators that say what a step needs, and where it runs: @resources, @batch, @ecs.

What several of them say about one size is merged: the largest number counts, as in Metaflow.
They only say it; whether somebody offers such a size is checked with the whole flow
(`compiler.size_checks`), and missing queues and roles come from settings when a task is submitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from airloom.errors import FlowError, SizeError
from airloom.flow.declarations import StepDeclaration
from airloom.flow.decorators import decorate, number, offered, refused
from airloom.plan import (
    BatchPlan,
    EcsPlan,
    Platform,
    Recovery,
    Resources,
    SizeName,
    Target,
    Tmpfs,
    Volume,
)

S = TypeVar("S", bound=Callable[..., Any])
Size = int | str | Callable[..., float] | None
"""A number, ``"auto"`` for cpu and memory, or a function of the flow."""

TARGETS: tuple[Target, ...] = ("batch", "ecs", "kubernetes")
"""Decorators that say where a step runs: one of them at most."""

_FIELDS: dict[SizeName, str] = {
    "cpu": "cpu",
    "memory": "memory_mib",
    "gpu": "gpu",
    "disk": "disk_mib",
    "shared_memory": "shared_memory_mib",
}
_AUTO: tuple[SizeName, ...] = ("cpu", "memory")
_MAXIMA = (*_FIELDS.values(), "min_memory_mib", "max_memory_mib", "max_cpu")


@offered
def resources(
    *,
    cpu: float | Size = None,
    gpu: Size = None,
    disk: Size = None,
    memory: Size = None,
    shared_memory: Size = None,
    min_memory: int | None = None,
    max_memory: int | None = None,
    max_cpu: float | None = None,
    growth: float | None = None,
    growths: int | None = None,
) -> Callable[[S], S]:
    """Say what the step needs, wherever it runs.

    Parameters
    ----------
    cpu
        vCPU, also fractions; ``"auto"``: as former runs show.
    gpu
        Number of GPUs.
    memory, disk, shared_memory
        MiB. memory may be ``"auto"``, too. Each may also be a function of the flow that gives
        the number, ``lambda flow: 512 + 2 * flow.rows // 1000``: it is called before each attempt,
        where parameters and inherited artifacts are known.
    min_memory, max_memory, max_cpu
        Bounds of what is learned, and of what memory grows to. MiB, vCPU.
    growth
        Factor by which memory grows after an attempt that ran out of it; 2 when not given.
    growths
        How often it may grow; 4 when not given, 0 turns growing off.
    """
    sizes: dict[SizeName, object] = {
        "cpu": cpu,
        "memory": memory,
        "gpu": gpu,
        "disk": disk,
        "shared_memory": shared_memory,
    }
    said = _Sizes("resources", sizes, min_memory, max_memory, max_cpu, growth, growths)
    return decorate("resources", said.added)


@offered
def batch(
    *,
    cpu: float | Size = None,
    gpu: Size = None,
    memory: Size = None,
    shared_memory: Size = None,
    min_memory: int | None = None,
    max_memory: int | None = None,
    max_cpu: float | None = None,
    growth: float | None = None,
    growths: int | None = None,
    reclaims: int | None = None,
    losses: int | None = None,
    queue: str | None = None,
    spot_queue: str | None = None,
    fallback_after: int = 1,
    platform: str | None = None,
    image: str | None = None,
    iam_role: str | None = None,
    execution_role: str | None = None,
    executable: str | None = None,
    max_swap: int | None = None,
    swappiness: int | None = None,
    use_tmpfs: bool = False,
    tmpfs_tempdir: bool = True,
    tmpfs_size: int | None = None,
    tmpfs_path: str = "/airloom_temp",
    inferentia: int | None = None,
    trainium: int | None = None,
    efa: int | None = None,
    ephemeral_storage: int | None = None,
    host_volumes: str | Sequence[str] = (),
    efs_volumes: str | Sequence[str] = (),
    log_driver: str | None = None,
    log_options: Sequence[str] | Mapping[str, str] = (),
    aws_batch_tags: Mapping[str, str] | None = None,
    privileged: bool = False,
    start_timeout: float | None = None,
) -> Callable[[S], S]:
    """Run the step as a job of AWS Batch; what is not given comes from the settings ``batch_*``.

    Parameters
    ----------
    cpu, gpu, memory, shared_memory, min_memory, max_memory, max_cpu, growth, growths
        As in @resources; the larger of both counts. 1 vCPU and 4096 MiB where nobody says more.
    reclaims
        How many attempts may be lost with their spot instance; 5 when not given.
    losses
        How many may be lost with their host, or end without their image; 2 when not given.
    queue, spot_queue, fallback_after
        Names or ARNs of job queues. With a spot queue the job goes there first, and to ``queue``
        after so many reclaimed attempts.
    platform
        ``"EC2"`` or ``"FARGATE"``, whichever the queue's compute environments are.
    image
        Container image with a Python.
    iam_role, execution_role
        ARNs: what the job may do, and what Batch may do to start it (Fargate needs it).
    executable
        The Python in the image; ``python3`` when not given.
    max_swap, swappiness
        Swap in MiB, and 0 to 100 how eagerly it is used (EC2).
    use_tmpfs, tmpfs_tempdir, tmpfs_size, tmpfs_path
        A file system in memory, its size in MiB (half of the memory when not given), and whether
        temporary files go there (EC2).
    inferentia, trainium, efa
        Number of accelerators (two names for one thing) and of fabric adapters (EC2).
    ephemeral_storage
        GiB, 21 to 200 (Fargate).
    host_volumes, efs_volumes
        ``"/folder"`` or ``"/folder:/path"`` of the host (EC2), ``"fs-id"`` or ``"fs-id:/path"``.
    log_driver, log_options
        Of the container; options as ``"name:value"``.
    aws_batch_tags
        Tags of the job.
    privileged
        Run the container with the host's rights (EC2).
    start_timeout
        Seconds that the job may wait for its place before it is ended.
    """
    if inferentia is not None and trainium is not None:
        raise refused("batch", "inferentia and trainium are two names of one thing", "give one of them.")
    sizes: dict[SizeName, object] = {
        "cpu": cpu,
        "memory": memory,
        "gpu": gpu,
        "shared_memory": shared_memory,
    }
    said = _Sizes(
        "batch", sizes, min_memory, max_memory, max_cpu, growth, growths, reclaims=reclaims, losses=losses
    )
    tmpfs = None
    if use_tmpfs or tmpfs_size is not None:
        tmpfs = Tmpfs(_path("batch", tmpfs_path), _whole("batch", "tmpfs_size", tmpfs_size), tmpfs_tempdir)
    plan = BatchPlan(
        queue=queue,
        spot_queue=spot_queue,
        fallback_after=int(number("batch", "fallback_after", fallback_after, whole=True)),
        platform=_platform("batch", "platform", platform),
        image=image,
        job_role=iam_role,
        execution_role=execution_role,
        executable=executable,
        max_swap_mib=_whole("batch", "max_swap", max_swap),
        swappiness=_whole("batch", "swappiness", swappiness),
        tmpfs=tmpfs,
        inferentia=_whole("batch", "inferentia", inferentia if trainium is None else trainium) or 0,
        efa=_whole("batch", "efa", efa) or 0,
        ephemeral_storage_gib=_whole("batch", "ephemeral_storage", ephemeral_storage),
        host_volumes=_volumes("batch", host_volumes),
        efs_volumes=_volumes("batch", efs_volumes, efs=True),
        log_driver=log_driver,
        log_options=_options("batch", log_options),
        tags=_tags("batch", "aws_batch_tags", aws_batch_tags),
        privileged=bool(privileged),
        start_timeout_s=_seconds("batch", "start_timeout", start_timeout),
    )
    return _target("batch", lambda old: replace(said.added(old), batch=plan))


@offered
def ecs(
    *,
    cpu: float | Size = None,
    gpu: Size = None,
    memory: Size = None,
    min_memory: int | None = None,
    max_memory: int | None = None,
    max_cpu: float | None = None,
    growth: float | None = None,
    growths: int | None = None,
    reclaims: int | None = None,
    losses: int | None = None,
    cluster: str | None = None,
    launch_type: str | None = None,
    capacity_provider: str | None = None,
    spot_capacity_provider: str | None = None,
    fallback_after: int = 1,
    image: str | None = None,
    iam_role: str | None = None,
    execution_role: str | None = None,
    executable: str | None = None,
    subnets: str | Sequence[str] = (),
    security_groups: str | Sequence[str] = (),
    assign_public_ip: bool | None = None,
    ephemeral_storage: int | None = None,
    efs_volumes: str | Sequence[str] = (),
    log_driver: str | None = None,
    log_options: Sequence[str] | Mapping[str, str] = (),
    tags: Mapping[str, str] | None = None,
    start_timeout: float | None = None,
) -> Callable[[S], S]:
    """Run the step as a task of AWS ECS; what is not given comes from the settings ``ecs_*``.

    Parameters
    ----------
    cpu, gpu, memory, min_memory, max_memory, max_cpu, growth, growths, reclaims, losses
        As in @batch.
    cluster
        Name or ARN.
    launch_type
        ``"FARGATE"`` or ``"EC2"``; not together with a capacity provider.
    capacity_provider, spot_capacity_provider, fallback_after
        Names. With one for spot the task goes there first, and to the other one, or the launch
        type, after so many reclaimed attempts.
    image, iam_role, execution_role, executable
        As in @batch; ``iam_role`` is the task role.
    subnets, security_groups, assign_public_ip
        The task's network (Fargate needs subnets); several as a list, or as a text with commas.
    ephemeral_storage, efs_volumes, log_driver, log_options, start_timeout
        As in @batch.
    tags
        Tags of the task.
    """
    if launch_type is not None and capacity_provider is not None:
        raise refused("ecs", "launch_type and capacity_provider exclude each other", "give one of them.")
    sizes: dict[SizeName, object] = {"cpu": cpu, "memory": memory, "gpu": gpu}
    said = _Sizes(
        "ecs", sizes, min_memory, max_memory, max_cpu, growth, growths, reclaims=reclaims, losses=losses
    )
    plan = EcsPlan(
        cluster=cluster,
        launch_type=_platform("ecs", "launch_type", launch_type),
        capacity_provider=capacity_provider,
        spot_capacity_provider=spot_capacity_provider,
        fallback_after=int(number("ecs", "fallback_after", fallback_after, whole=True)),
        image=image,
        task_role=iam_role,
        execution_role=execution_role,
        executable=executable,
        subnets=_several("ecs", "subnets", subnets),
        security_groups=_several("ecs", "security_groups", security_groups),
        assign_public_ip=assign_public_ip,
        ephemeral_storage_gib=_whole("ecs", "ephemeral_storage", ephemeral_storage),
        efs_volumes=_volumes("ecs", efs_volumes, efs=True),
        log_driver=log_driver,
        log_options=_options("ecs", log_options),
        tags=_tags("ecs", "tags", tags),
        start_timeout_s=_seconds("ecs", "start_timeout", start_timeout),
    )
    return _target("ecs", lambda old: replace(said.added(old), ecs=plan))


@offered
def kubernetes(
    *,
    cpu: float | Size = None,
    gpu: Size = None,
    memory: Size = None,
    disk: Size = None,
    shared_memory: Size = None,
    image: object = None,
    image_pull_policy: object = None,
    image_pull_secrets: object = None,
    service_account: object = None,
    secrets: object = None,
    node_selector: object = None,
    namespace: object = None,
    gpu_vendor: object = None,
    tolerations: object = None,
    labels: object = None,
    annotations: object = None,
    use_tmpfs: object = None,
    tmpfs_tempdir: object = None,
    tmpfs_size: object = None,
    tmpfs_path: object = None,
    persistent_volume_claims: object = None,
    port: object = None,
    compute_pool: object = None,
    executable: object = None,
    hostname_resolution_timeout: object = None,
    qos: object = None,
    extended_resources: object = None,
    security_context: object = None,
) -> Callable[[S], S]:
    """Take the sizes of a flow from Metaflow; nothing runs on Kubernetes, and a deploy refuses it.

    Parameters
    ----------
    cpu, gpu, memory, disk, shared_memory
        As in @resources. All other arguments are taken and have no effect.
    """
    sizes: dict[SizeName, object] = {
        "cpu": cpu,
        "memory": memory,
        "gpu": gpu,
        "disk": disk,
        "shared_memory": shared_memory,
    }
    return _target("kubernetes", _Sizes("kubernetes", sizes).added)


class _Sizes:
    """The sizes that one decorator names, read and ready to be added to those of the others."""

    def __init__(
        self,
        name: str,
        sizes: Mapping[SizeName, object],
        min_memory: object = None,
        max_memory: object = None,
        max_cpu: object = None,
        growth: object = None,
        growths: object = None,
        **budgets: object,
    ) -> None:
        numbers: dict[str, Any] = {}
        self._functions: list[tuple[SizeName, Callable[..., Any]]] = []
        learned: list[SizeName] = []
        for size, value in sizes.items():
            if callable(value):
                self._functions.append((size, value))
            elif value == "auto" and size in _AUTO:
                learned.append(size)
            elif value is not None:
                numbers[_FIELDS[size]] = _number(name, size, value, whole=size != "cpu")
        computed = tuple(size for size, _ in self._functions)
        for argument, value in (("min_memory", min_memory), ("max_memory", max_memory)):
            numbers[f"{argument}_mib"] = _whole(name, argument, value)
        numbers["max_cpu"] = None if max_cpu is None else _number(name, "max_cpu", max_cpu, whole=False)
        self._resources = Resources(**numbers, computed=computed, learned=tuple(learned))
        budgets["growths"] = growths
        given = {key: _whole(name, key, value) for key, value in budgets.items() if value is not None}
        self._recovery: dict[str, Any] = dict(given)
        if growth is not None:
            factor = _number(name, "growth", growth, whole=False)
            if factor <= 1:
                what = f"growth={growth!r} does not make memory grow"
                raise refused(name, what, "write a factor above 1, or growths=0.", SizeError)
            self._recovery["factor"] = float(factor)

    def added(self, old: StepDeclaration) -> StepDeclaration:
        return replace(
            old,
            resources=_merged(old.resources, self._resources),
            size_functions=(*old.size_functions, *self._functions),
            recovery=replace(old.recovery, **self._widened(old.recovery)),
        )

    def _widened(self, old: Recovery) -> dict[str, Any]:
        # Said by two decorators, the larger counts; said by one, that one, also below the default.
        plain = Recovery()
        return {
            name: value if getattr(old, name) == getattr(plain, name) else max(value, getattr(old, name))
            for name, value in self._recovery.items()
        }


def _merged(some: Resources, others: Resources) -> Resources:
    numbers: dict[str, Any] = {}
    for name in _MAXIMA:
        given = [one for one in (getattr(some, name), getattr(others, name)) if one is not None]
        numbers[name] = max(given, default=None)
    return Resources(
        **numbers,
        computed=_union(some.computed, others.computed),
        learned=_union(some.learned, others.learned),
    )


def _union(some: tuple[SizeName, ...], others: tuple[SizeName, ...]) -> tuple[SizeName, ...]:
    return tuple(sorted({*some, *others}))


def _target(name: Target, change: Callable[[StepDeclaration], StepDeclaration]) -> Callable[[S], S]:
    def retarget(old: StepDeclaration) -> StepDeclaration:
        if old.target != "worker":
            raise refused(
                name,
                f"the step runs on {old.target} already",
                f"keep one of @{old.target} and @{name}; to say only sizes, write @resources.",
            )
        return replace(change(old), target=name)

    return decorate(name, retarget)


def _number(name: str, argument: str, value: object, *, whole: bool) -> float | int:
    if isinstance(value, str) and value.lower() == "auto":
        what = f"{argument}='auto' is refused: only cpu and memory are learned"
        raise refused(name, what, "write a number.", SizeError)
    found = number(name, argument, value, SizeError, whole=whole)
    return int(found) if whole else found


def _whole(name: str, argument: str, value: object) -> int | None:
    return None if value is None else int(number(name, argument, value, SizeError, whole=True))


def _seconds(name: str, argument: str, value: object) -> float | None:
    return None if value is None else number(name, argument, value)


def _platform(name: str, argument: str, value: object) -> Platform | None:
    text = None if value is None else str(value).upper()
    if text not in (None, "EC2", "FARGATE"):
        raise refused(name, f"{argument}={value!r} is refused", "write 'EC2' or 'FARGATE'.")
    return cast("Platform | None", text)


def _path(name: str, value: object) -> str:
    if not str(value).startswith("/"):
        raise refused(name, f"the path {value!r} does not begin with /", "write it in full.")
    return str(value)


def _several(name: str, argument: str, value: object) -> tuple[str, ...]:
    """Read a list of texts that may stand in one text with commas."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise refused(name, f"{argument}={value!r} is no list of texts", "write e.g. ['a', 'b'].")
    return tuple(value)


def _volumes(name: str, value: object, *, efs: bool = False) -> tuple[Volume, ...]:
    found = []
    for text in _several(name, "efs_volumes" if efs else "host_volumes", value):
        source, _, path = text.partition(":")
        if not efs:
            source = _path(name, source)
        found.append(Volume(source, _path(name, path or (f"/mnt/{source}" if efs else source))))
    return tuple(found)


def _options(name: str, value: object) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(key): str(one) for key, one in value.items()}
    found = {}
    for text in _several(name, "log_options", value):
        key, colon, rest = text.partition(":")
        if not colon:
            raise refused(name, f"the log option {text!r} has no value", "write 'name:value'.")
        found[key] = rest
    return found


def _tags(name: str, argument: str, value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(
        isinstance(key, str) and isinstance(one, str) and 0 < len(key) <= 128 and len(one) <= 256
        for key, one in value.items()
    ):
        mend = "write texts: names of at most 128 signs, values of at most 256."
        raise refused(name, f"{argument}={value!r} are no tags", mend, FlowError)
    return dict(value)
