"""The emulator's Batch behaves as AWS's documentation says; failures.py is asked about each ending."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airloom.failures import FailureKind, of_batch
from support.aws import words
from support.aws.emulator import Emulator, wait_for
from support.aws.fixtures import BARE_IMAGE, NO_PYTHON_IMAGE

pytestmark = pytest.mark.aws
GREEDY = "held = bytearray(400 << 20)\nfor place in range(0, len(held), 4096): held[place] = 1"


@pytest.fixture
def calm(aws: Emulator) -> Iterator[Emulator]:
    """The session's emulator, calm again when the test has ended."""
    yield aws
    aws.calm()
    aws.free()


@pytest.fixture(scope="session")
def definitions(aws: Emulator) -> dict[str, str]:
    """Definitions of jobs by the image, and one for Fargate."""

    def register(name: str, image: str, **others: Any) -> str:
        container = {
            "image": image,
            "command": ["python3", "-c", "print('declared')"],
            "environment": [{"name": "WHO", "value": "definition"}, {"name": "KEPT", "value": "yes"}],
            "resourceRequirements": needs(vcpu="1", memory="256"),
        }
        if others.get("platformCapabilities") == ["FARGATE"]:
            container |= {
                "executionRoleArn": aws.account.execution_role,
                "resourceRequirements": needs(vcpu="0.25", memory="512"),
            }
        made = aws.client("batch").register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=container, **others
        )
        return str(made["jobDefinitionArn"])

    return {
        "plain": register("plain", BARE_IMAGE),
        "no-python": register("no-python", NO_PYTHON_IMAGE),
        "missing": register("missing", "nowhere/at-all:1"),
        "fargate": register("fargate", BARE_IMAGE, platformCapabilities=["FARGATE"]),
    }


def needs(**sizes: str) -> list[dict[str, str]]:
    return [{"type": kind.upper(), "value": value} for kind, value in sizes.items()]


@pytest.fixture
def submit(calm: Emulator, definitions: dict[str, str]) -> Any:
    """Submit a job that runs a program of Python; gives its id."""

    def submit(program: str, definition: str = "plain", queue: str = "on-demand", **others: Any) -> str:
        overrides = {"command": ["python3", "-c", program], **others.pop("containerOverrides", {})}
        asked = {"jobName": "job", **others}
        made = calm.client("batch").submit_job(
            jobQueue=queue, jobDefinition=definitions[definition], containerOverrides=overrides, **asked
        )
        return str(made["jobId"])

    return submit


def kind_of(job: dict[str, Any]) -> FailureKind:
    failure = of_batch(job)
    assert failure is not None
    return failure.kind


# -- how jobs end -------------------------------------------------------------------------


def test_a_job_gets_its_overrides_and_batchs_variables(calm: Emulator, submit: Any) -> None:
    names = ("WHO", "KEPT", "AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_ATTEMPT")
    program = f"import os; print(*(os.environ[name] for name in {names}))"
    overrides = {
        "environment": [{"name": "WHO", "value": "override"}],
        "resourceRequirements": needs(memory="300"),
    }
    name = submit(program, containerOverrides=overrides)
    job = calm.ended_job(name)
    assert (job["status"], job["container"]["exitCode"], of_batch(job)) == ("SUCCEEDED", 0, None)
    assert calm.lines("/aws/batch/job", job["container"]["logStreamName"]) == [f"override yes {name} 1"]
    told = {need["type"]: need["value"] for need in job["container"]["resourceRequirements"]}
    assert told == {"VCPU": "1", "MEMORY": "300"}


def test_a_job_over_its_memory_is_killed(calm: Emulator, submit: Any) -> None:
    job = calm.ended_job(submit(GREEDY))
    told = job["container"]
    assert (job["status"], told["exitCode"], told["reason"]) == ("FAILED", 137, words.OUT_OF_MEMORY)
    assert kind_of(job) is FailureKind.OUT_OF_MEMORY
    more = {"resourceRequirements": needs(memory="1024")}
    assert calm.ended_job(submit(GREEDY, containerOverrides=more))["status"] == "SUCCEEDED"


