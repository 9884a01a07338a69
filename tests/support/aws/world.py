"""What the emulator's parts share: the runner, what was asked for to go wrong, and the logs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.logs.models import LogsBackend

from support.aws import words
from support.aws.runners import CannotRun, Runner


@dataclass
class World:
    """One emulator; steered through its control endpoint (control.py)."""

    runner: Runner
    endpoint: str
    grace_s: float = 2.0
    """Between SIGTERM and SIGKILL; 30 s on AWS (docs: AWS Batch, "Job timeouts")."""
    speed: float = 1.0
    """Seconds of a job's timeout that pass in one second: AWS takes none below 60 s."""
    hidden_s: float = 0.0
    """For how long nobody is told of a job or task that was just submitted."""
    stuck: str = ""
    """The statusReason with which new jobs stay RUNNABLE; empty: they start."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def hides(self, created_ms: int) -> bool:
        return now_ms() - created_ms < self.hidden_s * 1000

    def environment(self, region: str) -> dict[str, str]:
        """Give what stands for the container's role: the endpoint, and credentials that anybody has."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "emulated",
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
        }


_worlds: list[World] = []


def begin(world: World) -> None:
    """Make it the world of this process: moto makes its backends itself, and hands nothing on to them."""
    _worlds[:] = [world]


def world() -> World:
    return _worlds[0]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Failed:
    """How an attempt ended: what a Batch attempt and an ECS container are described by."""

    exit_code: int | None
    reason: str = ""


def log_to(
    logs: LogsBackend, options: Mapping[str, str], group: str, stream: str, *, fargate: bool
) -> Callable[[str], None]:
    """Give a function that appends a line to a stream of CloudWatch Logs, at once."""
    if group not in logs.groups:
        if options.get("awslogs-create-group") != "true":
            raise CannotRun(words.no_log_group(fargate=fargate))
        logs.ensure_log_group(group)
    with world().lock:
        logs.ensure_log_stream(group, stream)

    def log(line: str) -> None:
        with world().lock:
            logs.put_log_events(group, stream, [{"timestamp": now_ms(), "message": line}])

    return log


def variables(*lists: Any) -> dict[str, str]:
    """Merge lists of name and value; later ones win."""
    return {item["name"]: item.get("value", "") for items in lists for item in items or []}


def listed(environment: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in environment.items()]
