"""One try of an Airflow task whose step runs as a job; imported by a running task only.

All that has happened stands in the store: an attempt is claimed together with the job's name before the job
is submitted, and the job's id is noted beside it. So `JobExecution.execute` is the same for the first try,
for one that comes after the death of a worker, and for a task that was deferred: it looks what there is, and
goes on from there. For one attempt there is never a second job.
"""

from __future__ import annotations

import logging
import math
import os
import re
import socket
import time
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from airloom import settings as settings_of
from airloom.digests import digest_of
from airloom.errors import AirloomError, StepFailed, StepFailedForGood
from airloom.failures import ENDED_BY_AIRFLOW, NEVER_STARTED, STOPPED_AT_TIMEOUT, Failure, FailureKind
from airloom.names import task_id
from airloom.operators.execution import Execution, failed_range, translate
from airloom.operators.history import Attempt, History, history
from airloom.runtime.carried import carried_in, container_command, root_inside
from airloom.runtime.command import Command, text_of
from airloom.runtime.logs import Log, parse
from airloom.runtime.sizes import is_last
from airloom.runtime.task import TaskRequest, first_size, now
from airloom.sizing.catalogue import Size, declared, fit, platform_of
from airloom.sizing.recovery import Next, after, resized
from airloom.store.records import BeginRecord, ErrorRecord, FailedRecord, JobRecord, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.names import Indices
    from airloom.operators.job import JobStep
    from airloom.store.datastore import Datastore

logger = logging.getLogger(__name__)

GRACE_S = 120
"""A job's own timeout comes so much after @timeout: the container tells a timeout better, and first."""

_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH = 128
_IN_CONTAINERS = ("verify", "store_")


class Refused(Exception):
    """A service that refuses to start a job; ``failure`` says what that means."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


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


def run(operator: JobStep, context: Context, *, resumed: bool) -> Json:
    """Run an operator's step, or go on with it; see `JobStep.execute`."""
    execution = None
    try:
        execution = JobExecution(operator, context)
        return execution.go_on(operator.index or "", resumed=resumed)
    except AirloomError as error:
        if execution is not None:
            execution.record_failure(error)
        translate(error)