def test_the_memory_of_children_counts_and_they_end_with_the_job(calm: Emulator, submit: Any) -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GREEDY!r} + '; print(1)'])"
    job = calm.ended_job(submit(program))
    assert job["container"]["reason"] == words.OUT_OF_MEMORY
    left = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print('gone')"
    job = calm.ended_job(submit(left))
    assert calm.lines("/aws/batch/job", job["container"]["logStreamName"]) == ["gone"]
    assert job["status"] == "SUCCEEDED"


def test_an_exit_code_is_tried_again_as_the_strategy_says(calm: Emulator, submit: Any) -> None:
    rules = [{"onExitCode": "4", "action": "EXIT"}, {"onReason": "*", "action": "RETRY"}]
    strategy = {"attempts": 3, "evaluateOnExit": rules}
    program = "import os, sys; sys.exit(2 + int(os.environ['AWS_BATCH_JOB_ATTEMPT']))"
    job = calm.ended_job(submit(program, retryStrategy=strategy))
    codes = [attempt["container"]["exitCode"] for attempt in job["attempts"]]
    assert (job["status"], codes) == ("FAILED", [3, 4])
    assert kind_of(job) is FailureKind.USER_CODE


@pytest.mark.parametrize(
    ("definition", "kind", "begin"),
    [
        ("missing", FailureKind.IMAGE_PULL, "CannotPullContainerError"),
        ("no-python", FailureKind.START_FAILED, "CannotStartContainerError"),
    ],
)
def test_an_image_that_is_not_there_or_has_no_python_fails_at_the_start(
    calm: Emulator, submit: Any, definition: str, kind: FailureKind, begin: str
) -> None:
    job = calm.ended_job(submit("pass", definition))
    assert (job["status"], job["statusReason"]) == ("FAILED", words.FAILED_TO_START)
    assert job["container"]["reason"].startswith(begin)
    failure = of_batch(job)
    assert failure is not None
    assert (failure.kind, failure.again) == (kind, False)


def test_a_timeout_ends_the_job_for_good(calm: Emulator, submit: Any) -> None:
    calm.hurry(600)
    strategy = {"attempts": 3}
    job = calm.ended_job(
        submit("import time; time.sleep(600)", timeout={"attemptDurationSeconds": 60}, retryStrategy=strategy)
    )
    assert (job["status"], job["statusReason"], len(job["attempts"])) == ("FAILED", words.TIMEOUT, 1)
    assert kind_of(job) is FailureKind.TIMEOUT


@pytest.mark.parametrize(("definition", "queue"), [("plain", "spot"), ("fargate", "fargate")])
def test_a_job_whose_spot_host_goes_is_tried_again(
    calm: Emulator, submit: Any, definition: str, queue: str
) -> None:
    program = "import os, time; time.sleep(600 if os.environ['AWS_BATCH_JOB_ATTEMPT'] == '1' else 0)"
    reasons = ("Host EC2*", "Your Spot Task*")
    rules = [{"onStatusReason": reason, "action": "RETRY"} for reason in reasons]
    name = submit(program, definition, queue, retryStrategy={"attempts": 2, "evaluateOnExit": rules})
    wait_for(lambda: calm.interrupt(name), bool)
    job = calm.ended_job(name)
    assert job["status"] == "SUCCEEDED"
    first = job["attempts"][0]
    as_failed = {
        **job,
        "status": "FAILED",
        "statusReason": first["statusReason"],
        "container": first["container"],
    }
    assert kind_of(as_failed) is FailureKind.SPOT_RECLAIMED


def test_a_terminated_job_says_by_what_reason(calm: Emulator, submit: Any) -> None:
    name = submit("import time; print('on', flush=True); time.sleep(600)")
    running = wait_for(lambda: calm.job(name), lambda job: job["status"] == "RUNNING")
    stream = running["container"]["logStreamName"]
    wait_for(lambda: calm.lines("/aws/batch/job", stream), ["on"].__eq__)  # lines come while it runs
    calm.client("batch").terminate_job(jobId=name, reason="enough")
    job = calm.ended_job(name)
    assert (job["status"], job["statusReason"], job["isTerminated"]) == ("FAILED", "enough", True)
    assert kind_of(job) is FailureKind.CANCELLED


