"""Runs orders as containers, with the kernel's own memory limits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound

import docker
from support.aws import words
from support.aws.runners import CannotRun, Ended, Order, Run

_LABEL = "airloom-emulator"
_FOREVER_S = 10**6


class DockerRunner:
    """Runs each order as a container on an engine; images are taken as they lie there, nothing is pulled."""

    def __init__(self, engine: str | None, name: str) -> None:
        self._client = docker.DockerClient(base_url=engine) if engine else docker.from_env()
        self._name = name

    def start(self, order: Order, log: Callable[[str], None]) -> Run:
        limits: dict[str, Any] = {}
        if order.memory_mib:
            limits |= {"mem_limit": f"{order.memory_mib}m", "memswap_limit": f"{order.memory_mib}m"}
        if order.vcpus:
            # Shares, as ECS on EC2 does: more vCPUs than this machine has must not be refused.
            limits["cpu_shares"] = max(2, int(order.vcpus * 1024))
        if order.shared_memory_mib:
            limits["shm_size"] = f"{order.shared_memory_mib}m"
        try:
            container = self._client.containers.create(
                order.image,
                order.command or None,
                name=order.name,
                environment=dict(order.environment),
                labels={_LABEL: self._name},
                network_mode="host",
                volumes={host: {"bind": path, "mode": "rw"} for path, host in order.mounts.items()},
                **limits,
            )
        except ImageNotFound as error:
            raise CannotRun(words.cannot_pull(order.image)) from error
        except APIError as error:
            raise CannotRun(words.cannot_start(str(error.explanation or error))) from error
        try:
            container.start()
        except APIError as error:
            container.remove(force=True)
            raise CannotRun(words.cannot_start(str(error.explanation or error))) from error
        return _DockerRun(container, log)

    def close(self) -> None:
        for container in self._client.containers.list(all=True, filters={"label": f"{_LABEL}={self._name}"}):
            with contextlib.suppress(APIError):  # another thread is removing it
                container.remove(force=True)
        self._client.close()


class _DockerRun:
    def __init__(self, container: Any, log: Callable[[str], None]) -> None:
        self._container = container
        self._log = log
        self._ended: Ended | None = None
        self._done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> Ended | None:
        self._done.wait(timeout_s)
        return self._ended

    def stop(self, grace_s: float) -> None:
        with contextlib.suppress(NotFound, APIError):  # it ended meanwhile
            self._container.stop(timeout=int(grace_s)) if grace_s else self._container.kill()
        self._done.wait(10)

    def _watch(self) -> None:
        reader = threading.Thread(target=self._pump, daemon=True)
        reader.start()
        code = self._container.wait(timeout=_FOREVER_S)["StatusCode"]
        self._container.reload()
        killed = bool(self._container.attrs["State"].get("OOMKilled"))
        reader.join(10)
        self._container.remove(force=True)
        self._ended = Ended(code, killed)
        self._done.set()

    def _pump(self) -> None:
        rest = b""
        for chunk in self._container.logs(stream=True, follow=True):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._hand_on(line)
        self._hand_on(rest)

    def _hand_on(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        if text:
            self._log(text)
