"""Amazon ECS: moto's clusters and task definitions, and tasks that run."""

from __future__ import annotations

import json
import threading
import time
import traceback
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from moto.core.responses import ActionResult
from moto.ecs import urls
from moto.ecs.exceptions import EcsClientException, ECSException, InvalidParameterException
from moto.ecs.models import (
    Cluster,
    EC2ContainerServiceBackend,
    Task,
    TaskDefinition,
    TaskDefinitionNotFoundException,
    ecs_backends,
)
from moto.ecs.responses import DESCRIBE_TASKS_TAGS, EC2ContainerServiceResponse
from moto.logs.models import logs_backends

from support.aws import words
from support.aws.fargate import offers
from support.aws.runners import CannotRun, Order, Run
from support.aws.world import log_to, now_ms, variables, world

POLL_S = 0.02


def install() -> None:
    """Let moto make our backend instead of its own."""
    ecs_backends.backend = RunningEcs


class RunningTask(Task):
    """A task whose containers run; its attributes are what DescribeTasks tells."""

    def __init__(
        self, cluster: Cluster, definition: TaskDefinition, request: dict[str, Any], backend: Any
    ) -> None:
        network = request.get("networkConfiguration")
        if network:
            network["awsvpcConfiguration"].setdefault("securityGroups", [])
        strategy = request.get("capacityProviderStrategy") or []
        provider = strategy[0]["capacityProvider"] if strategy else None
        fargate = request.get("launchType") == "FARGATE" or (provider or "").startswith("FARGATE")
        self._now = "PROVISIONING"
        super().__init__(
            cluster,
            definition,
            None,
            {},
            backend,
            request.get("group") or f"family:{definition.family}",
            launch_type=request.get("launchType") or ("FARGATE" if fargate else "EC2"),
            overrides=request.get("overrides") or {},
            started_by=request.get("startedBy") or "",
            tags=_tags(request, definition),
            networking_configuration=network,
            platform_version=request.get("platformVersion") or ("1.4.0" if fargate else None),
            capacity_provider_name=provider,
        )
        self.fargate = fargate
        self.definition = definition
        self.id = uuid4().hex
        self.created_ms = now_ms()
        self.created_at = self.created_ms / 1000
        self.cpu = self.overrides.get("cpu") or definition.cpu
        self.memory = self.overrides.get("memory") or definition.memory
        self.started_at: float | None = None
        self.stopped_at: float | None = None
        self.stop_code: str | None = None
        self.stopped_reason = ""
        self.containers = [
            {
                "containerArn": self.task_arn.replace(":task/", ":container/") + f"/{uuid4()}",
                "taskArn": self.task_arn,
                "name": part["name"],
                "image": part["image"],
                "lastStatus": "PENDING",
                "networkInterfaces": [],
            }
            for part in definition.container_definitions
        ]
        self._runs: dict[str, Run] = {}
        self._asked: tuple[str, str] | None = None

    # moto's own status moves on each time that somebody looks.
    @property
    def status(self) -> str:
        return self._now

    @status.setter
    def status(self, value: str) -> None:
        self._now = value

    def start(self) -> None:
        threading.Thread(target=self._live, daemon=True).start()

    def stop(self, code: str, reason: str, grace_s: float) -> None:
        with world().lock:
            if self._asked or self.status == "STOPPED":
                return
            self._asked, self.desired_status = (code, reason), "STOPPED"
            runs = list(self._runs.values())
        for run in runs:
            run.stop(grace_s)

    def _live(self) -> None:
        try:
            self.status = "PENDING"
            code, reason = self._run_containers()
        except Exception as error:  # a fault of the emulator must not look like a task that hangs
            traceback.print_exc()
            code, reason = "TaskFailedToStart", f"emulator: {error!r}"
        with world().lock:
            for part in self.containers:
                part["lastStatus"] = "STOPPED"
            self.stop_code, self.stopped_reason = code, reason
            self.stopped_at, self.desired_status, self.status = time.time(), "STOPPED", "STOPPED"

    def _run_containers(self) -> tuple[str, str]:
        parts = {part["name"]: part for part in self.containers}
        for made in self.definition.container_definitions:
            if self._asked:
                return self._asked
            try:
                run = self._begin(made)
            except CannotRun as error:
                for other in self._runs.values():
                    other.stop(0)
                if str(error).startswith("Cannot"):  # of one container; others are the whole task's
                    parts[made["name"]]["reason"] = str(error)
                return "TaskFailedToStart", str(error)
            with world().lock:
                self._runs[made["name"]] = run
                parts[made["name"]] |= {"lastStatus": "RUNNING", "runtimeId": f"{self.id}-{len(self._runs)}"}
        with world().lock:
            self.status, self.started_at = "RUNNING", time.time()
            asked = self._asked
        if asked:  # between the check and the start
            for run in self._runs.values():
                run.stop(world().grace_s)
        essential = [
            self._runs[made["name"]]
            for made in self.definition.container_definitions
            if made.get("essential", True)
        ]
        while not any(run.wait(POLL_S) for run in essential):
            pass
        for name, run in self._runs.items():
            ended = run.wait(0)
            if ended is None:
                run.stop(world().grace_s)
                ended = run.wait()
            assert ended is not None
            parts[name]["exitCode"] = ended.exit_code
            if ended.out_of_memory:
                parts[name]["reason"] = words.OUT_OF_MEMORY
        return self._asked or ("EssentialContainerExited", words.ESSENTIAL_EXITED)

    def _begin(self, made: dict[str, Any]) -> Run:
        changed: dict[str, Any] = next(
            (
                part
                for part in self.overrides.get("containerOverrides") or []
                if part.get("name") == made["name"]
            ),
            {},
        )
        logging = made.get("logConfiguration") or {}
        options = logging.get("options") or {}
        log = lambda line: None  # noqa: E731 - without a log driver, nobody hears it
        if logging.get("logDriver") == "awslogs":
            logs = logs_backends[self._account_id][options.get("awslogs-region", self.region_name)]
            stream = f"{options.get('awslogs-stream-prefix', 'ecs')}/{made['name']}/{self.id}"
            log = log_to(logs, options, options["awslogs-group"], stream, fargate=self.fargate)
        limit = changed.get("memory") or made.get("memory") or _mib(self.memory)
        volumes = {
            volume["name"]: (volume.get("host") or {}).get("sourcePath") for volume in self.definition.volumes
        }
        order = Order(
            name=f"ecs-{self.id}-{made['name']}",
            image=made["image"],
            command=list(made.get("entryPoint") or [])
            + list(changed.get("command") or made.get("command") or []),
            environment={
                **variables(made.get("environment"), changed.get("environment")),
                "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE" if self.fargate else "AWS_ECS_EC2",
                **world().environment(self.region_name),
            },
            memory_mib=int(limit) if limit else None,
            vcpus=_vcpus(self.cpu),
            shared_memory_mib=(made.get("linuxParameters") or {}).get("sharedMemorySize"),
            mounts={
                mount["containerPath"]: str(volumes[mount["sourceVolume"]])
                for mount in made.get("mountPoints") or []
                if volumes.get(mount["sourceVolume"])
            },
        )
        return world().runner.start(order, log)


