"""AWS Batch: moto's compute environments, queues and definitions, and jobs that run."""

from __future__ import annotations

import json
import re
import threading
from types import SimpleNamespace
from typing import Any

from moto.batch import urls
from moto.batch.exceptions import ClientException
from moto.batch.models import BatchBackend, JobDefinition, JobQueue, batch_backends
from moto.batch.responses import BatchResponse
from moto.ec2.models.instance_types import INSTANCE_TYPES

from support.aws import words
from support.aws.fargate import offers
from support.aws.jobs import ENDED, Job, sizes
from support.aws.world import world

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", *ENDED)


def install() -> None:
    """Let moto make our backend instead of its own."""
    batch_backends.backend = RunningBatch


class Line:
    """Jobs of a queue that wait for room: first come, first served, as in a queue without scheduling policy.

    Unlike on AWS, a job that can never start does not block those behind it: tests share the queues.
    """

    def __init__(self, queue: JobQueue) -> None:
        self.room = sum(float(place.compute_resources["maxvCpus"]) for place in queue.environments)
        types = [
            name for place in queue.environments for name in place.compute_resources.get("instanceTypes", [])
        ]
        self._hosts = [host_size(name) for name in types]
        self._waiting: list[Job] = []
        self._taken: dict[str, float] = {}

    def enter(self, job: Job) -> None:
        with world().lock:
            self._waiting.append(job)
            self.move()

    def leave(self, job: Job) -> None:
        """Give back a job's room, or its place in the line."""
        with world().lock:
            self._taken.pop(job.id, None)
            self._waiting = [other for other in self._waiting if other is not job]
            self.move()

    def move(self) -> None:
        """Let those start whose turn it is."""
        with world().lock:
            free = self.room - sum(self._taken.values())
            for job in list(self._waiting):
                size = job.size("VCPU")
                job.status_reason = job.stuck or self._misfit(job)
                if job.status_reason:
                    continue
                if size > free:
                    return
                free -= size
                self._taken[job.id] = size
                self._waiting.remove(job)
                job.go.set()

    def _misfit(self, job: Job) -> str:
        """Say why a job never fits; Fargate has no hosts, and was asked for its pairs at submission."""
        asked = {kind: job.size(kind) for kind in ("VCPU", "MEMORY", "GPU")}
        if asked["VCPU"] > self.room:
            return words.TOO_MANY_VCPUS
        if self._hosts and not any(all(host[kind] >= asked[kind] for kind in asked) for host in self._hosts):
            return words.TOO_LARGE
        return ""


def host_size(name: str) -> dict[str, float]:
    """What an instance type has, as moto knows it."""
    known = INSTANCE_TYPES[name]
    gpus = (known.get("GpuInfo") or {}).get("Gpus", [])
    return {
        "VCPU": known["VCpuInfo"]["DefaultVCpus"],
        "MEMORY": known["MemoryInfo"]["SizeInMiB"],
        "GPU": sum(gpu["Count"] for gpu in gpus),
    }


