"""What stands before moto: a log of requests, faults on demand, and the endpoint that steers the emulator."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from moto.batch.models import batch_backends
from moto.ecs.models import ecs_backends

from support.aws import words
from support.aws.runners import ProcessRunner
from support.aws.world import world

PATH = "/emulator/"
# How a service says that it was asked too often: HTTP status, code, message.
# seen: Netflix/metaflow#138, nextflow-io/nextflow#709 (Batch); docs: ECS, "Handling throttling issues".
_THROTTLED = {
    "batch": (429, "TooManyRequestsException", "Too Many Requests"),
    "s3": (503, "SlowDown", "Please reduce your request rate."),
}
_THROTTLED_ELSE = (400, "ThrottlingException", "Rate exceeded")


@dataclass
class Fault:
    """What an operation answers instead of doing its work, for its next ``times`` calls."""

    times: int
    status: int
    code: str
    message: str


@dataclass
class Gate:
    """A WSGI application around moto's."""

    inner: Callable[..., Iterable[bytes]]
    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Fault] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)
    _calls: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        model = botocore.session.get_session().get_service_model("batch")
        shapes = [model.operation_model(name) for name in model.operation_names]
        self._batch = {shape.http["requestUri"]: shape.name for shape in shapes}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(PATH):
            length = int(environ.get("CONTENT_LENGTH") or 0)
            asked = json.loads(environ["wsgi.input"].read(length) or b"{}")
            return _answer(start_response, 200, self.steer(environ["PATH_INFO"].removeprefix(PATH), asked))
        name = self._name(environ)
        with self._lock:
            self.counts[name] += 1
            fault = self._fault(name)
        if fault:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            environ["wsgi.input"].read(length)  # or the client's next request on this connection breaks
            if name.startswith("s3."):
                text = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
                return _answer(start_response, fault.status, text, kind="application/xml")
            body = {"__type": fault.code, "message": fault.message}
            return _answer(start_response, fault.status, body, [("x-amzn-errortype", fault.code)])
        return self.inner(environ, start_response)

    def _name(self, environ: dict[str, Any]) -> str:
        """Give "batch.SubmitJob", "ecs.RunTask", "s3.GET"."""
        scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
        service = scope[3] if len(scope) > 3 else "s3"
        target = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[2]
        operation = target or self._batch.get(environ["PATH_INFO"]) or environ["REQUEST_METHOD"]
        return f"{service}.{operation}"

    def _fault(self, name: str) -> Fault | None:
        fault = self.faults.get(name)
        if fault and fault.times > 0:
            fault.times -= 1
            return fault
        if name in self.rates:
            calls, now = self._calls.setdefault(name, deque()), time.monotonic()
            while calls and calls[0] < now - 1:
                calls.popleft()
            if len(calls) >= self.rates[name]:
                return Fault(0, *_THROTTLED.get(name.partition(".")[0], _THROTTLED_ELSE))
            calls.append(now)
        return None

    # -- steering ---------------------------------------------------------------------------

    def steer(self, verb: str, asked: dict[str, Any]) -> Any:
        """Do what the emulator is told; what it answers is for `Emulator`."""
        if verb == "requests":
            with self._lock:
                counted = dict(self.counts)
                if asked.get("clear"):
                    self.counts.clear()
            return counted
        if verb == "fault":
            name = asked["operation"]
            status, code, message = _THROTTLED.get(name.partition(".")[0], _THROTTLED_ELSE)
            told = asked.get("code", code), asked.get("message", message)
            self.faults[name] = Fault(asked["times"], asked.get("status", status), *told)
        elif verb == "rate":
            self.rates[asked["operation"]] = asked["per_second"]
        elif verb == "set":
            for name, value in asked.items():
                setattr(world(), name, value)
        elif verb == "image":
            runner = world().runner
            assert isinstance(runner, ProcessRunner), "an engine knows its images"
            runner.images[asked["name"]] = asked["python"]
        elif verb == "interrupt":
            return interrupt(asked["id"], asked["by"])
        elif verb == "free":
            for job in _jobs():
                job.stuck = ""
                job.backend.line(job.queue).move()
        elif verb == "calm":
            self.faults.clear()
            self.rates.clear()
            world().hidden_s, world().stuck, world().speed = 0.0, "", 1.0
        else:
            raise KeyError(verb)
        return {}


def interrupt(name: str, by: str) -> bool:
    """Take away the host under a running job or task, as spot does or as a fault does."""
    instance = "i-0a1b2c3d4e5f60718"
    for job in _jobs():
        if job.id == name:
            on_fargate_spot = job.fargate and by == "spot"
            return job.interrupt(words.SPOT_TASK if on_fargate_spot else words.host_terminated(instance))
    for backends in ecs_backends.values():
        for backend in backends.values():
            for task in backend.every_task():  # type: ignore[attr-defined]
                if task.task_arn == name and task.status == "RUNNING":
                    if by == "spot" and task.fargate:
                        task.stop("SpotInterruption", words.SPOT_TASK, 0)
                    else:  # the stop code: prototype
                        task.stop("TerminationNotice", words.host_terminated(instance), 0)
                    return True
    return False


def _jobs() -> list[Any]:
    found = [backend for backends in batch_backends.values() for backend in backends.values()]
    return [job for backend in found for job in list(backend.jobs.values())]  # type: ignore[attr-defined]


def _answer(
    start_response: Callable[..., Any],
    status: int,
    body: Any,
    headers: list[tuple[str, str]] | None = None,
    *,
    kind: str = "application/json",
) -> Iterable[bytes]:
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    length = [("Content-Type", kind), ("Content-Length", str(len(data)))]
    start_response(f"{status} Emulated", [*length, *(headers or [])])
    return [data]
