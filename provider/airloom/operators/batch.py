"""BatchStepOperator: one step of a deployed flow, run as a job of AWS Batch.

Parsing a DAG file imports this module, so everything that only a running task needs is
imported where it runs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.links.batch import BatchJobDefinitionLink, BatchJobQueueLink
from airflow.providers.amazon.aws.operators.batch import BatchOperator

from airloom.operators.job import BACK_OFF, FIELDS, JobStep

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.failures import Failure
    from airloom.operators.submissions import Submission
    from airloom.plan import StepPlan
    from airloom.settings import Settings


class BatchStepOperator(JobStep, BatchOperator):
    """Run one step of a flow as a job of AWS Batch, and save what it leaves on ``self`` as artifacts.

    What is not given here stands in the plan (@batch, @resources), and else in the settings ``batch_*``.

    Parameters
    ----------
    flow, plan, step, index, flow_group, flow_parameters, flow_outputs
        As for `StepOperator`.
    job_queue
        Name or ARN of the queue.
    spot_queue
        Queue that the job is sent to first; after reclaimed attempts it goes to ``job_queue``.
    image
        Container image with Python 3.10 or newer.
    platform
        ``EC2`` or ``FARGATE``, whichever the queue's compute environments are.
    cpu, memory_mib, gpu
        Size of the first attempt: vCPU, MiB, number of GPUs. After one that ran out of memory it grows.
    timeout
        What the plan allows one attempt at one index. The container keeps it; the job's own comes later.
    poll_interval
        Seconds between two looks at the job.
    kwargs
        Those of ``BatchOperator``: ``aws_conn_id``, ``region_name``, ``deferrable``, ``share_identifier`` ...

    Notes
    -----
    While a deferrable task waits, the triggerer asks for all jobs of all tasks together, up to 100 with one
    request ("DescribeJobs", AWS Batch API reference).
    """

    template_fields: Sequence[str] = (
        *FIELDS,
        "spot_queue",
        "platform",
        *(name for name in BatchOperator.template_fields if name != "job_id"),
    )
    ui_color = "#f6e3c5"

    def __init__(
        self,
        *,
        flow: str,
        plan: str,
        step: str | None = None,
        index: str | None = None,
        job_queue: str | None = None,
        spot_queue: str | None = None,
        image: str | None = None,
        platform: str | None = None,
        cpu: float | None = None,
        memory_mib: int | None = None,
        gpu: int | None = None,
        flow_group: str | None = None,
        flow_parameters: Mapping[str, Json] | None = None,
        flow_outputs: Sequence[str] | None = None,
        timeout: Any = None,
        poll_interval: int = 15,
        awslogs_enabled: bool = True,
        job_name: str = "",
        job_definition: str = "",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("botocore_config", BACK_OFF)
        super().__init__(
            job_name=job_name,
            job_definition=job_definition,
            job_queue=job_queue or "",
            poll_interval=poll_interval,
            awslogs_enabled=awslogs_enabled,
            **kwargs,
        )
        self.flow = flow
        self.plan = plan
        self.step = step
        self.index = index
        self.spot_queue = spot_queue
        self.image = image
        self.platform = platform
        self.cpu = cpu
        self.memory_mib = memory_mib
        self.gpu = gpu
        self.flow_group = flow_group
        self.flow_parameters = flow_parameters
        self.flow_outputs = flow_outputs
        self.timeout = timeout

    def changed(self, step: StepPlan, settings: Settings) -> StepPlan:
        """Fill in what the DAG file and the settings say about the step."""
        from airloom.runtime.places import batch_step

        given = {
            "queue": self.job_queue,
            "spot_queue": self.spot_queue,
            "image": self.image,
            "platform": self.platform,
        }
        filled = batch_step(
            step, given, {"cpu": self.cpu, "memory_mib": self.memory_mib, "gpu": self.gpu}, settings
        )
        self._step = filled
        return filled

    def submit(self, submission: Submission, context: Context) -> str:
        """Submit the job; see `JobStep.submit`."""
        from airloom.operators.definitions import batch_definition, batch_overrides, start

        said = self._step.batch
        assert said is not None  # noqa: S101 - the step's target is batch
        definition = batch_definition(self._step, submission.size)
        self.job_name = submission.name
        self.job_queue = (said.spot_queue if submission.on_spot else said.queue) or ""
        self.container_overrides = batch_overrides(submission)
        self.submit_job_timeout = submission.timeout_s
        self.tags = {**self.tags, **submission.tags}
        self.retry_strategy = {"attempts": 1}  # Airflow is the only one that tries again

        def act(arn: str) -> None:
            self.job_definition = arn
            self.submit_job(context)

        start(self.hook, submission.store, definition, act)
        assert self.job_id is not None  # noqa: S101 - it was submitted
        self._keep_links(context, said.queue or "")
        return self.job_id

    def _keep_links(self, context: Context, queue: str) -> None:
        where = {"region_name": self.hook.conn_region_name, "aws_partition": self.hook.conn_partition}
        definition = self.job_definition
        BatchJobDefinitionLink.persist(context=context, operator=self, job_definition_arn=definition, **where)
        if queue.startswith("arn:"):
            BatchJobQueueLink.persist(context=context, operator=self, job_queue_arn=queue, **where)

    def find(self, name: str) -> str | None:
        """Id of a job by its name; see `JobStep.find`."""
        said = self._step.batch
        assert said is not None  # noqa: S101 - the step's target is batch
        for queue in filter(None, (said.spot_queue, said.queue)):
            answer = self.hook.conn.list_jobs(
                jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}]
            )
            for job in answer["jobSummaryList"]:
                if job["jobName"] == name:
                    return str(job["jobId"])
        return None

    def look(self, job: str) -> Mapping[str, Any] | None:
        """Ask Batch once; see `JobStep.look`."""
        self.job_id = job
        found = self.hook.conn.describe_jobs(jobs=[job])["jobs"]
        return dict(found[0]) if found else None

    def state(self, described: Mapping[str, Any]) -> str:
        """Say ``waiting``, ``running`` or ``over``."""
        from airloom.triggers.jobs import batch_state

        return batch_state(described)

    def times(self, described: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
        """When it was submitted, started, stopped; Batch counts milliseconds."""
        names = ("createdAt", "startedAt", "stoppedAt")
        submitted, started, stopped = (
            described[name] / 1000 if described.get(name) else None for name in names
        )
        return submitted, started, stopped

    def failure(self, described: Mapping[str, Any]) -> Failure | None:
        """Why a job that is over failed."""
        from airloom.failures import of_batch

        return of_batch(described)

    def blocked(self, described: Mapping[str, Any]) -> str:
        """Why a job waits, in Batch's words."""
        return str(described.get("statusReason", ""))

    def wait(self, context: Context, job: str, start_by: float | None, end_by_s: float | None) -> None:
        """Wait for a job's end; see `JobStep.wait`."""
        from airloom.triggers.jobs import BatchJobEnd

        self.job_id = job
        if self.deferrable:
            self.defer(
                trigger=BatchJobEnd(
                    job=job,
                    start_by=start_by,
                    end_by_s=end_by_s,
                    poll_interval=self.poll_interval,
                    aws_conn_id=self.aws_conn_id,
                    region_name=self.region_name,
                    verify=self.verify,
                    botocore_config=self.botocore_config,
                    log_group="/aws/batch/job" if self.awslogs_enabled else "",
                ),
                method_name="execute_complete",
            )
        fetcher = None
        try:
            while True:
                described = self.describe(job)
                if described is None or self.state(described) == "over":
                    return
                if self.state(described) == "waiting" and start_by is not None and time.time() >= start_by:
                    return
                if (
                    fetcher is None
                    and self.awslogs_enabled
                    and described.get("container", {}).get("logStreamName")
                ):
                    fetcher = self._get_batch_log_fetcher(job)
                    if fetcher is not None:
                        fetcher.start()
                time.sleep(self.poll_interval)
        finally:
            if fetcher is not None:
                fetcher.stop()  # type: ignore[no-untyped-call]
                fetcher.join()

    def stop(self, job: str, reason: str) -> None:
        """End a job."""
        self.hook.conn.terminate_job(jobId=job, reason=reason)

    @property
    def current_job(self) -> str | None:
        """Id of the job that this try waits for."""
        return self.job_id

    def lines(self, described: Mapping[str, Any]) -> Sequence[str]:
        """What a job has printed, as far as CloudWatch has it."""
        job = str(described["jobId"])
        if not described.get("container", {}).get("logStreamName"):
            return []
        fetcher = self._get_batch_log_fetcher(job)
        return [] if fetcher is None else fetcher.get_last_log_messages(10_000)