class RunningBatch(BatchBackend):
    """moto's Batch, with jobs of our own."""

    @property
    def _url_module(self) -> Any:  # moto looks for it beside the class's module
        return SimpleNamespace(
            url_bases=urls.url_bases, url_paths=dict.fromkeys(urls.url_paths, BatchResponses.dispatch)
        )

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.jobs: dict[str, Job] = {}
        self._lines: dict[str, Line] = {}

    def reset(self) -> None:
        for job in self.jobs.values():
            job.stop("isTerminated", "reset")
        super().reset()

    def line(self, queue: JobQueue) -> Line:
        """Give the line of jobs that wait in a queue."""
        with world().lock:
            return self._lines.setdefault(queue.name, Line(queue))

    # -- jobs -------------------------------------------------------------------------------

    def submit(self, request: dict[str, Any]) -> Job:
        definition = self.get_job_definition(request["jobDefinition"])
        queue = self.get_job_queue(request["jobQueue"])
        if not _NAME.fullmatch(request["jobName"]):
            raise ClientException("Job name should match valid pattern")
        if definition is None or definition.status != "ACTIVE":
            raise ClientException(
                f"JobDefinition {request['jobDefinition']} does not exist or is not active."
            )
        if queue is None:
            raise ClientException(f"Job queue {request['jobQueue']} does not exist")
        if queue.state != "ENABLED":
            raise ClientException(f"Job queue {queue.name} is not ENABLED")  # prototype
        check_submission(request, definition)
        job = Job(self, definition, queue, request)
        count = (request.get("arrayProperties") or {}).get("size")
        if definition.type == "multinode":
            assert definition.node_properties
            count = (request.get("nodeOverrides") or {}).get("numNodes") or definition.node_properties[
                "numNodes"
            ]
        for index in range(count or 0):
            job.children.append(Job(self, definition, queue, request, parent=job, index=index))
        with world().lock:
            self.jobs |= {each.id: each for each in (job, *job.children)}
        job.start()
        return job

    def find(self, name: str) -> Job | None:
        """Find a job by its id or its ARN."""
        return self.jobs.get(name.split(":job/")[-1])

    def seen(self) -> list[Job]:
        """Give the jobs that are told of, the newest first, without array children and nodes."""
        known = [
            job for job in self.jobs.values() if job.parent is None and not world().hides(job.created_ms)
        ]
        return sorted(known, key=lambda job: -job.created_ms)


def check_submission(request: dict[str, Any], definition: JobDefinition) -> None:
    """Refuse what SubmitJob refuses (docs: AWS Batch API reference, SubmitJob; "Service quotas")."""
    overrides = request.get("containerOverrides") or {}
    if len(json.dumps(request)) > 30 * 1024:
        raise ClientException("Job payload size exceeds the limit of 30 KiB")  # the words: prototype
    if (request.get("timeout") or {}).get("attemptDurationSeconds", 60) < 60:
        raise ClientException("Timeout duration should be at least 60 seconds")  # the words: prototype
    size = (request.get("arrayProperties") or {}).get("size")
    if size is not None and not 2 <= size <= 10_000:
        raise ClientException("Array size must be between 2 and 10000")  # the words: prototype
    if any(item["name"].startswith("AWS_BATCH") for item in overrides.get("environment") or []):
        raise ClientException("Environment variables cannot start with AWS_BATCH")  # the words: prototype
    made = {item["type"]: item["value"] for item in sizes(definition.container_properties or {})}
    needs = {**made, **{item["type"]: item["value"] for item in sizes(overrides)}}
    if definition.type != "multinode":
        check_sizes(needs, definition.platform_capabilities or [], old=set(overrides) & {"vcpus", "memory"})


def check_sizes(needs: dict[str, str], platforms: list[str], *, old: set[str] | None = None) -> None:
    fargate = "FARGATE" in platforms
    for name in sorted(old or ()):
        if fargate:  # seen: insitro/redun#95
            raise ClientException(f"{name} is not applicable for Fargate. Use resource requirements instead.")
    for kind, value in needs.items():
        if not re.fullmatch(r"\d+(\.\d+)?" if fargate and kind == "VCPU" else r"\d+", str(value)):
            raise ClientException(words.not_numeric(kind, value))
    if fargate and "GPU" in needs:
        raise ClientException("GPU is not supported on Fargate")  # the words: prototype
    if fargate and not offers(float(needs.get("VCPU", 0)), int(needs.get("MEMORY", 0))):
        raise ClientException(words.fargate_pair(float(needs.get("VCPU", 0)), int(needs.get("MEMORY", 0))))


