"""The operators of jobs and their trigger, without an Airflow that runs: what AWS is asked, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")

from airflow.sdk import DAG
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from airloom.errors import SettingsError
from airloom.failures import FailureKind
from airloom.operators.batch import BatchStepOperator
from airloom.operators.definitions import batch_definition, ecs_definition, refusal
from airloom.operators.ecs import EcsStepOperator
from airloom.plan import BatchPlan, EcsPlan, Resources, StepPlan, Tmpfs, Transition, Volume
from airloom.runtime.places import batch_step, ecs_step, unsaid
from airloom.settings import Settings
from airloom.sizing.catalogue import Size
from airloom.triggers.jobs import BatchJobEnd, JobEnd, _Pace

pytestmark = pytest.mark.airflow

STEP = StepPlan("fit", Transition("end"), target="batch", resources=Resources(cpu=2.0, memory_mib=1024))


def test_the_dag_file_comes_before_the_flow_and_the_flow_before_the_settings() -> None:
    settings = Settings(batch_queue="s", batch_image="s", batch_job_role="s")
    step = batch_step(
        StepPlan("fit", Transition("end"), batch=BatchPlan(image="flow", queue="flow")),
        {"queue": "dag", "image": None},
        {"memory_mib": 64},
        settings,
    )
    assert step.batch is not None
    assert (step.batch.queue, step.batch.image, step.batch.job_role) == ("dag", "flow", "s")
    assert step.resources.memory_mib == 64


def test_a_missing_queue_is_told_with_argument_and_setting() -> None:
    with pytest.raises(SettingsError, match="which queue the step 'fit'") as caught:
        batch_step(STEP, {}, {}, Settings())
    assert "@batch(queue=...), or set batch_queue (AIRLOOM_BATCH_QUEUE)" in str(caught.value)


def test_a_step_on_fargate_needs_an_execution_role() -> None:
    with pytest.raises(SettingsError, match="which execution role the step 'fit'"):
        batch_step(STEP, {"queue": "q", "image": "i", "platform": "FARGATE"}, {}, Settings())
    with pytest.raises(SettingsError, match=r"or set ecs_execution_role \(AIRLOOM_ECS_EXECUTION_ROLE\)"):
        ecs_step(STEP, {"image": "i"}, {}, Settings())
    other = replace(STEP, target="ecs", batch=None, ecs=EcsPlan(image="i", log_driver="splunk"))
    assert ecs_step(other, {}, {}, Settings()).ecs is not None


def test_what_nobody_says_is_named_by_its_settings() -> None:
    on_batch = replace(STEP, batch=BatchPlan(queue="q"))
    assert unsaid(on_batch, Settings()) == ["batch_image"]
    assert unsaid(on_batch, Settings(batch_image="i")) == []
    assert unsaid(on_batch, Settings(batch_image="i", batch_platform="FARGATE")) == ["batch_execution_role"]
    on_ecs = replace(STEP, target="ecs", ecs=EcsPlan(image="i"))
    assert unsaid(on_ecs, Settings()) == ["ecs_execution_role"]
    assert unsaid(on_ecs, Settings(ecs_launch_type="EC2")) == []
    assert unsaid(StepPlan("here", Transition("end")), Settings()) == []


def test_a_definition_on_fargate_has_what_fargate_needs() -> None:
    said = BatchPlan(platform="FARGATE", image="i", execution_role="e", ephemeral_storage_gib=50)
    step = StepPlan("fit", Transition("end"), target="batch", batch=said)
    made = batch_definition(step, Size(1, 2048))
    assert made["platformCapabilities"] == ["FARGATE"]
    assert made["containerProperties"]["ephemeralStorage"] == {"sizeInGiB": 50}
    assert made["containerProperties"]["executionRoleArn"] == "e"
    assert "linuxParameters" not in made["containerProperties"]


def test_a_definition_on_ec2_has_memory_file_systems_and_volumes() -> None:
    said = BatchPlan(
        platform="EC2",
        image="i",
        tmpfs=Tmpfs("/fast"),
        host_volumes=(Volume("/data", "/in"),),
        efs_volumes=(Volume("fs-1", "/shared"),),
        inferentia=1,
    )
    step = StepPlan("fit", Transition("end"), target="batch", batch=said)
    made = batch_definition(step, Size(1, 2048, shared_memory_mib=64))["containerProperties"]
    assert made["linuxParameters"] == {
        "sharedMemorySize": 64,
        "tmpfs": [{"containerPath": "/fast", "size": 1024}],
        "devices": [{"hostPath": "/dev/neuron0", "containerPath": "/dev/neuron0"}],
    }
    assert [one["containerPath"] for one in made["mountPoints"]] == ["/in", "/shared"]
    assert made["volumes"][0]["host"] == {"sourcePath": "/data"}
    assert made["volumes"][1]["efsVolumeConfiguration"]["fileSystemId"] == "fs-1"


def test_a_task_definition_names_the_container_and_its_log() -> None:
    said = EcsPlan(image="i", execution_role="e")
    step = ecs_step(StepPlan("fit", Transition("end"), ecs=said), {}, {}, Settings())
    made = ecs_definition(step, Size(1, 2048), "/a/group", "eu-west-1")
    (container,) = made["containerDefinitions"]
    assert made["requiresCompatibilities"] == ["FARGATE"]
    assert container["logConfiguration"]["options"]["awslogs-group"] == "/a/group"


@pytest.mark.parametrize(
    ("code", "again"), [("AccessDeniedException", False), ("TooManyRequestsException", True)]
)
def test_what_a_refused_request_means(code: str, again: bool) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "no"}}, "SubmitJob")
    found = refusal(RuntimeError(error))  # as the provider wraps it
    assert found is not None
    assert (found.kind, found.again, found.reason) == (FailureKind.START_FAILED, again, f"{code}: no")


def test_missing_credentials_are_no_reason_to_try_again() -> None:
    found = refusal(NoCredentialsError())
    assert found is not None
    assert not found.again


def test_of_a_broken_connection_nobody_knows_what_it_started() -> None:
    assert refusal(EndpointConnectionError(endpoint_url="https://batch")) is None


@pytest.mark.parametrize("operator", [BatchStepOperator, EcsStepOperator])
def test_sizes_show_in_airflow_and_the_operators_can_be_mapped(operator: type[Any]) -> None:
    assert {"cpu", "memory_mib", "image", "plan"} <= set(operator.template_fields)
    with DAG("d", schedule=None, default_args={"flow": "F", "plan": "b3:0", "poll_interval": 3}):
        one = operator(task_id="one", cpu=2, memory_mib=1024)
        operator.partial(task_id="many", memory_mib=1024).expand(index=["0", "1"])
    assert (one.cpu, one.memory_mib, one.plan, one.poll_interval) == (2, 1024, "b3:0", 3)


class Counted(JobEnd):
    """A trigger whose service is this class: it counts what it is asked."""

    asked: ClassVar[list[list[str]]] = []

    def ask(self, jobs: list[str]) -> dict[str, Mapping[str, Any]]:
        self.asked.append(jobs)
        over = len(self.asked) > 3
        return {job: {"status": "SUCCEEDED" if over else "RUNNING"} for job in jobs}

    def state(self, described: Mapping[str, Any]) -> str:
        return "over" if described["status"] == "SUCCEEDED" else "running"

    def started(self, described: Mapping[str, Any]) -> float | None:
        return None


def test_triggers_of_one_place_ask_together() -> None:
    async def wait_for_all() -> list[Any]:
        triggers = [Counted(job=f"job-{number}", poll_interval=0.05) for number in range(150)]
        return await asyncio.gather(*[_first(trigger) for trigger in triggers])

    events = asyncio.run(wait_for_all())
    assert sorted(event.payload["job"] for event in events) == sorted(f"job-{n}" for n in range(150))
    assert all(len(jobs) <= 100 for jobs in Counted.asked)
    assert len(Counted.asked) < 30, "150 jobs, looked at several times"


class Missing(Exception):
    """CloudWatch knows no such stream yet."""


class Logs:
    """CloudWatch with one stream, whose pages come one a request; the first request comes too early."""

    class exceptions:
        ResourceNotFoundException = Missing

    def __init__(self, *pages: list[str], denied: bool = False) -> None:
        self.pages, self.denied, self.requests = [*pages], denied, 0

    def get_log_events(self, *, nextToken: str = "", **where: Any) -> dict[str, Any]:
        assert where == {"logGroupName": "group", "logStreamName": "stream", "startFromHead": True}
        self.requests += 1
        if self.denied:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetLogEvents")
        if self.requests == 1:
            raise Missing
        place = int(nextToken or 0)
        if place == len(self.pages):
            return {"events": [], "nextForwardToken": nextToken}
        return {
            "events": [{"message": line} for line in self.pages[place]],
            "nextForwardToken": str(place + 1),
        }


class Telling(Counted):
    """A trigger whose job prints into `Logs`."""

    asked: ClassVar[list[list[str]]] = []
    logs: ClassVar[Logs]

    def stream(self, described: Mapping[str, Any]) -> tuple[str, str] | None:
        return "group", "stream"

    def _logs(self) -> Any:
        return self.logs


@pytest.mark.parametrize("pace", [1e9, 1e-9])
def test_what_a_job_prints_is_told_once_and_to_its_end(
    pace: float, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Telling.asked.clear()
    Telling.logs = Logs(["a", "b"], [], ["c"], ["d"])
    monkeypatch.setattr(Telling, "_pace", _Pace(pace))
    with caplog.at_level("INFO", logger="airloom.triggers.jobs"):
        event = asyncio.run(_first(Telling(job="j", poll_interval=0.01)))
    told = [record.getMessage() for record in caplog.records]
    assert told == ["a", "b", "c", "d"]
    assert event.payload == {"job": "j", "told": 4}


def test_a_log_that_may_not_be_read_does_not_keep_a_job_from_its_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Telling.asked.clear()
    Telling.logs = Logs(["a"], denied=True)
    monkeypatch.setattr(Telling, "_pace", _Pace(1e9))
    event = asyncio.run(_first(Telling(job="j", poll_interval=0.01)))
    assert event.payload == {"job": "j", "told": 0}
    assert "cannot read the log of job j" in caplog.text
    assert Telling.logs.requests == 1, "it is not asked again"


async def _first(trigger: JobEnd) -> Any:
    async for event in trigger.run():
        return event
    return None


def test_a_trigger_is_made_again_from_what_it_is_serialized_to() -> None:
    trigger = BatchJobEnd(job="j", start_by=5.0, poll_interval=2, region_name="eu-west-1")
    path, arguments = trigger.serialize()
    assert path == "airloom.triggers.jobs.BatchJobEnd"
    assert BatchJobEnd(**arguments).serialize() == (path, arguments)


def test_a_job_that_waits_too_long_is_due() -> None:
    late, patient = BatchJobEnd(job="j", start_by=0.0), BatchJobEnd(job="j")
    assert late._is_due({"status": "RUNNABLE"})
    assert not patient._is_due({"status": "RUNNABLE"})
    assert patient._is_due({"status": "FAILED"})
    assert BatchJobEnd(job="j", end_by_s=1)._is_due({"status": "RUNNING", "startedAt": 1})
