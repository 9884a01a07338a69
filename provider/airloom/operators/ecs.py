"""EcsStepOperator: one step of a deployed flow, run as a task of Amazon ECS.

Parsing a DAG file imports this module, so everything that only a running task needs is
imported where it runs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator

from airloom.operators.job import BACK_OFF, FIELDS, JobStep

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.failures import Failure
    from airloom.operators.submissions import Submission
    from airloom.plan import StepPlan
    from airloom.settings import Settings


class EcsStepOperator(JobStep, EcsRunTaskOperator):
    """Run one step of a flow as a task of Amazon ECS, and save what it leaves on ``self`` as artifacts.

    What is not given here stands in the plan (@ecs, @resources), and else in the settings ``ecs_*``.

    Parameters
    ----------
    flow, plan, step, index, flow_group, flow_parameters, flow_outputs
        As for `StepOperator`.
    cluster
        Name or ARN of the cluster.
    launch_type
        ``FARGATE`` or ``EC2``; FARGATE when neither it nor a capacity provider is named.
    capacity_provider, spot_capacity_provider
        Instead of a launch type; the one for spot is tried first, until attempts were reclaimed there.
    image
        Container image with Python 3.10 or newer.
    cpu, memory_mib, gpu
        Size of the first attempt: vCPU, MiB, number of GPUs. After one that ran out of memory it grows.
    timeout
        What the plan allows one attempt at one index. The container keeps it; a task that goes on is stopped.
    awslogs_group
        Group of CloudWatch logs; the setting ``ecs_log_group`` when None.
    poll_interval
        Seconds between two looks at the task.
    kwargs
        Those of ``EcsRunTaskOperator``: ``aws_conn_id``, ``region_name``, ``deferrable``, ``group`` ...
    """

    template_fields: Sequence[str] = (
        *FIELDS,
        "capacity_provider",
        "spot_capacity_provider",
        *EcsRunTaskOperator.template_fields,
    )
    ui_color = "#f6e3c5"

    def __init__(
        self,
        *,
        flow: str,
        plan: str,
        step: str | None = None,
        index: str | None = None,
        cluster: str | None = None,
        launch_type: str | None = None,
        capacity_provider: str | None = None,
        spot_capacity_provider: str | None = None,
        image: str | None = None,
        cpu: float | None = None,
        memory_mib: int | None = None,
        gpu: int | None = None,
        flow_group: str | None = None,
        flow_parameters: Mapping[str, Json] | None = None,
        flow_outputs: Sequence[str] | None = None,
        timeout: Any = None,
        poll_interval: int = 15,
        task_definition: str = "",
        overrides: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("botocore_config", BACK_OFF)
        super().__init__(
            task_definition=task_definition,
            cluster=cluster or "",
            overrides=overrides or {},
            launch_type=launch_type or "",
            **kwargs,
        )
        self.flow = flow
        self.plan = plan
        self.step = step
        self.index = index
        self.capacity_provider = capacity_provider
        self.spot_capacity_provider = spot_capacity_provider
        self.image = image
        self.cpu = cpu
        self.memory_mib = memory_mib
        self.gpu = gpu
        self.flow_group = flow_group
        self.flow_parameters = flow_parameters
        self.flow_outputs = flow_outputs
        self.timeout = timeout
        self.poll_interval = poll_interval

    def changed(self, step: StepPlan, settings: Settings) -> StepPlan:
        """Fill in what the DAG file and the settings say about the step."""
        from airloom.operators.definitions import CONTAINER, LOG_PREFIX
        from airloom.runtime.places import ecs_step

        given = {
            "cluster": self.cluster,
            "launch_type": self.launch_type,
            "capacity_provider": self.capacity_provider,
            "spot_capacity_provider": self.spot_capacity_provider,
            "image": self.image,
        }
        size = {"cpu": self.cpu, "memory_mib": self.memory_mib, "gpu": self.gpu}
        filled = ecs_step(step, given, size, settings)
        said = filled.ecs
        assert said is not None  # noqa: S101 - it was filled in
        self._step = filled
        self.cluster = said.cluster or ""
        self.container_name = CONTAINER
        self.awslogs_group = said.log_options.get("awslogs-group") or self.awslogs_group
        self.awslogs_group = self.awslogs_group or settings.ecs_log_group
        # Older providers do not know that the container's name stands in the stream's.
        prefix = said.log_options.get("awslogs-stream-prefix", LOG_PREFIX)
        self.awslogs_stream_prefix = f"{prefix}/{CONTAINER}"
        self.awslogs_region = said.log_options.get("awslogs-region", self.awslogs_region)
        return filled

    def submit(self, submission: Submission, context: Context) -> str:
        """Start the task; see `JobStep.submit`."""
        from airflow.providers.amazon.aws.exceptions import EcsOperatorError

        from airloom.failures import Failure, FailureKind
        from airloom.operators.definitions import Refused, ecs_definition, ecs_overrides, start

        said = self._step.ecs
        assert said is not None  # noqa: S101 - the step's target is ecs
        region = self.hook.conn_region_name
        definition = ecs_definition(self._step, submission.size, self.awslogs_group or "", region)
        self.overrides = ecs_overrides(submission)
        self.tags = {**(self.tags or {}), **submission.tags}
        self.propagate_tags = self.propagate_tags or "TASK_DEFINITION"
        provider = said.spot_capacity_provider if submission.on_spot else said.capacity_provider
        self.capacity_provider_strategy = [{"capacityProvider": provider, "weight": 1}] if provider else []
        self.launch_type = "" if provider else said.launch_type or "FARGATE"
        if said.subnets:
            network: dict[str, Any] = {
                "subnets": list(said.subnets),
                "securityGroups": [*said.security_groups],
            }
            if said.platform != "EC2":
                network["assignPublicIp"] = "ENABLED" if said.assign_public_ip else "DISABLED"
            self.network_configuration = {"awsvpcConfiguration": network}
        self._started_by = submission.name

        def act(arn: str) -> None:
            self.task_definition = arn
            try:
                self._start_task()  # type: ignore[no-untyped-call]
            except EcsOperatorError as error:
                # No place now, as RESOURCE:MEMORY: there may be one later.
                words = "; ".join(str(one.get("reason", one)) for one in error.failures)
                raise Refused(Failure(FailureKind.LOST_HOST, f"ECS has no place: {words}", True)) from error

        start(self.hook, submission.store, definition, act)
        assert self.arn is not None  # noqa: S101 - it was started
        return self.arn

    def find(self, name: str) -> str | None:
        """ARN of a task by the name that started it; see `JobStep.find`."""
        for status in ("RUNNING", "STOPPED"):
            found = self.client.list_tasks(cluster=self.cluster, startedBy=name, desiredStatus=status)
            if found["taskArns"]:
                return str(found["taskArns"][0])
        return None

    def look(self, job: str) -> Mapping[str, Any] | None:
        """Ask ECS once; see `JobStep.look`."""
        self.arn = job
        found = self.client.describe_tasks(cluster=self.cluster, tasks=[job])["tasks"]
        return dict(found[0]) if found else None

    def state(self, described: Mapping[str, Any]) -> str:
        """Say ``waiting``, ``running`` or ``over``."""
        from airloom.triggers.jobs import ecs_state

        return ecs_state(described)

    def times(self, described: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
        """When it was submitted, started, stopped."""
        names = ("createdAt", "startedAt", "stoppedAt")
        submitted, started, stopped = (
            described[name].timestamp() if described.get(name) else None for name in names
        )
        return submitted, started, stopped

    def failure(self, described: Mapping[str, Any]) -> Failure | None:
        """Why a task that has stopped failed."""
        from airloom.failures import of_ecs
        from airloom.operators.definitions import CONTAINER

        return of_ecs(described, CONTAINER)

    def blocked(self, described: Mapping[str, Any]) -> str:
        """Why a task waits; ECS says no more than its status."""
        return str(described.get("lastStatus", ""))

    def wait(self, context: Context, job: str, start_by: float | None, end_by_s: float | None) -> None:
        """Wait for a task's end; see `JobStep.wait`."""
        from airloom.triggers.jobs import EcsTaskEnd

        self.arn = job
        if self.deferrable:
            self.defer(
                trigger=EcsTaskEnd(
                    job=job,
                    start_by=start_by,
                    end_by_s=end_by_s,
                    poll_interval=self.poll_interval,
                    place=self.cluster or "",
                    aws_conn_id=self.aws_conn_id,
                    region_name=self.region_name,
                    verify=self.verify,
                    botocore_config=self.botocore_config,
                    log_group=self.awslogs_group or "",
                    log_prefix=self.awslogs_stream_prefix or "",
                    log_region=self.awslogs_region,
                ),
                method_name="execute_complete",
            )
        self.task_log_fetcher = None
        try:
            while True:
                described = self.describe(job)
                if described is None or self.state(described) == "over":
                    return
                _, started, _ = self.times(described)
                waiting = self.state(described) == "waiting"
                if waiting and start_by is not None and time.time() >= start_by:
                    return
                if started is not None and end_by_s is not None and time.time() >= started + end_by_s:
                    return
                if self.task_log_fetcher is None and not waiting:
                    self.task_log_fetcher = self._get_task_log_fetcher()
                    self.task_log_fetcher.start()
                time.sleep(self.poll_interval)
        finally:
            if self.task_log_fetcher is not None:
                self.task_log_fetcher.stop()  # type: ignore[no-untyped-call]
                self.task_log_fetcher.join()

    def stop(self, job: str, reason: str) -> None:
        """Stop a task."""
        self.client.stop_task(cluster=self.cluster, task=job, reason=reason)

    @property
    def current_job(self) -> str | None:
        """Id of the job that this try waits for."""
        return self.arn

    def lines(self, described: Mapping[str, Any]) -> Sequence[str]:
        """What a task has printed, as far as CloudWatch has it."""
        self.arn = str(described["taskArn"])
        return self._get_task_log_fetcher().get_last_log_messages(10_000)