# -- jobs that wait -----------------------------------------------------------------------


def test_a_job_larger_than_its_queue_is_stuck_until_it_is_cancelled(calm: Emulator, submit: Any) -> None:
    for asked, reason in (
        (needs(vcpu="64"), words.TOO_MANY_VCPUS),
        (needs(memory="500000"), words.TOO_LARGE),
        (needs(gpu="1"), words.TOO_LARGE),
    ):
        name = submit("pass", containerOverrides={"resourceRequirements": asked})
        job = wait_for(lambda name=name: calm.job(name), lambda job: "statusReason" in job)
        assert (job["status"], job["statusReason"]) == ("RUNNABLE", reason)
        calm.client("batch").cancel_job(jobId=name, reason=f"too long; {reason}")
        job = calm.ended_job(name)
        assert (job["status"], job["attempts"], job["isCancelled"]) == ("FAILED", [], True)
        assert kind_of(job) is FailureKind.NEVER_STARTED


def test_jobs_wait_for_room_in_their_queue(calm: Emulator, submit: Any) -> None:
    half = {"resourceRequirements": needs(vcpu="8")}
    names = [submit("import time; time.sleep(600)", containerOverrides=half) for _ in range(3)]
    states = wait_for(
        lambda: [calm.job(name)["status"] for name in names], lambda told: told.count("RUNNING") == 2
    )
    assert sorted(states) == ["RUNNABLE", "RUNNING", "RUNNING"]
    for name in names:
        calm.client("batch").terminate_job(jobId=name, reason="seen")
    assert {calm.ended_job(name)["status"] for name in names} == {"FAILED"}


def test_a_stuck_queue_starts_nothing_until_it_is_freed(calm: Emulator, submit: Any) -> None:
    calm.stick("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested")
    name = submit("pass")
    wait_for(lambda: calm.job(name).get("statusReason", ""), lambda reason: reason.startswith("CAPACITY"))
    calm.calm()
    calm.free()
    assert calm.ended_job(name)["status"] == "SUCCEEDED"


# -- many jobs ----------------------------------------------------------------------------


def test_an_array_job_fails_with_one_of_its_children(calm: Emulator, submit: Any) -> None:
    program = "import os, sys; sys.exit(int(os.environ['AWS_BATCH_JOB_ARRAY_INDEX']) == 1)"
    name = submit(program, arrayProperties={"size": 3})
    job = calm.ended_job(name)
    summary = job["arrayProperties"]["statusSummary"]
    assert (job["status"], summary["SUCCEEDED"], summary["FAILED"]) == ("FAILED", 2, 1)
    children = calm.client("batch").list_jobs(arrayJobId=name)["jobSummaryList"]
    told = {child["arrayProperties"]["index"]: child["status"] for child in children}
    assert told == {0: "SUCCEEDED", 1: "FAILED", 2: "SUCCEEDED"}
    assert kind_of(calm.job(f"{name}:1")) is FailureKind.USER_CODE


def test_a_job_waits_for_those_that_it_depends_on(calm: Emulator, submit: Any) -> None:
    first = submit("import sys; sys.exit(1)")
    job = calm.ended_job(submit("pass", dependsOn=[{"jobId": first}]))
    assert (job["status"], job["attempts"]) == ("FAILED", [])
    assert kind_of(job) is FailureKind.CANCELLED


