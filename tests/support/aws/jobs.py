"""One job of AWS Batch: its states, its attempts, and why it ended."""

from __future__ import annotations

import fnmatch
import json
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from support.aws import words
from support.aws.runners import CannotRun, Ended, Order, Run
from support.aws.world import listed, log_to, now_ms, variables, world

if TYPE_CHECKING:
    from moto.batch.models import JobDefinition, JobQueue

    from support.aws.batch import RunningBatch

ENDED = ("SUCCEEDED", "FAILED")
POLL_S = 0.02
LOG_GROUP = "/aws/batch/job"


class Job:
    """A job, an index of an array job, or a node of a multi-node job."""

    def __init__(
        self,
        backend: RunningBatch,
        definition: JobDefinition,
        queue: JobQueue,
        request: dict[str, Any],
        *,
        parent: Job | None = None,
        index: int | None = None,
    ) -> None:
        self.backend, self.definition, self.queue, self.request = backend, definition, queue, request
        self.parent, self.index = parent, index
        self.children: list[Job] = []
        self.multinode = definition.type == "multinode"
        sign = "#" if self.multinode else ":"
        self.id = f"{parent.id}{sign}{index}" if parent else str(uuid4())
        self.arn = f"arn:aws:batch:{backend.region_name}:{backend.account_id}:job/{self.id}"
        self.status = "SUBMITTED"
        self.status_reason = ""
        self.created_ms = now_ms()
        self.started_ms: int | None = None
        self.stopped_ms: int | None = None
        self.attempts: list[dict[str, Any]] = []
        self.container: dict[str, Any] = {}
        self.stopped: tuple[str, str] | None = None  # isTerminated or isCancelled, and the reason
        self.stuck = world().stuck
        self.node_environment: dict[str, str] = {}
        self.go = threading.Event()
        self._interrupted = ""
        self._run: Run | None = None

    # -- what it is made of ----------------------------------------------------------------

    @property
    def fargate(self) -> bool:
        return "FARGATE" in (self.definition.platform_capabilities or [])

    @property
    def properties(self) -> dict[str, Any]:
        """The container that the definition and the overrides make together."""
        made, overrides = (
            self.definition.container_properties or {},
            self.request.get("containerOverrides") or {},
        )
        if self.multinode:
            made, overrides = self._node_parts()
        merged = {**made, **{key: value for key, value in overrides.items() if value}}
        needs = {item["type"]: item["value"] for part in (made, overrides) for item in sizes(part)}
        merged["resourceRequirements"] = [{"type": kind, "value": value} for kind, value in needs.items()]
        merged["environment"] = listed(variables(made.get("environment"), overrides.get("environment")))
        return merged

    def size(self, kind: str) -> float:
        needs = {item["type"]: item["value"] for item in self.properties["resourceRequirements"]}
        return float(needs.get(kind, 0))

    def _node_parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        ranges = self.definition.node_properties["nodeRangeProperties"]  # type: ignore[index]
        changed = (self.request.get("nodeOverrides") or {}).get("nodePropertyOverrides") or []
        index = self.index or 0
        made = next(part["container"] for part in ranges if _within(index, part["targetNodes"]))
        mine = [
            part.get("containerOverrides") or {} for part in changed if _within(index, part["targetNodes"])
        ]
        return made, mine[0] if mine else {}

    # -- what becomes of it ----------------------------------------------------------------

    def start(self) -> None:
        if self.children and not self.multinode:
            for child in self.children:
                child.start()
        else:
            threading.Thread(target=self._live, daemon=True).start()

    def stop(self, how: str, reason: str) -> None:
        """Stop it, wherever it is; ``how`` is the name of the fact in what DescribeJobs says."""
        for child in self.children:
            child.stop(how, reason)
        with world().lock:
            if self.status in ENDED or self.stopped:
                return
            self.stopped = (how, reason)
            run = self._run
            self.go.set()
        if run:
            run.stop(world().grace_s)

    def interrupt(self, reason: str) -> bool:
        """Take its host away; False when it does not run."""
        with world().lock:
            run, self._interrupted = self._run, reason
        if run is None or self.status != "RUNNING":
            self._interrupted = ""
            return False
        run.stop(0)
        return True

    def _live(self) -> None:
        try:
            self.status = "PENDING"
            if not self._dependencies_are_met():
                self._end("FAILED", self.stopped[1] if self.stopped else words.DEPENDENCY_FAILED)
            elif self.multinode and self.parent is None:
                self._live_as_nodes()
            else:
                self._live_as_attempts()
        except Exception as error:  # a fault of the emulator must not look like a job that hangs
            traceback.print_exc()
            self._end("FAILED", f"emulator: {error!r}")

    def _dependencies_are_met(self) -> bool:
        for needed in self.request.get("dependsOn") or []:
            if needed.get("type") == "SEQUENTIAL":
                before = self.parent.children[: self.index] if self.parent and self.index else []
                waited = before[-1:]
            elif needed.get("type") == "N_TO_N":
                waited = [self.backend.jobs[f"{needed['jobId']}:{self.index}"]]
            else:
                waited = [self.backend.jobs[needed["jobId"]]]
            for job in waited:
                if not self._await(lambda job=job: job.seen_status() in ENDED):
                    return False
                if job.seen_status() == "FAILED":
                    return False
        return True

    def _await(self, ready: Callable[[], bool]) -> bool:
        while not ready():
            if self.stopped:
                return False
            time.sleep(POLL_S)
        return not self.stopped

    def _live_as_attempts(self) -> None:
        while True:
            line = self.backend.line(self.queue)
            with world().lock:
                self.status = "RUNNABLE"
                if not self.stopped:
                    self.go.clear()
                line.enter(self)
            self.go.wait()
            try:
                if self.stopped:
                    self._end("FAILED", self.stopped[1])
                    return
                ended, status_reason = self._attempt()
            finally:
                line.leave(self)
            self.attempts[-1] |= {"stoppedAt": now_ms(), "statusReason": status_reason}
            told = self.attempts[-1]["container"]
            good = ended is not None and ended.exit_code == 0 and not self.stopped
            if good or self.stopped or not self._again(told, status_reason):
                self._end("SUCCEEDED" if good else "FAILED", status_reason)
                return

    def _attempt(self) -> tuple[Ended | None, str]:
        self.status = "STARTING"
        task = uuid4().hex
        region = self.backend.region_name
        told: dict[str, Any] = {
            "taskArn": f"arn:aws:ecs:{region}:{self.backend.account_id}:task/AWSBatch/{task}",
            "networkInterfaces": [],
        }
        self.attempts.append({"startedAt": now_ms(), "container": told})
        self.container = told
        if len(json.dumps(self.request.get("containerOverrides") or {}, separators=(",", ":"))) > 8192:
            return None, words.OVERRIDES_TOO_LONG
        try:
            run = self._begin(task, told)
        except CannotRun as error:
            told["reason"] = str(error)
            return None, words.FAILED_TO_START
        with world().lock:
            self._run = run
            self.started_ms = self.attempts[-1]["startedAt"] = now_ms()
            self.status = "RUNNING"
        if self.stopped:  # between the check and the start
            run.stop(world().grace_s)
        limit = (self.request.get("timeout") or self.definition.timeout or {}).get("attemptDurationSeconds")
        ended = run.wait(limit / world().speed if limit else None)
        late = ended is None
        if late:
            run.stop(world().grace_s)
            ended = run.wait()
        assert ended is not None
        with world().lock:
            self._run, interrupted, self._interrupted = None, self._interrupted, ""
        if ended.out_of_memory:
            told["reason"] = words.OUT_OF_MEMORY
        if interrupted.startswith("Host EC2"):
            return None, interrupted  # no exit code is known of a container whose host is gone
        told["exitCode"] = ended.exit_code
        if interrupted:
            return ended, interrupted
        if self.stopped:
            return ended, self.stopped[1]
        if late:
            self.stopped = ("", words.TIMEOUT)  # docs: "Job timeouts": it is not tried again
            return ended, words.TIMEOUT
        return ended, words.ESSENTIAL_EXITED

    def _begin(self, task: str, told: dict[str, Any]) -> Run:
        made = self.properties
        logging = made.get("logConfiguration") or {}
        options = logging.get("options") or {}
        group = options.get("awslogs-group", LOG_GROUP)
        # docs: AWS Batch, "Job states": the first 200 characters of the definition's name.
        stream = f"{options.get('awslogs-stream-prefix', self.definition.name[:200])}/default/{task}"
        if group == LOG_GROUP:
            self.backend.logs_backend.ensure_log_group(group)
        log = log_to(self.backend.logs_backend, options, group, stream, fargate=self.fargate)
        told["logStreamName"] = stream
        linux = made.get("linuxParameters") or {}
        folders = {
            volume["name"]: volume["host"]["sourcePath"]
            for volume in made.get("volumes") or []
            if volume.get("host", {}).get("sourcePath")
        }
        order = Order(
            name=f"batch-{self.id.translate(str.maketrans(':#', '--'))}-{len(self.attempts)}",
            image=made["image"],
            command=self._command(made),
            environment={**variables(made["environment"]), **self._own_environment()},
            memory_mib=int(self.size("MEMORY")),
            vcpus=self.size("VCPU"),
            shared_memory_mib=linux.get("sharedMemorySize"),
            mounts={
                mount["containerPath"]: folders[mount["sourceVolume"]]
                for mount in made.get("mountPoints") or []
                if mount["sourceVolume"] in folders
            },
        )
        return world().runner.start(order, log)

    def _command(self, made: dict[str, Any]) -> list[str]:
        values = {**self.definition.parameters, **(self.request.get("parameters") or {})}
        return [
            values.get(part[5:], part) if part.startswith("Ref::") else part
            for part in made.get("command") or []
        ]

    def _own_environment(self) -> dict[str, str]:
        own = {
            "AWS_BATCH_JOB_ID": self.id,
            "AWS_BATCH_JOB_ATTEMPT": str(len(self.attempts)),
            "AWS_BATCH_JQ_NAME": self.queue.name,
            "AWS_BATCH_CE_NAME": self.queue.environments[0].name,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE" if self.fargate else "AWS_ECS_EC2",
        }
        if self.index is not None and not self.multinode:
            own["AWS_BATCH_JOB_ARRAY_INDEX"] = str(self.index)
        return {**own, **self.node_environment, **world().environment(self.backend.region_name)}

    def _again(self, told: dict[str, Any], status_reason: str) -> bool:
        strategy = self.request.get("retryStrategy") or self.definition.retry_strategy or {}
        if len(self.attempts) >= int(strategy.get("attempts") or 1):
            return False
        facts = {
            "onExitCode": str(told.get("exitCode", "")),
            "onReason": told.get("reason", ""),
            "onStatusReason": status_reason,
        }
        for rule in strategy.get("evaluateOnExit") or []:
            if all(fnmatch.fnmatchcase(text, rule[key]) for key, text in facts.items() if rule.get(key)):
                return bool(rule["action"].upper() == "RETRY")
        return True

    def _end(self, status: str, reason: str) -> None:
        with world().lock:
            self.status, self.status_reason, self.stopped_ms = status, reason, now_ms()

    # -- a job of several nodes ------------------------------------------------------------

    def _live_as_nodes(self) -> None:
        count = (self.request.get("nodeOverrides") or {}).get("numNodes") or len(self.children)
        main = self.definition.node_properties["mainNode"]  # type: ignore[index]
        self.status = "RUNNING"
        self.started_ms = now_ms()
        for child in self.children:
            child.node_environment = {
                "AWS_BATCH_JOB_NODE_INDEX": str(child.index),
                "AWS_BATCH_JOB_NUM_NODES": str(count),
                "AWS_BATCH_JOB_MAIN_NODE_INDEX": str(main),
            }
            if child.index != main:
                child.node_environment["AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"] = "127.0.0.1"
            threading.Thread(target=child._live, daemon=True).start()
        leader = self.children[main]
        while leader.status not in ENDED:
            time.sleep(POLL_S)
        for child in self.children:
            child.stop("", "Main node ended")
        self.container, self.attempts = leader.container, leader.attempts
        self._end(leader.status, leader.status_reason)

    # -- what is told of it ----------------------------------------------------------------

    def seen_status(self) -> str:
        if not self.children or self.multinode:
            return self.status
        told = [child.status for child in self.children]
        if all(status in ENDED for status in told):
            return "FAILED" if "FAILED" in told else "SUCCEEDED"
        return "SUBMITTED" if set(told) == {"SUBMITTED"} else "PENDING"

    def summary(self) -> dict[str, Any]:
        """What ListJobs says."""
        status = self.seen_status()
        reason = self.status_reason
        if self.children and not self.multinode and status == "FAILED":
            reason = words.CHILD_FAILED
        told: dict[str, Any] = {
            "jobArn": self.arn,
            "jobId": self.id,
            "jobName": self.request["jobName"],
            "createdAt": self.created_ms,
            "status": status,
            "jobDefinition": self.definition.arn,
            "statusReason": reason or None,
            "startedAt": self.started_ms,
            "stoppedAt": self.stopped_ms,
        }
        facts = {key: self.container[key] for key in ("exitCode", "reason") if key in self.container}
        if facts and status in ENDED:
            told["container"] = facts
        if self.children and not self.multinode:
            told["arrayProperties"] = {"size": len(self.children)}
        elif self.index is not None and not self.multinode:
            told["arrayProperties"] = {"index": self.index}
        return {key: value for key, value in told.items() if value is not None}

    def details(self) -> dict[str, Any]:
        """What DescribeJobs says."""
        told = {
            **self.summary(),
            "jobQueue": self.queue.arn,
            "attempts": self.attempts,
            "dependsOn": self.request.get("dependsOn") or [],
            "parameters": {**self.definition.parameters, **(self.request.get("parameters") or {})},
            "tags": self.request.get("tags") or {},
            "propagateTags": bool(self.request.get("propagateTags")),
            "platformCapabilities": self.definition.platform_capabilities or ["EC2"],
            "retryStrategy": self.request.get("retryStrategy") or self.definition.retry_strategy,
            "timeout": self.request.get("timeout") or self.definition.timeout,
            "isTerminated": self.stopped is not None and self.stopped[0] == "isTerminated",
            "isCancelled": self.stopped is not None and self.stopped[0] == "isCancelled",
        }
        if self.multinode and self.parent is None:
            told["nodeProperties"] = self.definition.node_properties
        else:
            told["container"] = {**self.properties, **self.container}
            if self.multinode:
                main = self.definition.node_properties["mainNode"]  # type: ignore[index]
                told["nodeDetails"] = {"nodeIndex": self.index, "isMainNode": self.index == main}
        if self.children and not self.multinode:
            counts = dict.fromkeys(
                ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"), 0
            )
            for child in self.children:
                counts[child.status] += 1
            told["arrayProperties"] = {"statusSummary": counts, "size": len(self.children)}
        return {key: value for key, value in told.items() if value is not None}


def sizes(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """What a container asks for, also by the two names of old."""
    old = [("vcpus", "VCPU"), ("memory", "MEMORY")]
    named = [{"type": kind, "value": str(properties[name])} for name, kind in old if properties.get(name)]
    return named + (properties.get("resourceRequirements") or [])


def _within(index: int, targets: str) -> bool:
    first, sign, last = targets.partition(":")
    if not sign:
        return index == int(first)
    return int(first or 0) <= index <= int(last or index)
