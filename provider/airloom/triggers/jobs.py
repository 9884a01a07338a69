"""The end of a job on AWS, waited for in the triggerer: all jobs of one place with few requests.

Every trigger of a process that looks at the same place (connection, region, cluster) adds its job to one
`_Watch`, which asks for up to 100 of them at once. boto3 runs in threads: aiobotocore is not needed, which
holds botocore back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airloom.failures import ENDED_BY_AIRFLOW

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

logger = logging.getLogger(__name__)

_AT_ONCE = 100
"""Most jobs or tasks of one request ("DescribeJobs" of AWS Batch, "DescribeTasks" of Amazon ECS)."""

_LOG_REQUESTS_A_SECOND = 5.0
"""CloudWatch answers 25 requests for logs a second, of a whole account in a region ("CloudWatch Logs quotas",
Amazon CloudWatch Logs user guide): a triggerer takes a part of them."""
_LOG = ("log_group", "log_prefix", "log_region")

_WAITING = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "PROVISIONING", "ACTIVATING")


def batch_state(described: Mapping[str, Any]) -> str:
    """Say of a job of Batch whether it is ``waiting``, ``running`` or ``over``."""
    if described["status"] in ("SUCCEEDED", "FAILED"):
        return "over"
    return "waiting" if described["status"] in _WAITING else "running"


def ecs_state(described: Mapping[str, Any]) -> str:
    """Say of a task of ECS whether it is ``waiting``, ``running`` or ``over``."""
    if described["lastStatus"] == "STOPPED":
        return "over"
    return "waiting" if described["lastStatus"] in _WAITING else "running"


class _Watch:
    """All jobs of one place that this process waits for."""

    def __init__(self, ask: Any) -> None:
        self._ask = ask
        self._wanted: dict[str, float] = {}
        self._known: dict[str, tuple[float, Mapping[str, Any] | None]] = {}
        self._asking: asyncio.Lock = asyncio.Lock()

    async def look(self, job: str, not_older_s: float) -> Mapping[str, Any] | None:
        """What the service says about a job, or said a short time ago."""
        self._wanted[job] = time.monotonic()
        async with self._asking:
            at, described = self._known.get(job, (float("-inf"), None))
            if time.monotonic() - at < not_older_s:
                return described
            # Those who wait for their turn want an answer, too: all of them get it at once.
            jobs = sorted(self._wanted)
            for begin in range(0, len(jobs), _AT_ONCE):
                part = jobs[begin : begin + _AT_ONCE]
                found = await asyncio.to_thread(self._ask, part)
                now = time.monotonic()
                self._known |= {one: (now, found.get(one)) for one in part}
            return self._known[job][1]

    def forget(self, job: str) -> None:
        self._wanted.pop(job, None)
        self._known.pop(job, None)


class _Pace:
    """How often this process reads logs: what all its jobs print is worth only so many requests."""

    def __init__(self, requests_a_second: float) -> None:
        self._gap_s = 1 / requests_a_second
        self._next = float("-inf")

    def may(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._gap_s
        return True


class _Lines:
    """The log of one job, read on from where the last look ended."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client = client
        self._asked = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}

    def more(self) -> tuple[list[str], bool]:
        """Give lines that are new, and whether these are all for now.

        A page may be empty before the end: that is where the token stays the same ("GetLogEvents", Amazon
        CloudWatch Logs API reference).
        """
        try:
            answer = self._client.get_log_events(**self._asked)
        except self._client.exceptions.ResourceNotFoundException:  # the container has printed nothing yet
            return [], True
        is_end = self._asked.get("nextToken") == answer["nextForwardToken"]
        self._asked["nextToken"] = answer["nextForwardToken"]
        return [str(event["message"]) for event in answer["events"]], is_end