class JobExecution(Execution):
    """One try of an Airflow task at one step that runs as a job."""

    def __init__(self, operator: JobStep, context: Context) -> None:
        name = operator.step or context["task"].task_id
        super().__init__(operator.flow, operator.plan, name, context, getattr(operator, "retries", 0) or 0)
        self.operator = operator
        self.step = operator.changed(self.step, self.settings)
        self._said = self.step.batch or self.step.ecs

    def go_on(self, index: str, *, resumed: bool) -> Json:
        """Look what there is, and do what is due until all indices are done.

        Parameters
        ----------
        resumed
            Whether this try has waited for a job already, and was deferred meanwhile.

        Raises
        ------
        AirloomError
            When attempts failed.
        """
        places = self.places(index)
        waited = resumed
        told = not resumed
        while True:
            outcomes = {place: self.finished(place, self.generation) for place in places}
            rest = [place for place, outcome in outcomes.items() if outcome is None]
            if not rest:
                if not told:
                    self._tell(places)
                return self.ended(places, [outcome for outcome in outcomes.values() if outcome is not None])
            known = {place: history(self.datastore, self.key(place), self.generation) for place in rest}
            self._stop_stale(known)
            if self._end_foreign(known):
                continue
            job = self._job(known)
            if job is not None:
                described = self.operator.describe(job.id)
                if self._wait(job, described):
                    waited = True
                    continue
                failed = self._settle(known, described)
                if not told:
                    self._tell(rest)
                    told = True
                if failed and waited:
                    self._raise(
                        {place: history(self.datastore, self.key(place), self.generation) for place in rest}
                    )
                continue
            hopeless = self._hopeless(known)
            if len(hopeless) == len(known):
                self._raise(known)
            due = {place: found for place, found in known.items() if place not in hopeless}
            self._submit(due)

    # -- a job that there is ---------------------------------------------------------------

    def _job(self, known: Mapping[Indices, History]) -> JobRecord | None:
        """The job of the open attempts; it may have been submitted without anybody noting its id."""
        open_ = [found.open for found in known.values() if found.open is not None]
        for attempt in open_:
            record = self.datastore.job(attempt.key, attempt.number)
            if record is not None:
                return record
        for name in dict.fromkeys(str(attempt.begin.origin.get("job", "")) for attempt in open_):
            found = self.operator.find(name) if name else None
            if found is not None:
                logger.info("job %s runs already as %s", name, found)
                return self._note(open_, name, found)
        return None

    def _note(self, attempts: list[Attempt], name: str, job: str) -> JobRecord:
        said = self.step.batch.queue if self.step.batch else (self.step.ecs.cluster if self.step.ecs else "")
        record = JobRecord(job, name, said or "", now())
        for attempt in attempts:
            self.datastore.save_job(attempt.key, attempt.number, record)
        return record

    def _wait(self, job: JobRecord, described: Mapping[str, Any] | None) -> bool:
        """Wait as long as there is something to wait for; False when the job is over."""
        if described is None or self.operator.state(described) == "over":
            return False
        submitted, started, _ = self.operator.times(described)
        patience, limit = self._said.start_timeout_s if self._said else None, self._timeout_s()
        waiting = self.operator.state(described) == "waiting"
        start_by = None
        if waiting and patience is not None:
            start_by = (submitted or time.time()) + patience
            if time.time() >= start_by:
                self._stop(job, f"{NEVER_STARTED}. {self.operator.blocked(described)}".rstrip(". "))
                return False
        if not waiting and limit is not None and started is not None and time.time() >= started + limit:
            self._stop(job, STOPPED_AT_TIMEOUT)
            return False
        self.operator.wait(self._context, job.id, start_by, limit)
        return True

    def _stop(self, job: JobRecord, reason: str) -> None:
        logger.warning("stopping job %s: %s", job.id, reason)
        self.operator.stop(job.id, reason)
        self._stopped = reason

    _stopped: str | None = None

    def _settle(self, known: Mapping[Indices, History], described: Mapping[str, Any] | None) -> int:
        """Record the end of all open attempts of a job that is over; count those that failed."""
        failure = self._failure(described)
        failures = 0
        for found in known.values():
            attempt = found.open
            if attempt is None:
                continue
            if described is not None:
                self._keep_log(attempt, described)
            if self.datastore.is_done(attempt.key, attempt.number):
                continue
            failures += 1
            told = self.datastore.failed(attempt.key, attempt.number)
            if told is not None:
                continue
            self._fail(attempt, failure, described)
        self._stopped = None
        return failures

    def _failure(self, described: Mapping[str, Any] | None) -> Failure:
        if self._stopped is not None:
            late = self._stopped.startswith(NEVER_STARTED)
            kind = FailureKind.NEVER_STARTED if late else FailureKind.TIMEOUT
            return Failure(kind, self._stopped, kind.again)
        if described is None:
            return Failure(FailureKind.UNKNOWN, "AWS does not know the job any more", True)
        failure = self.operator.failure(described)
        if failure is None:
            return Failure(FailureKind.UNKNOWN, "the job ended well, but committed nothing", True)
        if failure.kind is FailureKind.CANCELLED and ENDED_BY_AIRFLOW in failure.reason:
            # Airflow ended the try, as when a worker is shut down, and now tries again: so may we.
            return Failure(FailureKind.LOST_HOST, failure.reason, True)
        return failure

    def _fail(self, attempt: Attempt, failure: Failure, described: Mapping[str, Any] | None) -> None:
        size = attempt.begin.size
        wall = 0.0
        if described is not None:
            _, started, stopped = self.operator.times(described)
            wall = max((stopped or 0.0) - started, 0.0) if started and stopped else 0.0
        # The peak of a killed process is unknown; one that ran out of memory had used all that it had.
        full = failure.kind is FailureKind.OUT_OF_MEMORY and size is not None and size.memory_mib is not None
        peak = float(size.memory_mib or 0) if full and size is not None else 0.0
        logger.error(
            "%s@%d failed: %s (%s)", attempt.key.pathspec, attempt.number, failure.reason, failure.kind.value
        )
        self.datastore.fail(
            attempt.key,
            attempt.number,
            FailedRecord(
                now(),
                ErrorRecord(f"airloom.{failure.kind.value}", failure.reason, ""),
                Usage(peak, 0.0, round(wall, 3)),
                code=self.plan.code,
                final=not failure.again,
                failure=failure.kind.value,
                size=size,
            ),
        )

    def _keep_log(self, attempt: Attempt, described: Mapping[str, Any]) -> None:
        """Keep what a container has printed that was killed, and so could not keep it itself."""
        try:
            self.datastore.log(attempt.key, attempt.number)
        except AirloomError:
            lines = self.operator.lines(described)
            log = Log()
            for line in lines:
                log.feed("o", f"{line}\n")
            if lines:
                self.datastore.write_log(attempt.key, attempt.number, log.to_bytes())

    def _tell(self, places: list[Indices]) -> None:
        """Show what the containers have printed while this task was deferred."""
        for place in places:
            key = self.key(place)
            numbers = self.datastore.attempts(key)
            try:
                kept = self.datastore.log(key, numbers[-1]) if numbers else b""
            except AirloomError:  # none, or a container still runs
                continue
            for line in parse(kept):
                logger.info("[%s] %s", key.task, line.text)

    def _stop_stale(self, known: Mapping[Indices, History]) -> None:
        """Stop what still runs from before the task was cleared: its results would count for nothing."""
        for found in known.values():
            for attempt in found.stale:
                record = self.datastore.job(attempt.key, attempt.number)
                if record is None:
                    continue
                described = self.operator.describe(record.id)
                if described is not None and self.operator.state(described) != "over":
                    self.operator.stop(record.id, ENDED_BY_AIRFLOW)
                self._fail(attempt, Failure(FailureKind.CANCELLED, "the task was cleared", True), described)

    def _end_foreign(self, known: Mapping[Indices, History]) -> int:
        """End attempts that no job was meant for: of a worker, before the flow was deployed anew."""
        foreign = [f.open for f in known.values() if f.open is not None and "job" not in f.open.begin.origin]
        for attempt in foreign:
            self._fail(attempt, Failure(FailureKind.LOST_HOST, "its process is gone", True), None)
        return len(foreign)

    # -- what follows ----------------------------------------------------------------------

    def _next(self, found: History) -> Next:
        return after(self.step, found.former, platform_of(self.step))

    def _hopeless(self, known: Mapping[Indices, History]) -> list[Indices]:
        """Indices for which no other attempt is to come; those with @catch end here, and well."""
        found = []
        for place, past in known.items():
            following = self._next(past)
            if past.open is not None or following.again:
                continue
            if self.step.catch is not None and past.former:
                request = replace(self.request(place), retry_count=following.retry_count, last_try=True)
                self.task(request).give_up(self._error(place, past))
                continue
            found.append(place)
        return found

    def _error(self, place: Indices, past: History) -> AirloomError:
        following = self._next(past)
        key = self.key(place)
        numbers = self.datastore.attempts(key)
        record = self.datastore.failed(key, numbers[-1]) if numbers else None
        what = record.error.message if record is not None else following.sentence
        kind = FailureKind(record.failure) if record is not None and record.failure else FailureKind.UNKNOWN
        return (StepFailed if following.again else StepFailedForGood)(
            f"the step {self.step.name!r} failed: {what.splitlines()[0] if what else kind.value}\n"
            f"  next:  {following.sentence}",
            where=f"{key.pathspec}, attempt {numbers[-1] if numbers else 0}",
            mend=kind.mend,
        )

    def _raise(self, known: Mapping[Indices, History]) -> None:
        """Raise how attempts failed; nothing happens when @catch has taken the last of them.

        Raises
        ------
        StepFailed, StepFailedForGood
        """
        failures: list[AirloomError] = []
        for place in dict.fromkeys([*known]):
            past = known[place]
            if not past.former:
                continue
            following = self._next(past)
            if not following.again and self.step.catch is not None:
                self._hopeless({place: past})
                continue
            logger.warning("%s: %s", self.key(place).pathspec, following.sentence)
            failures.append(self._error(place, past))
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise failed_range(failures, len(known), self.request(next(iter(known))))

    # -- a job that is due -----------------------------------------------------------------

    def _submit(self, due: Mapping[Indices, History]) -> None:
        following = {place: self._next(found) for place, found in due.items()}
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
            requests.append(replace(request, attempt=attempt.number, size=attempt.begin.size or size))
        assert name is not None  # noqa: S101 - at least one index is due
        try:
            job = self.operator.submit(self._submission(name, requests, following), self._context)
        except Refused as error:
            for attempt in attempts:
                self._fail(attempt, error.failure, None)
            known = {place: history(self.datastore, self.key(place), self.generation) for place in due}
            self._raise(known)
            return
        self._note(attempts, name, job)
        logger.info("job %s (%s) with %s (%s)", job, name, size, size.why)

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
            )
            return made[number]

        number = self.datastore.claim(key, make)
        return Attempt(key, number, made[number])

    def _round(self, place: Indices) -> int:
        from airloom.runtime.lineage import Lineage

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
        limit = self._timeout_s(len(requests))
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

    def _timeout_s(self, count: int = 1) -> int | None:
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
