"""The emulator's ECS behaves as AWS's documentation says; failures.py is asked about each ending."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from airloom.failures import STOPPED_AT_TIMEOUT, FailureKind, of_ecs
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


@pytest.fixture(scope="session")
def families(aws: Emulator) -> dict[str, str]:
    def register(
        family: str, image: str = BARE_IMAGE, *, size: tuple[str, str], group: str, fargate: bool
    ) -> str:
        options = {
            "awslogs-group": group,
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "step",
        }
        container = {
            "name": "main",
            "image": image,
            "command": ["python3", "-c", "print('declared')"],
            "environment": [{"name": "WHO", "value": "definition"}],
            "logConfiguration": {"logDriver": "awslogs", "options": options},
        }
        network = {"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]} if fargate else {}
        made = aws.client("ecs").register_task_definition(
            family=family,
            containerDefinitions=[container],
            cpu=size[0],
            memory=size[1],
            tags=[{"key": "team", "value": "numbers"}],
            **network,
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    group = aws.account.log_group
    small = ("256", "512")
    return {
        "plain": register("plain", size=("256", "256"), group=group, fargate=False),
        "fargate": register("fargate", size=small, group=group, fargate=True),
        "missing": register("missing", "nowhere/at-all:1", size=small, group=group, fargate=True),
        "no-python": register("no-python", NO_PYTHON_IMAGE, size=small, group=group, fargate=True),
        "no-log": register("no-log", size=small, group="/nowhere", fargate=True),
    }


@pytest.fixture
def run(calm: Emulator, families: dict[str, str]) -> Any:
    """Run a task with a program of Python; gives its ARN."""

    def run(program: str, family: str = "fargate", **others: Any) -> str:
        changed = {"name": "main", "command": ["python3", "-c", program], **others.pop("container", {})}
        overrides = {"containerOverrides": [changed], **others.pop("overrides", {})}
        if family != "plain":
            vpc = {"subnets": list(calm.account.subnets), "securityGroups": [calm.account.security_group]}
            others = {"networkConfiguration": {"awsvpcConfiguration": vpc}, **others}
            if "capacityProviderStrategy" not in others:
                others["launchType"] = "FARGATE"
        answer = calm.client("ecs").run_task(
            cluster=calm.account.cluster, taskDefinition=families[family], overrides=overrides, **others
        )
        return str(answer["tasks"][0]["taskArn"])

    return run


def kind_of(task: dict[str, Any]) -> FailureKind:
    failure = of_ecs(task, "main")
    assert failure is not None
    return failure.kind


def test_a_task_runs_with_its_overrides_and_its_log(calm: Emulator, run: Any) -> None:
    program = "import os; print(os.environ['WHO'], os.environ['AWS_EXECUTION_ENV'])"
    container = {"environment": [{"name": "WHO", "value": "override"}]}
    arn = run(program, container=container, propagateTags="TASK_DEFINITION", startedBy="somebody")
    task = calm.ended_task(arn)
    assert of_ecs(task, "main") is None
    assert (task["stopCode"], task["stoppedReason"]) == ("EssentialContainerExited", words.ESSENTIAL_EXITED)
    assert task["tags"] == [{"key": "team", "value": "numbers"}]
    stream = f"step/main/{arn.rpartition('/')[2]}"
    assert calm.lines(calm.account.log_group, stream) == ["override AWS_ECS_FARGATE"]


@pytest.mark.parametrize(
    ("program", "family", "kind"),
    [
        (GREEDY, "plain", FailureKind.OUT_OF_MEMORY),
        ("import sys; sys.exit(3)", "fargate", FailureKind.USER_CODE),
        ("pass", "missing", FailureKind.IMAGE_PULL),
        ("pass", "no-python", FailureKind.START_FAILED),
        ("pass", "no-log", FailureKind.START_FAILED),
    ],
)
def test_each_ending_is_told(calm: Emulator, run: Any, program: str, family: str, kind: FailureKind) -> None:
    assert kind_of(calm.ended_task(run(program, family))) is kind


def test_the_size_of_one_task_is_an_override(calm: Emulator, run: Any) -> None:
    task = calm.ended_task(run(GREEDY, "plain", overrides={"memory": "1024"}))
    assert (of_ecs(task, "main"), task["memory"]) == (None, "1024")


def test_a_reclaimed_and_a_stopped_task_say_so(calm: Emulator, run: Any) -> None:
    waiting = "import time; time.sleep(600)"
    spot = run(waiting, capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT"}])
    wait_for(lambda: calm.interrupt(spot), bool)
    task = calm.ended_task(spot)
    assert (task["stopCode"], task["stoppedReason"]) == ("SpotInterruption", words.SPOT_TASK)
    assert kind_of(task) is FailureKind.SPOT_RECLAIMED
    for reason, kind in (("enough", FailureKind.CANCELLED), (STOPPED_AT_TIMEOUT, FailureKind.TIMEOUT)):
        arn = run(waiting)
        wait_for(lambda arn=arn: calm.task(arn), lambda task: task["lastStatus"] == "RUNNING")
        calm.client("ecs").stop_task(cluster=calm.account.cluster, task=arn, reason=reason)
        task = calm.ended_task(arn)
        assert (task["stopCode"], task["stoppedReason"], kind_of(task)) == ("UserInitiated", reason, kind)


def test_one_client_token_runs_one_task(calm: Emulator, run: Any) -> None:
    asked = {"clientToken": "attempt-1", "startedBy": "attempt-1"}
    first = run("import time; time.sleep(600)", **asked)
    assert run("import time; time.sleep(600)", **asked) == first
    with pytest.raises(ClientError, match="ConflictException"):
        run("pass", **asked)
    ecs = calm.client("ecs")
    found = ecs.list_tasks(cluster=calm.account.cluster, startedBy="attempt-1")["taskArns"]
    assert found == [first]
    ecs.stop_task(cluster=calm.account.cluster, task=first)
    calm.ended_task(first)
    assert ecs.list_tasks(cluster=calm.account.cluster, startedBy="attempt-1")["taskArns"] == []
    stopped = ecs.list_tasks(cluster=calm.account.cluster, startedBy="attempt-1", desiredStatus="STOPPED")
    assert stopped["taskArns"] == [first]


def test_a_task_that_just_began_may_be_missing(calm: Emulator, run: Any) -> None:
    calm.hide(3600)
    arn = run("pass")
    told = calm.client("ecs").describe_tasks(cluster=calm.account.cluster, tasks=[arn])
    assert (told["tasks"], told["failures"][0]["reason"]) == ([], "MISSING")
    calm.hide(0)
    assert of_ecs(calm.ended_task(arn), "main") is None


@pytest.mark.parametrize(
    ("others", "what"),
    [
        ({"overrides": {"cpu": "1024", "memory": "512"}}, "No Fargate configuration"),
        ({"container": {"command": ["x" * 9000]}}, "at most 8192"),
        ({"container": {"name": "another"}}, "not a container"),
    ],
)
def test_what_ecs_refuses_is_refused(run: Any, others: dict[str, Any], what: str) -> None:
    with pytest.raises(ClientError, match=what):
        run("pass", **others)


def test_ecs_is_throttled_in_its_own_words(calm: Emulator) -> None:
    calm.throttle("ecs.ListTasks", 100)
    with pytest.raises(ClientError, match="ThrottlingException") as caught:
        calm.client("ecs").list_tasks(cluster=calm.account.cluster)
    assert caught.value.response["Error"]["Message"] == "Rate exceeded"
