"""Each failure that people met on AWS is told as what it "
"is; the words are theirs, the thread beside them."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest

from airloom.errors import StepFailed, StepTimedOut, VersionSkew
from airloom.failures import (
    EXIT_CODES,
    NEVER_STARTED,
    STOPPED_AT_TIMEOUT,
    Failure,
    FailureKind,
    of_batch,
    of_ecs,
    of_exception,
    of_process,
)

EXITED = "Essential container in task exited"
NOT_STARTED = "Task failed to start"
OOM = "OutOfMemoryError: Container killed due to memory usage"
KIND = FailureKind


def batch(status_reason: str, reason: str = "", code: int | None = None, **others: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"logStreamName": "job/default/1"}
    if reason:
        container["reason"] = reason
    if code is not None:
        container["exitCode"] = code
    attempt = {"container": container, "statusReason": status_reason}
    return {
        "status": "FAILED",
        "statusReason": status_reason,
        "container": container,
        "attempts": [attempt],
        **others,
    }


def ecs(stop_code: str, stopped_reason: str, reason: str = "", code: int | None = None) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "lastStatus": "STOPPED"}
    if reason:
        container["reason"] = reason
    if code is not None:
        container["exitCode"] = code
    return {
        "lastStatus": "STOPPED",
        "stopCode": stop_code,
        "stoppedReason": stopped_reason,
        "containers": [container],
    }


BATCH = [
    # aws/amazon-ecs-agent#1187, aws/copilot-cli#3470
    ((EXITED, OOM, 137), KIND.OUT_OF_MEMORY, True),
    # nextflow-io/nextflow#2005: 137, and nobody says why; mostly memory
    ((EXITED, "", 137), KIND.OUT_OF_MEMORY, True),
    # a child was killed, and the first process went on to fail by itself: aws/amazon-ecs-agent#2467
    ((EXITED, OOM, 1), KIND.OUT_OF_MEMORY, True),
    # calypr/funnel#973
    (("Host EC2 (instance i-0e234208f6fc9291f) terminated",), KIND.SPOT_RECLAIMED, True),
    # ministryofjustice/modernisation-platform-environments#17291
    (("Host EC2 (instance i-08784105ffff56b4f) terminated.", "", 137), KIND.SPOT_RECLAIMED, True),
    # azavea/raster-vision-aws#15
    (("Host EC2 Terminated",), KIND.SPOT_RECLAIMED, True),
    # nextflow-io/nextflow#5786, reproio/wrapbox#53
    (("Your Spot Task was interrupted.", "", 137), KIND.SPOT_RECLAIMED, True),
    # public reports of timeouts name 137 beside it
    (("Job attempt duration exceeded timeout", "", 137), KIND.TIMEOUT, True),
    ((STOPPED_AT_TIMEOUT, "", 143), KIND.TIMEOUT, True),
    # docs: Amazon ECS, "CannotPullContainer task errors"
    (
        (
            NOT_STARTED,
            (
                "CannotPullContainerError: inspect image has been retried 1 "
                'time(s): failed to resolve ref "1.dkr.ecr.'
                'ap-northeast-2.amazonaws.com/keyword:latest": 1.dkr.ecr.../keyword:latest: not found'
            ),
        ),
        KIND.IMAGE_PULL,
        False,
    ),
    # globaldothealth/list#2662
    (
        (
            NOT_STARTED,
            (
                "CannotPullContainerError: Error response from daemon: "
                "net/http: request canceled while waiting for "
                "connection (Client.Timeout exceeded while awaiting headers)"
            ),
        ),
        KIND.IMAGE_PULL,
        True,
    ),
    # aws/amazon-ecs-agent#1434
    (
        (NOT_STARTED, "CannotPullContainerError: failed to register layer: no space left on device"),
        KIND.IMAGE_PULL,
        True,
    ),
    # globaldothealth/list#2662
    (
        (
            (
                "ResourceInitializationError: unable to pull secrets or "
                "registry auth: execution resource retrieval "
                "failed: unable to retrieve ecr registry auth: service call has been retried 3 time(s)"
            ),
        ),
        KIND.START_FAILED,
        True,
    ),
    # broadinstitute/cromwell#4604
    (
        (
            NOT_STARTED,
            (
                "CannotStartContainerError: Error response from daemon: OCI runtime create failed: "
                "container_linux.go:348: starting container process caused "
                '"exec: \\"python3\\": executable file not '
                'found in $PATH": unknown'
            ),
            127,
        ),
        KIND.START_FAILED,
        False,
    ),
    # a shell that does not find the program
    ((EXITED, "", 127), KIND.START_FAILED, True),
    # Netflix/metaflow#1482
    (("Container Overrides length must be at most 8192",), KIND.START_FAILED, False),
    # nothing but this: docs, AWS Batch, "Automated job retries"
    ((NOT_STARTED,), KIND.START_FAILED, True),
    # aws/amazon-ecs-agent#1440
    (
        (NOT_STARTED, "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s"),
        KIND.LOST_HOST,
        True,
    ),
    # nextflow-io/nextflow#3091, Netflix/metaflow#419
    (
        (
            EXITED,
            "CannotInspectContainerError: Could not transition to inspecting; timed out after waiting 30s",
        ),
        KIND.LOST_HOST,
        True,
    ),
    # aws/amazon-ecs-agent#4825
    (("Timeout waiting for network interface provisioning to complete.",), KIND.LOST_HOST, True),
    # docs: AWS Batch, "Automated job retries", an entry of the example
    (("AGENT",), KIND.LOST_HOST, True),
    ((EXITED, "", 143), KIND.LOST_HOST, True),
    # docs: AWS Batch, "Jobs stuck in a RUNNABLE status"
    (
        ("Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",),
        KIND.NEVER_STARTED,
        False,
    ),
    (
        (f"{NEVER_STARTED}; CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot",),
        KIND.NEVER_STARTED,
        False,
    ),
    (("Dependent Job failed",), KIND.CANCELLED, False),
    ((EXITED, "", 1), KIND.USER_CODE, True),
    ((EXITED, "", 139), KIND.USER_CODE, True),
    ((EXITED, "", 94), KIND.VERSION_SKEW, False),
    ((EXITED,), KIND.UNKNOWN, True),
]


@pytest.mark.parametrize(("facts", "kind", "again"), BATCH)
def test_a_job_of_batch(facts: tuple[Any, ...], kind: FailureKind, again: bool) -> None:
    failure = of_batch(batch(*facts))
    assert failure is not None
    assert (failure.kind, failure.again) == (kind, again), failure.reason
    assert failure.reason
    assert "\n" not in failure.reason


def test_what_somebody_stopped_is_told_so_whatever_its_exit_code() -> None:
    for flag in ("isTerminated", "isCancelled"):
        failure = of_batch(batch("no longer wanted", "", 137, **{flag: True}))
        assert failure is not None
        assert (failure.kind, failure.again) == (KIND.CANCELLED, False)
    timed_out = of_batch(batch("Job attempt duration exceeded timeout", "", 137, isTerminated=True))
    assert timed_out is not None
    assert timed_out.kind is KIND.TIMEOUT


def test_the_newest_attempt_counts_where_the_job_says_nothing_itself() -> None:
    attempts = [
        {"container": {"exitCode": 1}, "statusReason": EXITED},
        {"container": {"exitCode": 137, "reason": OOM}, "statusReason": EXITED},
    ]
    failure = of_batch({"status": "FAILED", "attempts": attempts})
    assert failure is not None
    assert failure.kind is KIND.OUT_OF_MEMORY


def test_a_job_that_has_not_failed_has_no_failure() -> None:
    for status in ("SUBMITTED", "RUNNABLE", "RUNNING", "SUCCEEDED"):
        assert of_batch({**batch(EXITED, "", 0), "status": status}) is None


ECS = [
    (("EssentialContainerExited", EXITED, OOM, 137), KIND.OUT_OF_MEMORY, True),
    (("EssentialContainerExited", EXITED, "", 137), KIND.OUT_OF_MEMORY, True),
    # docs: Amazon ECS, "Task state change events"; aws/containers-roadmap#1565 on the stop code
    (("TerminationNotice", "Your Spot Task was interrupted.", "", 137), KIND.SPOT_RECLAIMED, True),
    (("SpotInterruption", "Your Spot Task was interrupted.", "", 2), KIND.SPOT_RECLAIMED, True),
    # docs: Amazon ECS, "AWS Fargate task retirement"
    (
        (
            "TerminationNotice",
            "ECS is performing maintenance on the underlying infrastructure hosting the task.",
        ),
        KIND.LOST_HOST,
        True,
    ),
    # docs: AWS Batch, "Instance draining and task interruptions"
    (("EssentialContainerExited", "Task stopped during instance draining", "", 143), KIND.LOST_HOST, True),
    # docs: Amazon ECS, "Stopped tasks error messages"
    (("EssentialContainerExited", "Host EC2 (instance i-1) stopped.", "", 143), KIND.LOST_HOST, True),
    # docker-archive/compose-cli#1510
    (
        (
            "TaskFailedToStart",
            (
                "ResourceInitializationError: unable to pull secrets or "
                "registry auth: execution resource retrieval "
                "failed: unable to retrieve secret from asm: service call has been retried 1 time(s)"
            ),
        ),
        KIND.START_FAILED,
        True,
    ),
    # public reports: the execution role may not write logs
    (
        (
            "TaskFailedToStart",
            (
                "ResourceInitializationError: failed to validate logger "
                "args: create stream has been retried 1 times: "
                "failed to create Cloudwatch log stream: AccessDeniedException: User: arn:aws:sts::1 is not "
                "authorized to perform: logs:CreateLogStream"
            ),
        ),
        KIND.START_FAILED,
        False,
    ),
    (
        ("TaskFailedToStart", "Timeout waiting for network interface provisioning to complete."),
        KIND.LOST_HOST,
        True,
    ),
    # docs: Amazon ECS, "TaskFailedToStart errors"
    (
        (
            "TaskFailedToStart",
            "Unexpected EC2 error while attempting to Create Network Interface in subnet 's'",
        ),
        KIND.LOST_HOST,
        True,
    ),
    (
        (
            "TaskFailedToStart",
            NOT_STARTED,
            "CannotPullContainerError: pull image manifest has been retried 5 time(s): dial tcp: i/o timeout",
        ),
        KIND.IMAGE_PULL,
        True,
    ),
    # jenkinsci/amazon-ecs-plugin#258
    (
        (
            "TaskFailedToStart",
            NOT_STARTED,
            (
                "CannotStartContainerError: ResourceInitializationError: "
                "failed to create new container runtime task: "
                'starting container process caused: exec: "python3": executable file not found in $PATH'
            ),
        ),
        KIND.START_FAILED,
        False,
    ),
    # aws/containers-roadmap#2379
    (("ServiceSchedulerInitiated", "Task failed container health checks", "", 143), KIND.USER_CODE, True),
    (
        ("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)", "", 137),
        KIND.CANCELLED,
        False,
    ),
    (("UserInitiated", "Task stopped by user", "", 137), KIND.CANCELLED, False),
    (("UserInitiated", STOPPED_AT_TIMEOUT, "", 137), KIND.TIMEOUT, True),
    (("EssentialContainerExited", EXITED, "", 3), KIND.USER_CODE, True),
]


@pytest.mark.parametrize(("facts", "kind", "again"), ECS)
def test_a_task_of_ecs(facts: tuple[Any, ...], kind: FailureKind, again: bool) -> None:
    failure = of_ecs(ecs(*facts), "main")
    assert failure is not None
    assert (failure.kind, failure.again) == (kind, again), failure.reason


def test_only_the_container_of_the_step_counts() -> None:
    task = ecs("EssentialContainerExited", EXITED, "", 0)
    task["containers"].append({"name": "sidecar", "exitCode": 137})
    assert of_ecs(task, "main") is None
    failure = of_ecs(task)
    assert failure is not None
    assert failure.kind is KIND.OUT_OF_MEMORY
    assert of_ecs({**task, "lastStatus": "RUNNING"}) is None


@pytest.mark.parametrize(
    ("code", "told", "kind"),
    [
        (-signal.SIGKILL, "", KIND.OUT_OF_MEMORY),
        (137, "", KIND.OUT_OF_MEMORY),
        (1, "MemoryError", KIND.OUT_OF_MEMORY),
        (1, "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB", KIND.OUT_OF_MEMORY),
        (-signal.SIGSEGV, "", KIND.USER_CODE),
        (-signal.SIGTERM, "", KIND.CANCELLED),
        (130, "", KIND.CANCELLED),
        (3, "ValueError: 7", KIND.USER_CODE),
        (1, "KeyError: 'CannotPullContainerError'", KIND.USER_CODE),
        (None, "", KIND.UNKNOWN),
        *((code, "", kind) for code, kind in EXIT_CODES.items()),
    ],
)
def test_a_process_of_this_machine(code: int | None, told: str, kind: FailureKind) -> None:
    failure = of_process(code, told)
    assert failure is not None
    assert failure.kind is kind
    assert of_process(0) is None


def test_a_real_process_that_is_killed_is_out_of_memory() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], check=False)
    failure = of_process(ended.returncode)
    assert failure == Failure(KIND.OUT_OF_MEMORY, "exit code 137 (SIGKILL)", again=True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), KIND.OUT_OF_MEMORY),
        (ValueError("bad"), KIND.USER_CODE),
        (TimeoutError("of the user's own socket"), KIND.USER_CODE),
        (StepFailed("it raised", where="Train/1/fit/2", mend="look"), KIND.USER_CODE),
        (StepTimedOut("60 s are over", where="Train/1/fit/2", mend="look"), KIND.TIMEOUT),
        (VersionSkew("another plan", where="Train/1/fit/2", mend="deploy"), KIND.VERSION_SKEW),
        (KeyboardInterrupt(), KIND.CANCELLED),
    ],
)
def test_an_exception(error: BaseException, kind: FailureKind) -> None:
    assert of_exception(error).kind is kind


def test_every_kind_says_how_to_mend_it() -> None:
    assert len({kind.mend for kind in FailureKind}) == len(FailureKind)
    final = {kind.value for kind in FailureKind if not kind.again}
    assert final == {"never_started", "version_skew", "cancelled"}
