"""What AWS is asked: definitions of jobs and tasks, registered once and used again, and what each changes.

A definition is named by the digest of its contents, and the store remembers what AWS calls it: so of the
tasks of a wide foreach only the first ones register anything.
"""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

from airloom.digests import digest_of
from airloom.failures import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from airloom.operators.submissions import Submission
    from airloom.plan import StepPlan, Volume
    from airloom.sizing.catalogue import Size
    from airloom.store.datastore import Datastore

CONTAINER = "airloom"
LOG_PREFIX = "airloom"
_PAUSES_S = (0.5, 1, 2, 4, 8)
_FREE_DISK_GIB, _LEAST_DISK_GIB = 20, 21


class Refused(Exception):
    """A service that refuses to start a job; ``failure`` says what that means."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def registered(hook: Any, store: Datastore, definition: dict[str, Any], *, fresh: bool = False) -> str:
    """ARN of a definition with these contents: one that is known, else one that AWS has, else a new one.

    Parameters
    ----------
    hook
        Of Batch or of ECS.
    fresh
        Whether not to trust what the store remembers.
    """
    region = hook.conn_region_name
    text = json.dumps([region, hook.aws_conn_id, definition], sort_keys=True)
    digest = digest_of([text.encode()])[3:27]
    known = None if fresh else _known(store, digest)
    if known is not None:
        return known
    is_batch = "containerProperties" in definition
    name = f"airloom-{digest}"
    found = (_batch if is_batch else _ecs)(hook.conn, name, definition)
    store.save_definition(digest, found)
    return found


def start(hook: Any, store: Datastore, definition: dict[str, Any], act: Callable[[str], None]) -> None:
    """Start a job with a definition; with a new one when what the store remembers was deregistered since.

    Parameters
    ----------
    act
        Starts it with the ARN of a definition.

    Raises
    ------
    Refused
        When AWS will have none of it. After any other error nobody knows whether there is a job now.
    """
    for fresh in (False, True):
        try:
            act(registered(hook, store, definition, fresh=fresh))
        except Refused:
            raise
        except Exception as error:
            found = refusal(error)
            if found is None:
                raise
            if fresh or "efinition" not in found.reason:
                raise Refused(found) from error
        else:
            return


def _known(store: Datastore, digest: str) -> str | None:
    """What is registered already; of tasks that begin together one registers, and the others wait for it."""
    found = store.definition(digest)
    if found is not None or store.claim_definition(digest):
        return found
    for pause in _PAUSES_S:  # whoever has claimed it may have died
        time.sleep(pause)
        found = store.definition(digest)
        if found is not None:
            return found
    return None


def _batch(client: Any, name: str, definition: dict[str, Any]) -> str:
    active = client.describe_job_definitions(jobDefinitionName=name, status="ACTIVE")["jobDefinitions"]
    if active:
        return str(active[0]["jobDefinitionArn"])
    return str(client.register_job_definition(jobDefinitionName=name, **definition)["jobDefinitionArn"])


def _ecs(client: Any, name: str, definition: dict[str, Any]) -> str:
    active = client.list_task_definitions(familyPrefix=name, status="ACTIVE")["taskDefinitionArns"]
    if active:
        return str(active[0])
    answer = client.register_task_definition(family=name, **definition)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


# -- AWS Batch -----------------------------------------------------------------------------


def batch_definition(step: StepPlan, size: Size) -> dict[str, Any]:
    """What stands in a job definition: all that cannot be said with each job.

    Notes
    -----
    "RegisterJobDefinition" and "ContainerProperties", AWS Batch API reference.
    """
    said = step.batch
    assert said is not None  # noqa: S101 - the step's target is batch
    fargate = said.platform == "FARGATE"
    # Each job says its own size; this one only has to be a pair that can be registered.
    needs = {"VCPU": "1", "MEMORY": "2048"}
    properties: dict[str, Any] = {
        "image": said.image,
        "command": ["python3", "--version"],
        "resourceRequirements": [{"type": kind, "value": value} for kind, value in sorted(needs.items())],
    }
    if said.job_role:
        properties["jobRoleArn"] = said.job_role
    if said.execution_role:
        properties["executionRoleArn"] = said.execution_role
    if said.privileged:
        properties["privileged"] = True
    if said.log_driver or said.log_options:
        properties["logConfiguration"] = {
            "logDriver": said.log_driver or "awslogs",
            "options": said.log_options,
        }
    linux = _linux(step, size)
    if linux:
        properties["linuxParameters"] = linux
    volumes, mounts = _volumes(said.host_volumes, said.efs_volumes)
    if volumes:
        properties |= {"volumes": volumes, "mountPoints": mounts}
    if fargate:
        properties["networkConfiguration"] = {"assignPublicIp": "ENABLED"}
        storage = _storage(said.ephemeral_storage_gib, size)
        if storage:
            properties["ephemeralStorage"] = {"sizeInGiB": storage}
    return {
        "type": "container",
        "platformCapabilities": [said.platform or "EC2"],
        "containerProperties": properties,
        "propagateTags": True,
        "retryStrategy": {"attempts": 1},
    }


def _linux(step: StepPlan, size: Size) -> dict[str, Any]:
    said = step.batch
    assert said is not None  # noqa: S101 - the step's target is batch
    found: dict[str, Any] = {}
    if size.shared_memory_mib:
        found["sharedMemorySize"] = size.shared_memory_mib
    if said.max_swap_mib is not None:
        found["maxSwap"] = said.max_swap_mib
    if said.swappiness is not None:
        found["swappiness"] = said.swappiness
    if said.tmpfs is not None:
        tmpfs = said.tmpfs.size_mib or (size.memory_mib or 0) // 2
        found["tmpfs"] = [{"containerPath": said.tmpfs.path, "size": tmpfs}]
    devices = [f"/dev/neuron{number}" for number in range(said.inferentia)]
    devices += [f"/dev/infiniband/uverbs{number}" for number in range(said.efa)]
    if devices:
        found["devices"] = [{"hostPath": device, "containerPath": device} for device in devices]
    return found


def _volumes(
    host: tuple[Volume, ...], efs: tuple[Volume, ...]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    volumes, mounts = [], []
    for number, volume in enumerate((*host, *efs)):
        name = f"volume{number}"
        kind = {"host": {"sourcePath": volume.source}}
        if volume in efs:
            kind = {"efsVolumeConfiguration": {"fileSystemId": volume.source, "transitEncryption": "ENABLED"}}
        volumes.append({"name": name, **kind})
        mounts.append({"sourceVolume": name, "containerPath": volume.path, "readOnly": False})
    return volumes, mounts


def _storage(asked_gib: int | None, size: Size) -> int | None:
    wanted = max(asked_gib or 0, math.ceil((size.disk_mib or 0) / 1024))
    return max(wanted, _LEAST_DISK_GIB) if wanted > _FREE_DISK_GIB else None


def batch_overrides(submission: Submission) -> dict[str, Any]:
    """What is said with each job: its command, its size, its variables."""
    size = submission.size
    needs = {"VCPU": f"{size.cpu or 1:g}", "MEMORY": str(size.memory_mib)}
    if size.gpu:
        needs["GPU"] = str(size.gpu)
    return {
        "command": submission.command,
        "resourceRequirements": [{"type": kind, "value": value} for kind, value in needs.items()],
        "environment": environment(submission),
    }


def environment(submission: Submission) -> list[dict[str, str]]:
    """Variables as both services take them."""
    return [{"name": name, "value": value} for name, value in sorted(submission.variables.items())]


# -- Amazon ECS ----------------------------------------------------------------------------


def ecs_definition(step: StepPlan, size: Size, log_group: str, region: str) -> dict[str, Any]:
    """What stands in a task definition.

    Notes
    -----
    "RegisterTaskDefinition", Amazon ECS API reference.
    """
    said = step.ecs
    assert said is not None  # noqa: S101 - the step's target is ecs
    fargate = (said.platform or "FARGATE") == "FARGATE"
    container: dict[str, Any] = {"name": CONTAINER, "image": said.image, "essential": True}
    container["logConfiguration"] = {
        "logDriver": said.log_driver or "awslogs",
        "options": said.log_options or _awslogs(log_group, region),
    }
    if size.gpu:
        container["resourceRequirements"] = [{"type": "GPU", "value": str(size.gpu)}]
    volumes, mounts = _volumes((), said.efs_volumes)
    if volumes:
        container["mountPoints"] = mounts
    found: dict[str, Any] = {
        "networkMode": "awsvpc" if fargate or said.subnets else "bridge",
        "requiresCompatibilities": ["FARGATE" if fargate else "EC2"],
        "cpu": "256" if fargate else str(_units(size)),
        "memory": "512" if fargate else str(size.memory_mib),
        "containerDefinitions": [container],
    }
    if said.task_role:
        found["taskRoleArn"] = said.task_role
    if said.execution_role:
        found["executionRoleArn"] = said.execution_role
    if volumes:
        found["volumes"] = volumes
    storage = _storage(said.ephemeral_storage_gib, size) if fargate else None
    if storage:
        found["ephemeralStorage"] = {"sizeInGiB": storage}
    return found


def _awslogs(group: str, region: str) -> dict[str, str]:
    return {"awslogs-group": group, "awslogs-region": region, "awslogs-stream-prefix": LOG_PREFIX}


def _units(size: Size) -> int:
    return round((size.cpu or 1) * 1024)


def ecs_overrides(submission: Submission) -> dict[str, Any]:
    """What is said with each task: its command, its size, its variables."""
    size = submission.size
    found: dict[str, Any] = {
        "cpu": str(_units(size)),
        "memory": str(size.memory_mib),
        "containerOverrides": [
            {"name": CONTAINER, "command": submission.command, "environment": environment(submission)}
        ],
    }
    if size.disk_mib and size.disk_mib > _FREE_DISK_GIB * 1024:
        found["ephemeralStorage"] = {"sizeInGiB": _storage(None, size)}
    return found


# -- what goes wrong -----------------------------------------------------------------------

_UNSET = ("NoCredentialsError", "PartialCredentialsError", "NoRegionError", "InvalidRegionError")
_PASSING = ("Throttl", "TooManyRequests", "ServerException", "ServiceUnavailable", "InternalError")


def refusal(error: BaseException) -> Failure | None:
    """What it means that a request to start a job failed; None when the job may have started all the same."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in _UNSET:
            return Failure(FailureKind.START_FAILED, f"{type(cause).__name__}: {cause}", False)
        if isinstance(getattr(cause, "response", None), dict):
            break
        wrapped = cause.args[0] if cause.args else None
        cause = wrapped if isinstance(wrapped, BaseException) else cause.__cause__ or cause.__context__
    if cause is None:
        return None
    answer = cause.response  # type: ignore[attr-defined] # looked at above
    told = answer.get("Error", {})
    code, words = str(told.get("Code", "")), str(told.get("Message", ""))
    passing = any(part in code for part in _PASSING)
    reason = f"{code}: {words}" if code else words
    # What was wrong with the request is wrong with the next one, too.
    return Failure(FailureKind.START_FAILED, reason, passing)
