"""Why an attempt failed: one of a few kinds, told from what AWS or the kernel says.

A `Failure` has a `FailureKind`, the reason in the words of whoever gave it, whether another attempt can help
(``again``) and one sentence of mend. Records keep ``failure.kind.value``.

>>> job = {"status": "FAILED", "container": {"exitCode": 137, "reason": "OutOfMemoryError: Container killed"}}
>>> failure = of_batch(job)
>>> failure.kind.value, failure.again
('out_of_memory', True)

Several facts may be told at once, and the outer cause counts: a job that is stopped at its timeout or with
its spot host ends with exit code 137 as well, so the status reason is read before the exit code.

Where the words come from
-------------------------
- Docs: AWS Batch user guide, "Automated job retries", "Job timeouts", "Jobs stuck in a RUNNABLE status";
  Amazon ECS developer guide, "Stopped tasks error messages" and its pages on CannotPullContainerError,
  ResourceInitializationError and OutOfMemoryError, "Task state change events"; ECS API, ``stopCode``.
- Reports: public issue threads with the words as people met them; tests/test_failures.py names one for each.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class FailureKind(str, Enum):
    """What kind of failure ended an attempt; the value is what records keep."""

    OUT_OF_MEMORY = "out_of_memory"
    SPOT_RECLAIMED = "spot_reclaimed"
    IMAGE_PULL = "image_pull"
    START_FAILED = "start_failed"
    NEVER_STARTED = "never_started"
    LOST_HOST = "lost_host"
    TIMEOUT = "timeout"
    USER_CODE = "user_code"
    VERSION_SKEW = "version_skew"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def again(self) -> bool:
        """Whether another attempt can help at all; which budget pays for it is the sizing's matter."""
        return self not in _FINAL

    @property
    def mend(self) -> str:
        """One sentence that says what to do when it keeps happening."""
        return _MEND[self]