def test_the_nodes_of_a_job_know_each_other(calm: Emulator) -> None:
    program = (
        "import os; print(os.environ['AWS_BATCH_JOB_NODE_INDEX'], os.environ['AWS_BATCH_JOB_NUM_NODES'])"
    )
    container = {
        "image": BARE_IMAGE,
        "command": ["python3", "-c", program],
        "resourceRequirements": needs(vcpu="1", memory="256"),
    }
    batch = calm.client("batch")
    batch.register_job_definition(
        jobDefinitionName="gang",
        type="multinode",
        nodeProperties={
            "numNodes": 2,
            "mainNode": 0,
            "nodeRangeProperties": [{"targetNodes": "0:1", "container": container}],
        },
    )
    name = batch.submit_job(jobName="gang", jobQueue="on-demand", jobDefinition="gang")["jobId"]
    assert calm.ended_job(name)["status"] == "SUCCEEDED"
    main = calm.job(f"{name}#0")
    assert main["nodeDetails"] == {"nodeIndex": 0, "isMainNode": True}
    assert calm.lines("/aws/batch/job", main["container"]["logStreamName"]) == ["0 2"]


# -- asking -------------------------------------------------------------------------------


def test_jobs_are_found_by_name_whatever_their_state(calm: Emulator, submit: Any) -> None:
    calm.ended_job(submit("pass", jobName="Wanted-1"))
    calm.ended_job(submit("pass", jobName="wanted-2"))
    calm.ended_job(submit("pass", jobName="other"))
    batch = calm.client("batch")

    def named(value: str) -> set[str]:
        filters = [{"name": "JOB_NAME", "values": [value]}]
        return {
            job["jobName"] for job in batch.list_jobs(jobQueue="on-demand", filters=filters)["jobSummaryList"]
        }

    assert named("wanted-1") == {"Wanted-1"}
    assert named("wanted*") == {"Wanted-1", "wanted-2"}


def test_a_job_that_was_just_submitted_may_not_be_told_of(calm: Emulator, submit: Any) -> None:
    calm.hide(3600)
    name = submit("pass")
    batch = calm.client("batch")
    assert batch.describe_jobs(jobs=[name])["jobs"] == []
    filters = [{"name": "JOB_NAME", "values": ["job"]}]
    assert name not in {
        job["jobId"] for job in batch.list_jobs(jobQueue="on-demand", filters=filters)["jobSummaryList"]
    }
    calm.hide(0)
    assert calm.ended_job(name)["status"] == "SUCCEEDED"


def test_calls_are_throttled_and_counted(calm: Emulator) -> None:
    calm.requests(clear=True)
    calm.throttle("batch.DescribeJobs", 2)
    batch = calm.client("batch")
    assert batch.describe_jobs(jobs=["nothing"])["jobs"] == []  # botocore tries again by itself
    assert calm.requests()["batch.DescribeJobs"] == 3
    calm.throttle("batch.SubmitJob", 100)
    with pytest.raises(ClientError, match="TooManyRequestsException") as caught:
        batch.submit_job(jobName="job", jobQueue="on-demand", jobDefinition="plain")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


@pytest.mark.parametrize(
    ("definition", "others", "what"),
    [
        (
            "fargate",
            {"containerOverrides": {"resourceRequirements": needs(vcpu="1", memory="512")}},
            "1.00 vCPU, 512",
        ),
        ("plain", {"containerOverrides": {"resourceRequirements": needs(vcpu="1.0")}}, "numeric value"),
        ("plain", {"timeout": {"attemptDurationSeconds": 59}}, "60 seconds"),
        ("plain", {"arrayProperties": {"size": 1}}, "between 2 and 10000"),
        ("plain", {"jobName": "no spaces"}, "valid pattern"),
        ("plain", {"queue": "nowhere"}, "does not exist"),
    ],
)
def test_what_batch_refuses_is_refused(
    submit: Any, definition: str, others: dict[str, Any], what: str
) -> None:
    with pytest.raises(ClientError, match=what):
        submit("pass", definition, **others)


def test_overrides_that_are_too_long_fail_the_job(calm: Emulator, submit: Any) -> None:
    job = calm.ended_job(submit("pass  # " + "x" * 9000))
    assert (job["status"], job["statusReason"]) == ("FAILED", words.OVERRIDES_TOO_LONG)
    assert kind_of(job) is FailureKind.START_FAILED
