"""One try of an Airflow task whose step runs as a job; imported by a running task only.

All that has happened stands in the store: an attempt is claimed together with the job's name before the job
is submitted, and the job's id is noted beside it. So `JobExecution.execute` is the same for the first try,
for one that comes after the death of a worker, and for a task that was deferred: it looks what there is, and
goes on from there. For one attempt there is never a second job.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

# Airflow 3.1 has these exceptions elsewhere; this module knows where.
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from airloom.errors import AirloomError, SettingsError, StepFailed, StepFailedForGood
from airloom.failures import ENDED_BY_AIRFLOW, NEVER_STARTED, STOPPED_AT_TIMEOUT, Failure, FailureKind
from airloom.names import unpack_indices
from airloom.operators.definitions import Refused, refusal
from airloom.operators.execution import failed_range, translate
from airloom.operators.history import Attempt, History, history
from airloom.operators.submissions import Submissions
from airloom.plan import Recovery
from airloom.runtime.logs import Log, parse
from airloom.runtime.task import now
from airloom.store.records import ErrorRecord, FailedRecord, JobRecord, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airloom.codec import Json
    from airloom.names import Indices
    from airloom.operators.job import JobStep

logger = logging.getLogger(__name__)


def run(operator: JobStep, context: Context, *, resumed: bool, seen: int = 0) -> Json:
    """Run an operator's step, or go on with it; see `JobExecution.go_on`."""
    execution = None
    try:
        execution = operator.begin(context)
        return execution.go_on(operator.index or "", resumed=resumed, seen=seen)
    except AirloomError as error:
        if execution is not None:
            execution.record_failure(error)
        translate(error)
    except (ClientError, BotoCoreError) as error:
        found = refusal(error)
        if found is None or found.again:
            _end_in_time(operator, context, execution, error)
            raise
        denied = SettingsError(
            f"AWS refuses: {found.reason}",
            where=f"the Airflow connection {getattr(operator, 'aws_conn_id', None)!r}",
            mend="look at its region and credentials; docs/aws.md lists the rights that a worker needs.",
        )
        if execution is not None:
            execution.record_failure(denied)
        translate(denied)
    except (AirflowSkipException, AirflowFailException):
        raise
    except Exception as error:
        _end_in_time(operator, context, execution, error)
        raise


def _end_in_time(
    operator: JobStep, context: Context, execution: JobExecution | None, error: Exception
) -> None:
    """Fail for good after too many tries that ended by no failure of an attempt; they count as losses.

    Airflow's retries are the sum of all budgets: what fails each time would use them all.

    Raises
    ------
    AirflowFailException
        When the budget is used up. The job is stopped then, if AWS can be asked.
    """
    ti = context["ti"]
    tries = int(ti.try_number) - max(int(ti.max_tries) - (operator.retries or 0), 0)
    allowed = Recovery().losses if execution is None else execution.step.recovery.losses
    explained, losses = (0, 0) if execution is None else execution.explained(operator.index or "")
    used = max(tries - explained, 1) + losses
    what = f"{type(error).__name__}: {error}"
    if used <= allowed:
        logger.warning("%s; another try follows (%d of %d losses)", what, used, allowed)
        return
    if operator.current_job:
        try:
            operator.stop(operator.current_job, ENDED_BY_AIRFLOW)
        except (ClientError, BotoCoreError) as refused:
            logger.warning("job %s could not be stopped: %s", operator.current_job, refused)
    ended = StepFailedForGood(
        f"{what}\n  next:  all {allowed} losses are used up",
        where=f"the task {ti.task_id!r}",
        mend="see the traceback above; clear the task to try again.",
    )
    if execution is not None:
        execution.record_failure(ended)
    raise AirflowFailException(str(ended)) from error


class JobExecution(Submissions):
    """One try of an Airflow task at one step that runs as a job."""

    def go_on(self, index: str, *, resumed: bool, seen: int = 0) -> Json:
        """Look what there is, and do what is due until all indices are done.

        Parameters
        ----------
        resumed
            Whether this try has waited for a job already, and was deferred meanwhile.
        seen
            How many lines of the job the triggerer has told then.

        Raises
        ------
        AirloomError
            When attempts failed.
        """
        places = self.places(index)
        waited = resumed
        told, self._seen = not resumed, seen
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
            if waited and any(found.failed for found in known.values()):
                # The container itself has recorded how: Airflow says when the next attempt is due.
                if not told:
                    self._tell(rest)
                self._raise(known)
                continue
            hopeless = self._hopeless(known)
            if len(hopeless) == len(known):
                self._raise(known)
            due = {place: found for place, found in known.items() if place not in hopeless}
            waited = self._submit(due) or waited

    def explained(self, index: str) -> tuple[int, int]:
        """How many tries since the last clear ended with a failed attempt; how many of those were losses."""
        depth = self.step.depth - self.is_gang()
        tasks = [history(self.datastore, self.key(p), self.generation) for p in unpack_indices(index, depth)]
        losses = [sum(one.budget == "loss" for one in task.former) for task in tasks]
        return max(len(task.former) for task in tasks), max(losses)

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
        patience, limit = self._said.start_timeout_s if self._said else None, self.timeout_s()
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

    _seen = 0

    def _tell(self, places: list[Indices]) -> None:
        """Show what the containers have printed while this task was deferred, unless the triggerer has.

        It tells what stands in CloudWatch, and that is what the store has and more: the lines before and
        after the user's code.
        """
        lines: list[str] = []
        for place in places:
            key = self.key(place)
            numbers = self.datastore.attempts(key)
            try:
                kept = self.datastore.log(key, numbers[-1]) if numbers else b""
            except AirloomError:  # none, or a container still runs
                continue
            lines += (f"[{key.task}] {line.text}" for line in parse(kept))
        if self._seen:
            logger.info("the triggerer has told %d of the job's lines", self._seen)
        if len(lines) > self._seen:
            for line in lines:
                logger.info("%s", line)

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

    def _hopeless(self, known: Mapping[Indices, History]) -> list[Indices]:
        """Indices for which no other attempt is to come; those with @catch end here, and well."""
        found = []
        for place, past in known.items():
            following = self.next(past)
            if past.open is not None or following.again:
                continue
            if self.step.catch is not None and past.former:
                request = replace(self.request(place), retry_count=following.retry_count, last_try=True)
                self.task(request).give_up(self._error(place, past))
                continue
            found.append(place)
        return found

    def _error(self, place: Indices, past: History) -> AirloomError:
        following = self.next(past)
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
            following = self.next(past)
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

    def _submit(self, due: Mapping[Indices, History]) -> bool:
        """Submit a job and wait for it; False when it was refused, and @catch has taken all of that."""
        submission, attempts = self.prepare(due)
        try:
            job = self.operator.submit(submission, self._context)
        except Refused as error:
            for attempt in attempts:
                self._fail(attempt, error.failure, None)
            known = {place: history(self.datastore, self.key(place), self.generation) for place in due}
            self._raise(known)
            return False
        self._note(attempts, submission.name, job)
        size = submission.size
        logger.info("job %s (%s) with %s (%s)", job, submission.name, size, size.why)
        # AWS is not asked about it at once: of a wide foreach that would be as many requests again.
        patience = self._said.start_timeout_s if self._said else None
        start_by = None if patience is None else time.time() + patience
        self.operator.wait(self._context, job, start_by, self.timeout_s())
        return True
