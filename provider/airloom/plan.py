"""The compiled flow as plain, versioned data: what every stage after the compiler reads.

A plan holds no clock, no absolute path and no user name: the same source gives the
same plan, byte by byte, and its digest is its version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from airloom import codec
from airloom.codec import Json
from airloom.digests import Digest, digest_of
from airloom.errors import GraphError, VersionSkew
from airloom.names import did_you_mean

PLAN_VERSION = 2
"""Raised with every change of the form; a reader takes this version and the one before."""

TransitionKind = Literal["linear", "split", "foreach", "switch", "parallel", "end"]
ParameterType = Literal["int", "float", "str", "bool", "json", "list", "file"]
Target = Literal["worker", "batch", "ecs", "kubernetes"]
Platform = Literal["EC2", "FARGATE"]
SizeName = Literal["cpu", "memory", "gpu", "disk", "shared_memory"]


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a switch: the value of its condition, and the step that it leads to."""

    value: Json
    target: str


@dataclass(frozen=True, slots=True)
class Transition:
    """What ``self.next`` at the end of a step says.

    ``variable`` is the artifact that a foreach iterates over or a switch decides by, or the
    one that holds the size of a parallel step; ``count`` is that size where it is a literal.
    """

    kind: TransitionKind
    targets: tuple[str, ...] = ()
    variable: str | None = None
    cases: tuple[Case, ...] = ()
    count: int | None = None
    allow_empty: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """What a step needs; None where the flow does not say.

    cpu in vCPU; memory, disk and shared memory in MiB, as in Metaflow. ``computed`` names the sizes
    that functions of the flow give before an attempt, ``learned`` those that follow from former
    runs; the number beside such a name is the least that a function may give, and what is taken as long
    as nothing was learned. What is learned or grown stays between the minimum and the maximum.
    """

    cpu: float | None = None
    memory_mib: int | None = None
    gpu: int | None = None
    disk_mib: int | None = None
    shared_memory_mib: int | None = None
    min_memory_mib: int | None = None
    max_memory_mib: int | None = None
    max_cpu: float | None = None
    computed: tuple[SizeName, ...] = ()
    learned: tuple[SizeName, ...] = ()


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a step gets beside the attempts of @retry, each kind of failure on a budget of its own.

    After an attempt that ran out of memory the next one gets ``factor`` times as much, at most
    ``growths`` times. ``reclaims`` counts attempts that ended with their spot instance, ``losses``
    those that ended with their host or never had an image.
    """

    growths: int = 4
    factor: float = 2.0
    reclaims: int = 5
    losses: int = 2


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A file system in memory at ``path``; half of the step's memory where ``size_mib`` is None.

    ``tempdir`` makes it the folder of temporary files.
    """

    path: str = "/airloom_temp"
    size_mib: int | None = None
    tempdir: bool = True


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder of the host, or an EFS file system by its id, that the container sees at ``path``."""

    source: str
    path: str


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What @batch says besides sizes. None: as the settings ``batch_*`` say, where a task is submitted.

    A job is sent to ``spot_queue`` first, where there is one, and to ``queue`` when so many as
    ``fallback_after`` of its attempts were reclaimed there. ``start_timeout_s`` bounds the wait
    for a place. ``executable`` is the Python of the image.
    """

    queue: str | None = None
    spot_queue: str | None = None
    fallback_after: int = 1
    platform: Platform | None = None
    image: str | None = None
    job_role: str | None = None
    execution_role: str | None = None
    executable: str | None = None
    max_swap_mib: int | None = None
    swappiness: int | None = None
    tmpfs: Tmpfs | None = None
    inferentia: int = 0
    efa: int = 0
    ephemeral_storage_gib: int | None = None
    host_volumes: tuple[Volume, ...] = ()
    efs_volumes: tuple[Volume, ...] = ()
    log_driver: str | None = None
    log_options: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    privileged: bool = False
    start_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class EcsPlan:
    """What @ecs says besides sizes. None and empty: as the settings ``ecs_*`` say.

    ``launch_type`` is EC2, FARGATE, or None where a capacity provider decides.
    ``spot_capacity_provider`` is tried first, as a spot queue of Batch.
    """

    cluster: str | None = None
    launch_type: Platform | None = None
    capacity_provider: str | None = None
    spot_capacity_provider: str | None = None
    fallback_after: int = 1
    image: str | None = None
    task_role: str | None = None
    execution_role: str | None = None
    executable: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    assign_public_ip: bool | None = None
    ephemeral_storage_gib: int | None = None
    efs_volumes: tuple[Volume, ...] = ()
    log_driver: str | None = None
    log_options: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    start_timeout_s: float | None = None

    @property
    def platform(self) -> Platform | None:
        """Where its tasks run, as far as the flow says it."""
        providers = (self.capacity_provider, self.spot_capacity_provider)
        if self.launch_type is not None:
            return self.launch_type
        if any(providers):
            fargate = all(one is None or one in ("FARGATE", "FARGATE_SPOT") for one in providers)
            return "FARGATE" if fargate else "EC2"
        return None


