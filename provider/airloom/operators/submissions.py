"""The next job of a step: its attempts, claimed before it is submitted, its name, its size, its command."""

from __future__ import annotations

import logging
import math
import os
import re
import socket
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from airloom import settings as settings_of
from airloom.digests import digest_of
from airloom.names import task_id
from airloom.operators.execution import Execution
from airloom.operators.history import Attempt, History
from airloom.runtime.carried import carried_in, container_command, root_inside
from airloom.runtime.command import Command, text_of
from airloom.runtime.lineage import Lineage
from airloom.runtime.sizes import is_last
from airloom.runtime.task import TaskRequest, first_size, now
from airloom.sizing.catalogue import Size, declared, fit, platform_of
from airloom.sizing.recovery import Next, after, resized
from airloom.store.records import BeginRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airloom.names import Indices
    from airloom.operators.job import JobStep
    from airloom.store.datastore import Datastore

logger = logging.getLogger(__name__)

GRACE_S = 120
"""A job's own timeout comes so much after @timeout: the container tells a timeout better, and first."""

_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH = 128
_IN_CONTAINERS = ("verify", "store_")


@dataclass(frozen=True, slots=True)
class Submission:
    """A job to start: its command and variables, the size it gets, and what it is tagged with.

    ``timeout_s`` is the job's own, None for none. ``store`` remembers what was registered.
    """

    name: str
    command: list[str]
    variables: dict[str, str]
    size: Size
    on_spot: bool
    timeout_s: int | None
    tags: dict[str, str]
    store: Datastore


class Submissions(Execution):
    """A step that runs as jobs, and which job of it is the next."""

    def __init__(self, operator: JobStep, context: Context) -> None:
        super().__init__(operator, context)
        self.operator = operator
        self.step = operator.changed(self.step, self.settings)
        self._said = self.step.batch or self.step.ecs

    def next(self, found: History) -> Next:
        """What follows after the attempts so far."""
        return after(self.step, found.former, platform_of(self.step))

    def prepare(self, due: Mapping[Indices, History]) -> tuple[Submission, list[Attempt]]:
        """Claim an attempt for each index that has none; give the job that runs them.

        Raises
        ------
        SizeError
            When nobody offers so much, or a function of the flow gives no size.
        """
        following = {place: self.next(found) for place, found in due.items()}
        size = self._size(due, following)
        for place, found in due.items():
            if found.former:
                logger.info("%s: %s", self.key(place).pathspec, following[place].sentence)
        name = next((str(f.open.begin.origin["job"]) for f in due.values() if f.open is not None), None)
        attempts: list[Attempt] = []
        requests: list[TaskRequest] = []
        for place, found in due.items():
            request = replace(
                self.request(place),
                retry_count=following[place].retry_count,
                last_try=following[place].last_try,
                last_size=is_last(self.step, found.former, size),
                size=size,
            )
            attempt = found.open or self._claim(place, request, name)
            name = str(attempt.begin.origin["job"])
            attempts.append(attempt)
            begun = attempt.begin
            requests.append(
                replace(request, attempt=attempt.number, size=begun.size or size, call=begun.call)
            )
        assert name is not None  # noqa: S101 - at least one index is due
        return self._submission(name, requests, following), attempts

    def _size(self, due: Mapping[Indices, History], following: Mapping[Indices, Next]) -> Size:
        """Size of the next job: the largest that any of its attempts needs, as it is offered.

        Raises
        ------
        SizeError
            When nobody offers so much, or a function of the flow gives no size.
        """
        sizes = [self._size_of(place, found, following[place]) for place, found in due.items()]
        most = max(sizes, key=lambda size: size.memory_mib or 0)
        cpu = max((size.cpu or 0.0 for size in sizes), default=0.0) or None
        where = f"step {self.step.name!r}"
        return fit(replace(most, cpu=cpu), self.step.target, platform_of(self.step), where=where)

    def _size_of(self, place: Indices, found: History, following: Next) -> Size:
        if found.size is not None:
            return resized(found.size, following)
        steps = tuple(self.step if step.name == self.step.name else step for step in self.plan.steps)
        here = replace(self.plan, steps=steps)
        request = replace(self.request(place), apply_sizes=self.settings.sizes == "apply")
        return first_size(self.datastore, here, request, self.flow) or declared(
            self.step.resources, self.step.target
        )

    def _claim(self, place: Indices, request: TaskRequest, name: str | None) -> Attempt:
        key = self.key(place)
        made: dict[int, BeginRecord] = {}

        def make(number: int) -> BeginRecord:
            made[number] = BeginRecord(
                now(),
                socket.gethostname(),
                os.getpid(),
                request.retry_count,
                request.generation,
                self._round(place),
                {**request.origin, "target": self.step.target, "job": name or self._name(place, number)},
                request.size,
                request.call,
            )
            return made[number]

        number = self.datastore.claim(key, make)
        return Attempt(key, number, made[number])

    def _round(self, place: Indices) -> int:
        return Lineage(self.datastore, self.plan, self.run).round(self.step, place, self.generation).number

    def _name(self, place: Indices, number: int) -> str:
        """Name of a job: the same for the same attempt, in whichever process; another for every other one."""
        spec = f"{self.key(place).pathspec}@{number}"
        ending = f"{task_id(place).replace('.', '-')}-{number}-{digest_of([spec.encode()])[3:15]}"
        words = _NAME.sub("-", f"{self.plan.flow}-{self.step.name}")
        return f"{words[: _NAME_LENGTH - len(ending) - 1]}-{ending}"

    def _submission(
        self, name: str, requests: list[TaskRequest], following: Mapping[Indices, Next]
    ) -> Submission:
        root = root_inside(self.step, self.datastore.root)
        command = Command(self.plan.flow, self.plan.digest, tuple(requests))
        line = container_command(carried_in(self.datastore, self.settings), root, text_of(command))
        executable = self._said.executable if self._said else None
        limit = self.timeout_s(len(requests))
        size = requests[0].size
        assert size is not None  # noqa: S101 - every request of a job has one
        return Submission(
            name,
            [executable or line[0], *line[1:]],
            self._variables(root),
            size,
            next(iter(following.values())).on_spot(self.step),
            limit,
            {
                "airloom:flow": self.plan.flow,
                "airloom:run": self.run[:256],
                "airloom:step": self.step.name,
                **(self._said.tags if self._said else {}),
            },
            self.datastore,
        )

    def timeout_s(self, count: int = 1) -> int | None:
        """When AWS or Airflow ends a job of so many indices: seconds after its start."""
        if self.step.timeout_s is None:
            return None
        return max(60, math.ceil(self.step.timeout_s * count) + GRACE_S)

    def _variables(self, root: str) -> dict[str, str]:
        """Settings of the container; credentials are no part of them."""
        found = {"datastore_root": root}
        for item in fields(self.settings):
            value = str(getattr(self.settings, item.name))
            if item.name.startswith(_IN_CONTAINERS) and value != str(item.default):
                found[item.name] = value
        return {settings_of.variable(name): value for name, value in found.items()}