class RunningEcs(EC2ContainerServiceBackend):
    """moto's ECS, with tasks of our own."""

    @property
    def _url_module(self) -> Any:  # moto looks for it beside the class's module
        return SimpleNamespace(
            url_bases=urls.url_bases, url_paths=dict.fromkeys(urls.url_paths, EcsResponses.dispatch)
        )

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._tokens: dict[tuple[str, str], tuple[str, list[RunningTask]]] = {}

    def run(self, request: dict[str, Any]) -> list[RunningTask]:
        """Start tasks, or give those that were started with the same client token."""
        cluster = self._get_cluster(request.get("cluster") or "default")
        try:
            definition = self.describe_task_definition(request["taskDefinition"])
        except TaskDefinitionNotFoundException:
            raise EcsClientException("TaskDefinition not found.") from None
        if definition.status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        check_run(request, definition)
        token = (cluster.name, request.get("clientToken") or str(uuid4()))
        asked = json.dumps({**request, "clientToken": None}, sort_keys=True)
        with world().lock:
            if token in self._tokens:
                before, tasks = self._tokens[token]
                if before != asked:  # docs: RunTask, ConflictException
                    raise ECSException(
                        "ConflictException", "The client token was used with other parameters."
                    )
                return tasks
            tasks = [
                RunningTask(cluster, definition, request, self) for _ in range(request.get("count") or 1)
            ]
            self._tokens[token] = asked, tasks
            known = self.tasks.setdefault(cluster.name, {})
            known |= {task.task_arn: task for task in tasks}
        for task in tasks:
            task.start()
        return tasks

    def find(self, cluster: str, name: str) -> RunningTask | None:
        known = self.tasks.get(self._get_cluster(cluster).name, {})
        found = [task for arn, task in known.items() if arn == name or task.id == name.split("/")[-1]]
        return found[0] if found and isinstance(found[0], RunningTask) else None

    def every_task(self) -> list[RunningTask]:
        return [
            task for known in self.tasks.values() for task in known.values() if isinstance(task, RunningTask)
        ]