class BatchResponses(BatchResponse):
    """What Batch answers, where moto's answers are not AWS's."""

    @property
    def batch_backend(self) -> RunningBatch:
        backend = batch_backends[self.current_account][self.region]
        assert isinstance(backend, RunningBatch)
        return backend

    def _asked(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    def registerjobdefinition(self) -> str:
        request = self._asked()
        container = request.get("containerProperties")
        if container:
            needs = {item["type"]: item["value"] for item in sizes(container)}
            check_sizes(needs, request.get("platformCapabilities") or [])
            if "FARGATE" in (request.get("platformCapabilities") or []) and not container.get(
                "executionRoleArn"
            ):
                raise ClientException("Fargate jobs need an executionRoleArn")  # the words: prototype
        return super().registerjobdefinition()

    def describejobdefinitions(self) -> str:
        told = json.loads(super().describejobdefinitions())
        backend = self.batch_backend
        for made in told["jobDefinitions"]:
            definition = backend.get_job_definition_by_arn(made["jobDefinitionArn"])
            if definition is not None and definition.node_properties:
                made["nodeProperties"] = definition.node_properties
        newest_first = sorted(told["jobDefinitions"], key=lambda made: -made["revision"])
        return json.dumps({"jobDefinitions": newest_first})

    def submitjob(self) -> str:
        job = self.batch_backend.submit(self._asked())
        return json.dumps({"jobId": job.id, "jobName": job.request["jobName"], "jobArn": job.arn})

    def describejobs(self) -> str:
        names = self._asked().get("jobs") or []
        if len(names) > 100:  # seen: pegasus-isi/pegasus#2086
            raise ClientException(
                "Error executing request, Exception : Maximum number of jobs supported is  100 ."
            )
        found = [self.batch_backend.find(name) for name in names]
        known = [job for job in found if job and not world().hides(job.created_ms)]
        return json.dumps({"jobs": [job.details() for job in known]})

    def listjobs(self) -> str:
        request = self._asked()
        filters = {item["name"]: item["values"] for item in request.get("filters") or []}
        parent = request.get("arrayJobId") or request.get("multiNodeJobId")
        if parent:
            job = self.batch_backend.find(parent)
            jobs = list(job.children) if job else []
        elif request.get("jobQueue"):
            queue = self.batch_backend.get_job_queue(request["jobQueue"])
            if queue is None:
                raise ClientException(f"Job queue {request['jobQueue']} does not exist")
            jobs = [job for job in self.batch_backend.seen() if job.queue is queue]
        else:
            raise ClientException("Specify a jobQueue, an arrayJobId or a multiNodeJobId")  # prototype
        status = request.get("jobStatus") or (None if filters or parent else "RUNNING")
        if status is not None and status not in _STATES:
            raise ClientException(f"Job status is not one of {' | '.join(_STATES)}")
        # docs: ListJobs: with filters, jobStatus counts for nothing.
        if status is not None and not filters:
            jobs = [job for job in jobs if job.seen_status() == status]
        jobs = [job for job in jobs if all(_matches(job, name, values) for name, values in filters.items())]
        first = int(request.get("nextToken") or 0)
        last = first + min(int(request.get("maxResults") or 1000), 100 if filters else 1000)
        answer: dict[str, Any] = {"jobSummaryList": [job.summary() for job in jobs[first:last]]}
        if last < len(jobs):
            answer["nextToken"] = str(last)
        return json.dumps(answer)

    def terminatejob(self) -> str:
        request = self._asked()
        job = self.batch_backend.find(request["jobId"])
        if job:
            _in_background(job, "isTerminated", request["reason"])
        return ""

    def canceljob(self) -> str:
        request = self._asked()
        job = self.batch_backend.find(request["jobId"])
        # docs: CancelJob: jobs that are STARTING or RUNNING are not cancelled, and that is no error.
        for each in (job.children or [job]) if job else []:
            if each.status in ("SUBMITTED", "PENDING", "RUNNABLE"):
                each.stop("isCancelled", request["reason"])
        return ""


def _in_background(job: Job, how: str, reason: str) -> None:
    threading.Thread(target=job.stop, args=(how, reason), daemon=True).start()


def _matches(job: Job, name: str, values: list[str]) -> bool:
    """Docs: AWS Batch API reference, ListJobs: names in any case, with an asterisk at the end."""
    if name in ("JOB_NAME", "JOB_DEFINITION"):
        text = (job.request["jobName"] if name == "JOB_NAME" else job.definition.name).lower()
        texts = (
            {text, f"{job.definition.name}:{job.definition.revision}".lower()}
            if name != "JOB_NAME"
            else {text}
        )
        wanted = [value.lower() for value in values]
        return any(
            any(text.startswith(value[:-1]) for text in texts) if value.endswith("*") else value in texts
            for value in wanted
        )
    moment = int(values[0])
    return job.created_ms < moment if name == "BEFORE_CREATED_AT" else job.created_ms > moment
