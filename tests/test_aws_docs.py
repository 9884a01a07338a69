"""docs/aws.md can be copied: its policies name actions that exist, its inputs are what AWS's models say."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```json (\S+?)(?:: (\w+))?$\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
POLICIES = {name: json.loads(text) for kind, name, text in BLOCKS if kind == "policy"}
INPUTS = [(kind, json.loads(text)) for kind, _, text in BLOCKS if kind != "policy"]
# Rights that are no operation of the same name (Service Authorization Reference).
WITHOUT_OPERATION = {"iam:PassRole", "s3:ListBucket"}


@functools.cache
def model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def actions_of(policy: dict[str, Any]) -> list[str]:
    listed = [statement["Action"] for statement in policy["Statement"]]
    return [action for actions in listed for action in ([actions] if isinstance(actions, str) else actions)]


def test_the_page_has_the_policies_and_inputs() -> None:
    assert set(POLICIES) == {"trust", "job", "execution", "worker", "deployer"}
    assert {kind for kind, _ in INPUTS} == {
        "logs.CreateLogGroup",
        "logs.PutRetentionPolicy",
        "batch.CreateComputeEnvironment",
        "batch.CreateJobQueue",
        "ecs.CreateCluster",
    }
    assert len(BLOCKS) == PAGE.count("```json")


@pytest.mark.parametrize("name", POLICIES)
def test_each_action_of_a_policy_exists(name: str) -> None:
    policy = POLICIES[name]
    assert policy["Version"] == "2012-10-17"
    for action in actions_of(policy):
        service, _, operation = action.partition(":")
        known = model(service).operation_names
        assert action in WITHOUT_OPERATION or operation in known, action
        assert not re.search(r"[*?]", action), (
            f"{action}: name the actions, a pattern allows what comes tomorrow"
        )


@pytest.mark.parametrize("name", POLICIES)
def test_each_statement_is_held_to_something(name: str) -> None:
    whole = {
        "ecr:GetAuthorizationToken",
        "batch:DescribeJobs",
        "batch:ListJobs",
        "batch:DescribeJobDefinitions",
    }
    whole |= {"ecs:RegisterTaskDefinition", "ecs:ListTaskDefinitions", "ecs:DescribeTaskDefinition"}
    for statement in POLICIES[name]["Statement"]:
        free = statement.get("Resource") == "*" and "Condition" not in statement
        assert not free or set(actions_of({"Statement": [statement]})) <= whole, statement


@pytest.mark.parametrize(("kind", "given"), INPUTS, ids=[kind for kind, _ in INPUTS])
def test_each_input_is_what_the_operation_takes(kind: str, given: dict[str, Any]) -> None:
    service, _, operation = kind.partition(".")
    shape = model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(given, shape)
    assert not report.has_errors(), report.generate_report()


def test_inputs_name_each_other_rightly() -> None:
    made = {given["computeEnvironmentName"] for kind, given in INPUTS if kind.endswith("ComputeEnvironment")}
    queues = [given for kind, given in INPUTS if kind.endswith("JobQueue")]
    used = {place["computeEnvironment"] for queue in queues for place in queue["computeEnvironmentOrder"]}
    assert used <= made
    assert {queue["jobQueueName"] for queue in queues} <= set(re.findall(r"`(airloom-[\w-]+)`", PAGE))


def test_the_worker_may_call_what_the_operators_call() -> None:
    """Their own calls; the Amazon provider below them calls SubmitJob, RunTask and GetLogEvents."""
    folders = (ROOT / "provider" / "airloom" / name for name in ("operators", "triggers"))
    sources = [file.read_text(encoding="utf-8") for folder in folders for file in folder.glob("*.py")]
    services = [model(service) for service in ("batch", "ecs", "logs")]
    operations = {
        name: f"{model.service_name}:{name}" for model in services for name in model.operation_names
    }
    called = {
        operations[name]
        for source in sources
        for verb in re.findall(r"\b(?:client|conn)\.([a-z_]+)\(", source)
        if (name := "".join(part.title() for part in verb.split("_"))) in operations
    }
    assert {"batch:DescribeJobs", "batch:TerminateJob"} <= called
    allowed = set(actions_of(POLICIES["worker"]))
    assert called | {"batch:SubmitJob", "ecs:RunTask", "logs:GetLogEvents", "iam:PassRole"} <= allowed


def test_each_claim_names_a_source_that_is_listed() -> None:
    text, _, sources = PAGE.partition("## Sources")
    listed = {int(number) for number in re.findall(r"^(\d+)\. ", sources, re.MULTILINE)}
    named = {int(number) for number in re.findall(r"\[(\d+)\]", text)}
    assert named == listed == set(range(1, len(listed) + 1))