_FINAL = {FailureKind.NEVER_STARTED, FailureKind.VERSION_SKEW, FailureKind.CANCELLED}
_MEND = {
    FailureKind.OUT_OF_MEMORY: "ask for more memory=, or raise max_memory= so that attempts may grow.",
    FailureKind.SPOT_RECLAIMED: "name an on-demand queue as the fallback, or make the step shorter.",
    FailureKind.IMAGE_PULL: "check the image's name and tag, the execution role's rights on the registry, "
    "and the way from the subnet to it.",
    FailureKind.START_FAILED: "check that the image has python3, that the execution role may write the log "
    "group, and that the subnet reaches AWS.",
    FailureKind.NEVER_STARTED: "check that the queue's compute environments are enabled, and that they offer "
    "instances as large as the step asks for.",
    FailureKind.LOST_HOST: "look at the host's events; the step itself did not fail.",
    FailureKind.TIMEOUT: "raise the step's @timeout, or find what it waits for.",
    FailureKind.USER_CODE: "read the step's log: its own code failed.",
    FailureKind.VERSION_SKEW: "deploy the flow again, with the Airloom and Python that the image has.",
    FailureKind.CANCELLED: "somebody stopped it: clear the task to run it again.",
    FailureKind.UNKNOWN: "read the step's log, and the job's page in the AWS console.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """How one attempt failed.

    ``reason`` is one line in the words of AWS, the kernel or the exception; ``again`` says whether another
    attempt can help: the kind's answer, but an image that does not exist is not pulled twice.
    """

    kind: FailureKind
    reason: str
    again: bool

    @property
    def mend(self) -> str:
        """One sentence that says what to do."""
        return self.kind.mend


EXIT_CODES = {
    93: FailureKind.OUT_OF_MEMORY,
    94: FailureKind.VERSION_SKEW,
    95: FailureKind.TIMEOUT,
    96: FailureKind.START_FAILED,
}
"""Exit codes by which the process inside of a container tells a kind that nobody outside can know."""

STOPPED_AT_TIMEOUT = "Airloom stopped it: the step's timeout is over"
"""The reason to give to ``StopTask`` or ``TerminateJob`` when the step's time is over."""

NEVER_STARTED = "Airloom stopped it: it did not start in time"
"""The reason to give when a job has waited longer than its start timeout; the queue's may follow."""

ENDED_BY_AIRFLOW = "Airloom stopped it: Airflow ended the task"
"""The reason to give when Airflow ends the task that waits for a job."""

# In the order of asking: an outer cause before what it brings about.
_STATUS: Sequence[tuple[str, FailureKind]] = (
    (r"^Airloom stopped it: the step's timeout", FailureKind.TIMEOUT),
    (r"^Airloom stopped it: it did not start", FailureKind.NEVER_STARTED),
    (r"job attempt duration exceeded timeout", FailureKind.TIMEOUT),
    (r"your spot task was interrupted|spotinterruption|spot interruption", FailureKind.SPOT_RECLAIMED),
    (r"host ec2( \(instance .*?\))? terminated", FailureKind.SPOT_RECLAIMED),
    (r"host ec2( \(instance .*?\))? stopped", FailureKind.LOST_HOST),
    (
        r"\b(MISCONFIGURATION|CAPACITY):|jobstatetimelimit action|batch job is blocked",
        FailureKind.NEVER_STARTED,
    ),
    (r"scaling activity initiated by|dependent job failed|stopped by user", FailureKind.CANCELLED),
    (r"failed (container|elb) health checks", FailureKind.USER_CODE),
)
_WHATEVER: Sequence[tuple[str, FailureKind]] = (
    (r"outofmemory", FailureKind.OUT_OF_MEMORY),
    (r"cannotpull|imagepull|pull access denied|manifest (for .* not found|unknown)", FailureKind.IMAGE_PULL),
    (r"dockertimeout|runtimetimeout|timeout waiting for|internalerror|cannotinspect", FailureKind.LOST_HOST),
    (r"unexpected ec2 error|network interface provision|^AGENT\b", FailureKind.LOST_HOST),
    (r"terminationnotice|performing maintenance|task retirement|instance draining", FailureKind.LOST_HOST),
    (r"resourceinitialization|cannotstartcontainer|cannotcreatecontainer", FailureKind.START_FAILED),
    (
        r"cannotcreatevolume|containerruntimeerror|taskfailedtostart|overrides length",
        FailureKind.START_FAILED,
    ),
)
_HOPELESS = (
    r"not found|no such (image|file)|manifest unknown|does not exist|invalid reference|access denied|"
    r"accessdenied|not authorized|unauthorized|executable file|no matching manifest|exec format error|"
    r"overrides length"
)


def of_batch(job: Mapping[str, object]) -> Failure | None:
    """Why a job on AWS Batch failed: one entry of what ``DescribeJobs`` answers.

    Returns
    -------
    The failure of its newest attempt, or None when the job has not failed.

    Notes
    -----
    "Host EC2 (instance i-...) terminated." is how a reclaimed spot instance looks, and one that was lost
    otherwise: Batch does not tell them apart (AWS Batch user guide, "Automated job retries").
    """
    if job.get("status") != "FAILED":
        return None
    attempts = job.get("attempts")
    last = _part(attempts[-1]) if isinstance(attempts, Sequence) and attempts else {}
    container = _part(job.get("container")) or _part(last.get("container"))
    status = _text(job.get("statusReason")) or _text(last.get("statusReason"))
    reason = _text(container.get("reason")) or _text(_part(last.get("container")).get("reason"))
    found = _named(status, _STATUS)
    if found is None and (job.get("isTerminated") or job.get("isCancelled")):
        found = FailureKind.CANCELLED
    code = _code(container.get("exitCode"))
    if code is None:
        code = _code(_part(last.get("container")).get("exitCode"))
    if found is None and code is None and status.startswith("Task failed to start") and not reason:
        found = FailureKind.START_FAILED
    return _failure(found, code, reason, status)


def of_ecs(task: Mapping[str, object], container: str | None = None) -> Failure | None:
    """Why a task on ECS failed: one entry of what ``DescribeTasks`` answers.

    Parameters
    ----------
    task
        The entry of the answer's ``tasks``.
    container
        The name of the container that runs the step; without it, the first one that did not exit with 0.

    Returns
    -------
    The failure, or None when the task has not stopped, or its container ended with exit code 0.
    """
    if task.get("lastStatus") != "STOPPED":
        return None
    listed = task.get("containers")
    parts = [_part(item) for item in listed] if isinstance(listed, Sequence) else []
    named = [part for part in parts if part.get("name") == container] if container else parts
    failed = [part for part in named if _code(part.get("exitCode")) != 0]
    stop_code, stopped = _text(task.get("stopCode")), _text(task.get("stoppedReason"))
    if named and not failed:
        return None
    told = failed[0] if failed else {}
    code, reason = _code(told.get("exitCode")), _text(told.get("reason"))
    found = _named(stopped, _STATUS)
    if found is None and stop_code == "SpotInterruption":
        found = FailureKind.SPOT_RECLAIMED
    if found is None and stop_code == "TerminationNotice":
        found = FailureKind.LOST_HOST
    if found is None and stop_code in ("UserInitiated", "ServiceSchedulerInitiated"):
        found = FailureKind.CANCELLED
    if found is None and stop_code == "TaskFailedToStart":
        found = _named(f"{reason} {stopped}", _WHATEVER) or FailureKind.START_FAILED
    return _failure(found, code, reason, stopped)


def of_process(exit_code: int | None, told: str = "") -> Failure | None:
    """Why a process on this machine failed.

    Parameters
    ----------
    exit_code
        As `subprocess` gives it (-9: killed by signal 9) or as a shell does (137); None when nobody knows.
    told
        What is known beyond it, such as the last line of a traceback.

    Returns
    -------
    The failure, or None for exit code 0.

    Notes
    -----
    Nobody but the kernel's out-of-memory killer is expected to send SIGKILL (Linux, proc(5) and
    Documentation/admin-guide/mm/concepts.rst); whoever kills by hand is told "out of memory" as well.
    """
    if exit_code == 0:
        return None
    if exit_code is None:
        return _made(FailureKind.UNKNOWN, told or "nothing is known about its end")
    code = 128 - exit_code if exit_code < 0 else exit_code
    reason = _line(told, _exit(code))
    if re.search(r"MemoryError\b", told):
        return _made(FailureKind.OUT_OF_MEMORY, reason)
    if code in (128 + signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGHUP):
        return _made(FailureKind.CANCELLED, reason)
    return _made(_kind_of(code) or FailureKind.UNKNOWN, reason)


def of_exception(error: BaseException) -> Failure:
    """Why a step failed whose exception is at hand.

    Errors of Airloom are known by their class attribute ``kind``, so that this module needs none of them.
    """
    own = getattr(error, "kind", None)
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, MemoryError):
        return _made(FailureKind.OUT_OF_MEMORY, line)
    if own == "version_skew":
        return _made(FailureKind.VERSION_SKEW, line)
    if own == "step_timed_out" or isinstance(error, TimeoutError):
        return _made(FailureKind.TIMEOUT if own else FailureKind.USER_CODE, line)
    if isinstance(error, KeyboardInterrupt):
        return _made(FailureKind.CANCELLED, line)
    return _made(FailureKind.USER_CODE, line)