def check_run(request: dict[str, Any], definition: TaskDefinition) -> None:
    """Refuse what RunTask refuses (docs: Amazon ECS API reference, RunTask)."""
    overrides = request.get("overrides") or {}
    if len(json.dumps(overrides.get("containerOverrides") or [], separators=(",", ":"))) > 8192:
        raise InvalidParameterException(words.OVERRIDES_TOO_LONG)
    strategy = request.get("capacityProviderStrategy") or []
    if strategy and request.get("launchType"):
        raise InvalidParameterException(
            "Specifying both a launch type and capacity provider strategy is not supported."
        )
    if not 1 <= (request.get("count") or 1) <= 10:
        raise InvalidParameterException("count must be between 1 and 10")  # the words: prototype
    names = {part["name"] for part in definition.container_definitions}
    for part in overrides.get("containerOverrides") or []:
        if part.get("name") not in names:  # seen: Terraform and Airflow threads
            raise InvalidParameterException(
                f"Override for container named {part.get('name')} is not a container in the TaskDefinition."
            )
    fargate = request.get("launchType") == "FARGATE" or any(
        "FARGATE" in item["capacityProvider"] for item in strategy
    )
    if fargate and not offers(
        _vcpus(overrides.get("cpu") or definition.cpu) or 0,
        _mib(overrides.get("memory") or definition.memory) or 0,
    ):
        raise EcsClientException(words.NO_FARGATE_PAIR)


class EcsResponses(EC2ContainerServiceResponse):
    """What ECS answers, where moto's answers are not AWS's."""

    @property
    def ecs_backend(self) -> RunningEcs:
        backend = ecs_backends[self.current_account][self.region]
        assert isinstance(backend, RunningEcs)
        return backend

    def _asked(self) -> dict[str, Any]:
        return dict(json.loads(self.body or "{}"))

    def register_task_definition(self) -> ActionResult:
        request = self._asked()
        if "FARGATE" in (request.get("requiresCompatibilities") or []):
            for what in ("cpu", "memory"):
                if not request.get(what):
                    raise EcsClientException(words.FARGATE_NEEDS.format(what=what))
            if not offers(_vcpus(request["cpu"]) or 0, _mib(request["memory"]) or 0):
                raise EcsClientException(words.NO_FARGATE_PAIR)
        return super().register_task_definition()

    def run_task(self) -> ActionResult:
        return ActionResult({"tasks": self.ecs_backend.run(self._asked()), "failures": []})

    def describe_tasks(self) -> ActionResult:
        request = self._asked()
        found = {
            name: self.ecs_backend.find(request.get("cluster") or "default", name)
            for name in request["tasks"]
        }
        known = {name: task for name, task in found.items() if task and not world().hides(task.created_ms)}
        listed = "TAGS" in (request.get("include") or [])
        (self._include_in_response if listed else self._exclude_from_response)(DESCRIBE_TASKS_TAGS)
        missing = [{"arn": name, "reason": "MISSING"} for name in found if name not in known]
        return ActionResult({"tasks": list(known.values()), "failures": missing})

    def list_tasks(self) -> ActionResult:
        request = self._asked()
        cluster = self.ecs_backend._get_cluster(request.get("cluster") or "default")
        # docs: Amazon ECS API reference, ListTasks: RUNNING is the default of desiredStatus.
        wanted = request.get("desiredStatus") or "RUNNING"
        tasks = [
            task
            for task in self.ecs_backend.every_task()
            if task.cluster_name == cluster.name
            and task.desired_status == wanted
            and not world().hides(task.created_ms)
            and request.get("startedBy") in (None, task.started_by)
            and request.get("family") in (None, task.definition.family)
        ]
        return ActionResult({"taskArns": [task.task_arn for task in tasks]})

    def stop_task(self) -> ActionResult:
        request = self._asked()
        task = self.ecs_backend.find(request.get("cluster") or "default", request["task"])
        if task is None:  # seen: The referenced task was not found.
            raise InvalidParameterException("The referenced task was not found.")
        reason = request.get("reason") or words.STOPPED_BY_USER
        arguments = ("UserInitiated", reason, world().grace_s)
        threading.Thread(target=task.stop, args=arguments, daemon=True).start()
        return ActionResult({"task": task})


def _tags(request: dict[str, Any], definition: TaskDefinition) -> list[dict[str, str]]:
    inherited = definition.tags if request.get("propagateTags") == "TASK_DEFINITION" else []
    merged = {tag["key"]: tag["value"] for tag in [*(inherited or []), *(request.get("tags") or [])]}
    return [{"key": key, "value": value} for key, value in merged.items()]


def _vcpus(text: str | int | None) -> float | None:
    """Read "1024" and "1 vCPU" alike."""
    if text is None:
        return None
    words_of = str(text).split()
    return float(words_of[0]) if len(words_of) > 1 else int(words_of[0]) / 1024


def _mib(text: str | int | None) -> int | None:
    """Read "2048" and "2 GB" alike."""
    if text is None:
        return None
    words_of = str(text).split()
    return round(float(words_of[0]) * 1024) if len(words_of) > 1 else int(words_of[0])
