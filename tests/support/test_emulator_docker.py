"""The emulator's jobs as containers: what the kernel and the engine do by themselves, told in AWS's words."""

from __future__ import annotations

from typing import Any

import pytest

from airloom.failures import FailureKind, of_batch, of_ecs
from support.aws import words
from support.aws.emulator import Emulator, wait_for

pytestmark = [pytest.mark.docker]
GREEDY = "held = bytearray(400 << 20)\nfor place in range(0, len(held), 4096): held[place] = 1"


@pytest.fixture(scope="module")
def submit(aws_docker: Emulator, python_image: str) -> Any:
    batch = aws_docker.client("batch")

    def submit(command: list[str], image: str = python_image, **others: Any) -> str:
        container = {
            "image": image,
            "command": command,
            "resourceRequirements": [{"type": "VCPU", "value": "8"}, {"type": "MEMORY", "value": "256"}],
        }
        made = batch.register_job_definition(
            jobDefinitionName="container", type="container", containerProperties=container
        )
        asked = {
            "jobName": "job",
            "jobQueue": "on-demand",
            "jobDefinition": made["jobDefinitionArn"],
            **others,
        }
        return str(batch.submit_job(**asked)["jobId"])

    return submit


@pytest.mark.parametrize(
    ("command", "image", "kind", "begin"),
    [
        (["python3", "-c", GREEDY], None, FailureKind.OUT_OF_MEMORY, words.OUT_OF_MEMORY),
        (["python3", "-c", "raise SystemExit(3)"], None, FailureKind.USER_CODE, ""),
        (["no-such-program"], None, FailureKind.START_FAILED, "CannotStartContainerError"),
        (["python3"], "nowhere/at-all:1", FailureKind.IMAGE_PULL, "CannotPullContainerError"),
    ],
)
def test_each_ending_of_a_container_is_told(
    aws_docker: Emulator, submit: Any, command: list[str], image: str | None, kind: FailureKind, begin: str
) -> None:
    job = aws_docker.ended_job(submit(command, image) if image else submit(command))
    failure = of_batch(job)
    assert failure is not None
    assert failure.kind is kind, failure.reason
    assert job["container"].get("reason", "").startswith(begin)


def test_a_container_reaches_the_emulator_and_its_lines_come_while_it_runs(
    aws_docker: Emulator, submit: Any
) -> None:
    program = (
        "import os, time, urllib.request as u; "
        "print(u.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/emulator/requests').status, flush=True); "
        "time.sleep(600)"
    )
    name = submit(["python3", "-c", program])
    job = wait_for(lambda: aws_docker.job(name), lambda job: job["status"] == "RUNNING")
    stream = job["container"]["logStreamName"]
    wait_for(lambda: aws_docker.lines("/aws/batch/job", stream), ["200"].__eq__)
    aws_docker.client("batch").terminate_job(jobId=name, reason="seen")
    assert aws_docker.ended_job(name)["statusReason"] == "seen"


def test_a_container_on_spot_is_killed_and_tried_again(aws_docker: Emulator, submit: Any) -> None:
    program = "import os, time; time.sleep(600 if os.environ['AWS_BATCH_JOB_ATTEMPT'] == '1' else 0)"
    name = submit(["python3", "-c", program], jobQueue="spot", retryStrategy={"attempts": 2})
    wait_for(lambda: aws_docker.interrupt(name), bool)
    job = aws_docker.ended_job(name)
    assert (job["status"], len(job["attempts"])) == ("SUCCEEDED", 2)


def test_a_task_of_ecs_is_a_container(aws_docker: Emulator, python_image: str) -> None:
    ecs = aws_docker.client("ecs")
    container = {"name": "main", "image": python_image, "command": ["python3", "-c", GREEDY]}
    ecs.register_task_definition(family="greedy", containerDefinitions=[container], cpu="256", memory="256")
    kinds = {}
    for memory in ("256", "1024"):
        answer = ecs.run_task(
            cluster=aws_docker.account.cluster, taskDefinition="greedy", overrides={"memory": memory}
        )
        failure = of_ecs(aws_docker.ended_task(answer["tasks"][0]["taskArn"]), "main")
        kinds[memory] = failure and failure.kind
    assert kinds == {"256": FailureKind.OUT_OF_MEMORY, "1024": None}