class JobEnd(BaseTrigger):
    """Fires when a job is over, or when its time to start or to run is; tells meanwhile what it prints.

    Parameters
    ----------
    job
        Id of the job, or ARN of the task.
    start_by
        When it should have started, in seconds since 1970; None: no matter.
    end_by_s
        How many seconds it may run after its start; None: no matter.
    poll_interval
        Seconds between two looks.
    place
        Cluster, for ECS.
    log_group, log_prefix, log_region
        Where the job's log is in CloudWatch, as far as its description does not say it. Without a group
        nothing is told.
    """

    _watches: ClassVar[dict[Any, _Watch]] = {}
    _pace: ClassVar[_Pace] = _Pace(_LOG_REQUESTS_A_SECOND)

    def __init__(
        self,
        *,
        job: str,
        start_by: float | None = None,
        end_by_s: float | None = None,
        poll_interval: float = 15,
        place: str = "",
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        log_group: str = "",
        log_prefix: str = "",
        log_region: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job = job
        self.start_by = start_by
        self.end_by_s = end_by_s
        self.poll_interval = poll_interval
        self.place = place
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.log_group = log_group
        self.log_prefix = log_prefix
        self.log_region = log_region
        self._lines: _Lines | None = None
        self._told = 0
        self._mute = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Name the class, and what it is made of."""
        names = ("job", "start_by", "end_by_s", "poll_interval", "place", "aws_conn_id", "region_name")
        kind = type(self)
        return (
            f"{kind.__module__}.{kind.__qualname__}",
            {name: getattr(self, name) for name in (*names, "verify", "botocore_config", *_LOG)},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the job until there is something to do about it."""
        watch = self._watch()
        try:
            while True:
                try:
                    described = await watch.look(self.job, self.poll_interval / 2)
                except Exception as error:
                    # The task itself finds out what is wrong, and says it in its own log.
                    logger.warning("cannot look at job %s: %s", self.job, error)
                    if not _passes(error):
                        break
                    described = None
                if described is not None:
                    due = self._is_due(described)
                    await self._tell(described, all_of_it=due)
                    if due:
                        break
                await asyncio.sleep(self.poll_interval)
        finally:
            watch.forget(self.job)
        yield TriggerEvent({"job": self.job, "told": self._told})  # type: ignore[no-untyped-call]

    async def _tell(self, described: Mapping[str, Any], *, all_of_it: bool) -> None:
        """Put what the job has printed since into the task's log: one request, or all that it takes.

        What is not told here, because there were too many jobs or CloudWatch was late, the task tells
        when it goes on: the store has the whole log.
        """
        if self._mute or self.state(described) == "waiting" or not (all_of_it or self._pace.may()):
            return
        try:
            if self._lines is None:
                where = self.stream(described)
                if where is None:
                    return
                client = await asyncio.to_thread(self._logs)
                self._lines = _Lines(client, *where)
            is_end = False
            while not is_end:
                lines, is_end = await asyncio.to_thread(self._lines.more)
                for line in lines:
                    logger.info("%s", line)
                self._told += len(lines)
                is_end = is_end or not all_of_it
        except Exception as error:
            self._mute = not _passes(error)
            logger.warning("cannot read the log of job %s: %s", self.job, error)

    def _logs(self) -> Any:
        from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook

        parameters = {**self._hook_parameters(), "region_name": self.log_region or self.region_name}
        return AwsLogsHook(**parameters).conn

    def stream(self, described: Mapping[str, Any]) -> tuple[str, str] | None:
        """Group and stream of the job's log in CloudWatch; None where it has none."""
        return None

    async def on_kill(self) -> None:
        """Stop the job when somebody ends the deferred task (Airflow 3.3 and newer ask for it)."""
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """Stop the job."""
        raise NotImplementedError

    def ask(self, jobs: list[str]) -> dict[str, Mapping[str, Any]]:
        """What the service says about these jobs, by their ids."""
        raise NotImplementedError

    def state(self, described: Mapping[str, Any]) -> str:
        """Say ``waiting``, ``running`` or ``over``."""
        raise NotImplementedError

    def started(self, described: Mapping[str, Any]) -> float | None:
        """When it started, in seconds since 1970."""
        raise NotImplementedError

    def _is_due(self, described: Mapping[str, Any]) -> bool:
        state, now = self.state(described), time.time()
        if state == "over":
            return True
        if state == "waiting":
            return self.start_by is not None and now >= self.start_by
        started = self.started(described)
        return self.end_by_s is not None and started is not None and now >= started + self.end_by_s

    def _watch(self) -> _Watch:
        config = json.dumps(self.botocore_config, sort_keys=True, default=str)
        key = (
            type(self),
            id(asyncio.get_running_loop()),
            self.place,
            self.aws_conn_id,
            self.region_name,
            str(self.verify),
            config,
        )
        return self._watches.setdefault(key, _Watch(self.ask))

    def _hook_parameters(self) -> dict[str, Any]:
        return {
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "config": self.botocore_config,
        }


def _passes(error: Exception) -> bool:
    """Say whether a request may go better in a while: too many of them, a server or a network that failed."""
    answer = getattr(error, "response", None)
    if answer is None:
        return type(error).__module__.startswith(("botocore", "urllib3"))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = answer.get("Error", {}).get("Code", "")
    return status == 429 or status >= 500 or "Throttl" in code or "TooManyRequests" in code


class BatchJobEnd(JobEnd):
    """Fires when a job of AWS Batch is over, or its time is; see `JobEnd`."""

    @cached_property
    def _hook(self) -> AwsGenericHook[Any]:
        from airflow.providers.amazon.aws.hooks.batch_client import BatchClientHook

        return BatchClientHook(**self._hook_parameters())

    def stop(self) -> None:
        """Stop the job."""
        self._hook.conn.terminate_job(jobId=self.job, reason=ENDED_BY_AIRFLOW)

    def ask(self, jobs: list[str]) -> dict[str, Mapping[str, Any]]:
        """What Batch says about these jobs."""
        return {one["jobId"]: one for one in self._hook.conn.describe_jobs(jobs=jobs)["jobs"]}

    def state(self, described: Mapping[str, Any]) -> str:
        """Say ``waiting``, ``running`` or ``over``."""
        return batch_state(described)

    def stream(self, described: Mapping[str, Any]) -> tuple[str, str] | None:
        """Group and stream of the job's log; see `JobEnd.stream`."""
        container = described.get("container", {})
        options = container.get("logConfiguration", {}).get("options", {})
        name = container.get("logStreamName")
        if not name or not self.log_group:
            return None
        return options.get("awslogs-group") or self.log_group, str(name)

    def started(self, described: Mapping[str, Any]) -> float | None:
        """When it started."""
        return described["startedAt"] / 1000 if described.get("startedAt") else None


class EcsTaskEnd(JobEnd):
    """Fires when a task of Amazon ECS has stopped, or its time is over; see `JobEnd`."""

    @cached_property
    def _hook(self) -> AwsGenericHook[Any]:
        from airflow.providers.amazon.aws.hooks.ecs import EcsHook

        return EcsHook(**self._hook_parameters())

    def stop(self) -> None:
        """Stop the task."""
        self._hook.conn.stop_task(cluster=self.place, task=self.job, reason=ENDED_BY_AIRFLOW)

    def ask(self, jobs: list[str]) -> dict[str, Mapping[str, Any]]:
        """What ECS says about these tasks."""
        answer = self._hook.conn.describe_tasks(cluster=self.place, tasks=jobs)
        return {one["taskArn"]: one for one in answer["tasks"]}

    def state(self, described: Mapping[str, Any]) -> str:
        """Say ``waiting``, ``running`` or ``over``."""
        return ecs_state(described)

    def stream(self, described: Mapping[str, Any]) -> tuple[str, str] | None:
        """Group and stream of the task's log; see `JobEnd.stream`."""
        number = str(described["taskArn"]).rpartition("/")[2]
        return (self.log_group, f"{self.log_prefix}/{number}") if self.log_group else None

    def started(self, described: Mapping[str, Any]) -> float | None:
        """When it started."""
        return described["startedAt"].timestamp() if described.get("startedAt") else None