def _failure(found: FailureKind | None, code: int | None, reason: str, status: str) -> Failure:
    told = _line(reason, status if status not in reason else "")
    kind = found or _named(told, _WHATEVER)
    if kind is None and code is not None:
        kind = _kind_of(code)
    if kind is None:
        kind = FailureKind.START_FAILED if "failed to start" in told.lower() else FailureKind.UNKNOWN
    return _made(kind, _line(told, _exit(code) if code is not None else ""))


def _kind_of(code: int) -> FailureKind | None:
    if code in EXIT_CODES:
        return EXIT_CODES[code]
    if code == 128 + signal.SIGKILL:
        return FailureKind.OUT_OF_MEMORY
    if code == 128 + signal.SIGTERM:
        return FailureKind.LOST_HOST
    if code in (126, 127):  # a shell's codes for a command that cannot be run, and one that is not there
        return FailureKind.START_FAILED
    return FailureKind.USER_CODE if code else None


def _made(kind: FailureKind, reason: str) -> Failure:
    hopeless = kind in (FailureKind.IMAGE_PULL, FailureKind.START_FAILED) and re.search(
        _HOPELESS, reason, re.IGNORECASE
    )
    return Failure(kind, reason, kind.again and not hopeless)


def _named(text: str, table: Sequence[tuple[str, FailureKind]]) -> FailureKind | None:
    return next((kind for words, kind in table if re.search(words, text, re.IGNORECASE)), None)


def _exit(code: int) -> str:
    if code <= 128:
        return f"exit code {code}"
    try:
        return f"exit code {code} ({signal.Signals(code - 128).name})"
    except ValueError:
        return f"exit code {code}"


def _line(*parts: str) -> str:
    return "; ".join(" ".join(part.split()).rstrip(".") for part in parts if part.strip())


def _part(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _code(value: object) -> int | None:
    return value if isinstance(value, int) else None