@dataclass(frozen=True, slots=True)
class Retry:
    """``times`` further attempts after the first, ``delay_s`` seconds apart.

    ``on`` names the exceptions (module and class) that are worth another attempt; all when empty.
    """

    times: int = 0
    delay_s: float = 0.0
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catch:
    """After the last attempt the exception becomes the artifact ``variable`` and the run goes on."""

    variable: str | None = None
    print_exception: bool = True


@dataclass(frozen=True, slots=True)
class CardPlan:
    """A card that the step leaves. ``timeout_s`` bounds its writing, once; intervals are in seconds."""

    type: str = "default"
    id: str | None = None
    options: dict[str, Json] = field(default_factory=dict)
    timeout_s: float = 45.0
    save_errors: bool = True
    customize: bool = False
    refresh_interval_s: float = 5.0


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step.

    ``parents`` stand in the order in which a join sees its inputs: that of the branches in
    the split. ``joins`` names the split that a join closes. ``splits`` and ``foreaches`` are
    the splits, and of these the foreaches, that the step lies in, outermost first. ``secrets``
    are names of sources, never values. ``batch`` or ``ecs`` is there when that is the target.
    ``wrappers`` names the step decorators of the user's own, innermost first. ``inlets`` and ``outlets``
    are Airflow assets, by URI or name, that its code reads and writes.
    """

    name: str
    transition: Transition
    parents: tuple[str, ...] = ()
    joins: str | None = None
    splits: tuple[str, ...] = ()
    foreaches: tuple[str, ...] = ()
    doc: str = ""
    line: int = 0
    target: Target = "worker"
    resources: Resources = field(default_factory=Resources)
    recovery: Recovery = field(default_factory=Recovery)
    batch: BatchPlan | None = None
    ecs: EcsPlan | None = None
    retry: Retry = field(default_factory=Retry)
    catch: Catch | None = None
    cards: tuple[CardPlan, ...] = ()
    timeout_s: float | None = None
    variables: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    wrappers: tuple[str, ...] = ()
    inlets: tuple[str, ...] = field(default=(), metadata=codec.LEFT_OUT_EMPTY)
    outlets: tuple[str, ...] = field(default=(), metadata=codec.LEFT_OUT_EMPTY)

    @property
    def depth(self) -> int:
        """How many foreaches are around this step; its tasks have that many indices."""
        return len(self.foreaches)


@dataclass(frozen=True, slots=True)
class ParameterPlan:
    """One parameter, as Airflow's form, the command line and the task read it.

    ``attribute`` is where it stands on ``self``, ``name`` what people call it. ``schema`` is
    its JSON Schema. ``default`` is a JSON value; for a file it is the name of the file that was
    read at compile time, and ``digest`` names its bytes.
    """

    name: str
    attribute: str
    type: ParameterType
    schema: dict[str, Json]
    required: bool = False
    default: Json = None
    help: str = ""
    separator: str | None = None
    is_text: bool = True
    encoding: str | None = None
    digest: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """A five-field cron line (or one of cron's @words) and the zone that it is meant in."""

    cron: str
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Project:
    """Which of the deployments of one flow this is. ``branch`` is user.<who>, test.<b>, prod or prod.<b>."""

    name: str
    branch: str
    production: bool = False


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """An update of an Airflow asset that starts a run.

    ``name`` is the asset's, or with ``finished`` the DAG id of a flow whose runs succeed.
    ``parameters`` maps the flow's parameters to fields of the event's ``extra``.
    """

    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    finished: bool = False


@dataclass(frozen=True, slots=True)
class ExitHooks:
    """Functions of the flow's module that are called when a run has ended."""

    on_success: tuple[str, ...] = ()
    on_error: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A compiled flow. ``steps`` stand in topological order; ``module`` is the flow's file without .py.

    ``configs`` holds the values of its configs by their names, ``attached`` the decorators that
    all steps got by ``--with``.
    """

    flow: str
    module: str
    steps: tuple[StepPlan, ...]
    start: str
    end: str
    parameters: tuple[ParameterPlan, ...] = ()
    constants: tuple[str, ...] = ()
    configs: dict[str, Json] = field(default_factory=dict)
    attached: tuple[str, ...] = ()
    schedule: Schedule | None = None
    project: Project | None = None
    triggers: tuple[EventTrigger, ...] = ()
    exit_hooks: ExitHooks | None = None
    code: str = ""
    doc: str = ""
    airloom_version: str = ""
    plan_version: int = PLAN_VERSION

    @cached_property
    def by_name(self) -> Mapping[str, StepPlan]:
        """The steps by their names."""
        return {step.name: step for step in self.steps}

    def step(self, name: str) -> StepPlan:
        """Look a step up.

        Raises
        ------
        GraphError
            When the flow has no such step.
        """
        try:
            return self.by_name[name]
        except KeyError:
            raise GraphError(
                f"the flow {self.flow} has no step {name!r}",
                where=f"{self.flow}/{name}",
                mend=did_you_mean(name, list(self.by_name)),
            ) from None

    @property
    def dag_id(self) -> str:
        """Name of the deployed flow."""
        return ".".join([self.project.name, self.project.branch, self.flow]) if self.project else self.flow

    def run_in_airflow(self, dag_run_id: str) -> str:
        """Id of the run that an Airflow run is: its own; behind the branch where a flow has several DAGs."""
        return f"{self.project.branch}:{dag_run_id}" if self.project else dag_run_id

    @cached_property
    def digest(self) -> Digest:
        """The plan's version."""
        return digest_of([self.to_bytes()])

    def to_bytes(self) -> bytes:
        """Canonical JSON; the keys of configs stay as their files have them, since flows see that order."""
        return codec.dumps(self, kept=("configs",))

    @classmethod
    def from_bytes(cls, data: bytes) -> Plan:
        """Read a plan of this version or the one before.

        Raises
        ------
        VersionSkew
            When another version of Airloom wrote the plan in a form that this one cannot read.
        """
        value = json.loads(data)
        version = value.get("plan_version") if isinstance(value, dict) else None
        if version not in (PLAN_VERSION, PLAN_VERSION - 1):
            raise VersionSkew(
                f"the plan has version {version}, this Airloom reads {PLAN_VERSION - 1} and {PLAN_VERSION}",
                where=str(value.get("flow", "a plan")) if isinstance(value, dict) else "a plan",
                mend="deploy the flow again, or run it with the Airloom that deployed it.",
            )
        try:
            return codec.from_json(cls, value)
        except ValueError as error:
            raise VersionSkew(
                f"this Airloom cannot read the plan: {error}",
                where=str(value.get("flow", "a plan")),
                mend="deploy the flow again, or run it with the Airloom that deployed it.",
            ) from None
