"""Steps as jobs of AWS Batch and ECS in a real Airflow; the emulated AWS runs them as processes."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.triggers.base import BaseTrigger

from airloom.sandbox import TaskInstance
from airloom.store.datastore import TaskKey
from support.aws.emulator import Emulator, wait_for
from support.aws.fixtures import BARE_IMAGE
from support.job_flows import FLOWS, HAND, STUCK, WAITING, source
from support.jobs import Cloud, running_cloud

# An Airflow and an AWS of its own: another worker runs these beside the tests that share one Airflow.
pytestmark = pytest.mark.system

FLOWS_FOLDER = Path(__file__).parents[1] / "flows" / "good"
AS_JOBS = {"RoundsFlow": "rounds.py", "SwitchInForeachFlow": "switch_in_foreach.py"}
"""Flows all of whose steps are made jobs."""


@pytest.fixture(scope="module")
def cloud(aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(aws, tmp_path_factory.mktemp("jobs"), BARE_IMAGE) as running:
        yield running


class Runs(dict[str, str]):
    """Runs of all flows that need no steering: they are started at once, and run side by side."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        waiting = ("JobsPlaces", "JobsImage", "JobsWaitBatch", "JobsWaitEcs")
        for name, body in {**FLOWS, **WAITING, "JobsStuck": STUCK}.items():
            cloud.deploy(name, source(name, body), deferrable=name not in waiting)
        for file in AS_JOBS.values():
            cloud.deploy("", FLOWS_FOLDER / file, "--with", "batch:memory=256", deferrable=False)
        (cloud.airflow.dags_folder / "jobs_by_hand.py").write_text(HAND)
        alone = [name for name, body in FLOWS.items() if "required=True" not in body]
        super().__init__({name: cloud.start(name) for name in (*alone, *AS_JOBS, "jobs_by_hand")})

    def ended(self) -> None:
        """Wait until none of them runs."""
        for name, run in self.items():
            self._cloud.end(name, run)


@pytest.fixture(scope="module")
def runs(cloud: Cloud) -> Runs:
    return Runs(cloud)


def test_worker_batch_and_ecs_steps_of_one_run_see_the_same_artifacts(cloud: Cloud, runs: Runs) -> None:
    name, run = "JobsPlaces", runs["JobsPlaces"]
    assert cloud.end(name, run).state == "success"
    found = cloud.run(name, run)
    assert found["join"].task.data.squares == [4, 9]
    assert found["end"].task.data.total == 13
    (first,) = cloud.attempts(name, run, "each", "0")
    assert first.job is not None
    job = cloud.aws.job(first.job.id)
    needs = {one["type"]: one["value"] for one in job["container"]["resourceRequirements"]}
    assert needs == {"VCPU": "1", "MEMORY": "768"}
    assert job["tags"]["team"] == "birds"
    assert job["tags"]["airloom:step"] == "each"
    secrets = {one["name"] for one in job["container"]["environment"]}
    assert not secrets & {"AIRLOOM_DATASTORE_CONNECTION", "AIRFLOW_CONN_AWS_DEFAULT"}
    last = cloud.attempts(name, run, "end")[0]
    assert last.job is not None
    task = cloud.aws.task(last.job.id)
    assert (task["cpu"], task["memory"]) == ("512", "1024")
    assert "square of 2" in found["each"].task.stdout
    assert "square of 2" in cloud.log(name, run, "each", map_index=0)
    assert "the total is 13" in cloud.log(name, run, "end")


def test_functions_of_a_dag_by_hand_run_as_jobs(cloud: Cloud, runs: Runs) -> None:
    name, run = "jobs_by_hand", runs["jobs_by_hand"]
    assert cloud.end(name, run).state == "success"
    found = cloud.run(name, run)
    assert found["fit"].task.data.return_value.total == 36
    assert [task.data.return_value for task in found["each"]] == [36, 72]
    assert found["add"].task["total"].data == 108
    assert found["add"].task["pi"].data == math.pi
    assert cloud.log(name, run, "fit").count("fitting three") == 1, "the triggerer has told it"
    assert "has told" in cloud.log(name, run, "fit")
    assert "the total is 108" in cloud.log(name, run, "show")
    (fit,) = cloud.attempts(name, run, "fit")
    assert fit.job is not None
    assert fit.begin.call is not None
    assert cloud.aws.job(fit.job.id)["tags"]["airloom:step"] == "fit"
    done = cloud.datastore.done(TaskKey(name, run, "fit", "0"), fit.number)
    assert done.parents == (f"{name}/{run}/load/0@0",)
    grown = {task: [one.memory_mib for one in cloud.attempts(name, run, "each", task)] for task in "01"}
    assert grown == {"0": [256], "1": [256, 512]}
    (last,) = cloud.attempts(name, run, "add")
    assert last.job is not None
    assert cloud.aws.task(last.job.id)["lastStatus"] == "STOPPED"


def test_memory_grows_only_after_an_attempt_ran_out_of_it(cloud: Cloud, runs: Runs) -> None:
    name, run = "JobsGrow", runs["JobsGrow"]
    assert cloud.end(name, run).state == "success"
    attempts = cloud.attempts(name, run, "start")
    assert [one.memory_mib for one in attempts] == [256, 512, 1024]
    kinds = [None if one.failed is None else one.failed.failure for one in attempts]
    assert kinds == ["out_of_memory", "out_of_memory", None]
    assert [one.begin.retry_count for one in attempts] == [0, 0, 0]
    assert cloud.run(name, run)["start"].task.data.retry_count == 0
    last = _start(cloud, name, run).try_number
    assert "the next attempt gets 1024 MiB (2 of 4 growths)" in cloud.log(name, run, "start", last)
    again = cloud.start(name)
    assert cloud.end(name, again).state == "success"
    assert [one.memory_mib for one in cloud.attempts(name, again, "start")] == [1024]


def test_failures_of_the_users_code_have_the_budget_and_the_catch_of_the_user(
    cloud: Cloud, runs: Runs
) -> None:
    name, run = "JobsUser", runs["JobsUser"]
    assert cloud.end(name, run).state == "success"
    first, second = cloud.attempts(name, run, "start")
    assert first.failed is not None
    assert (first.failed.failure, first.failed.error.message) == ("user_code", "not yet")
    assert second.failed is None
    found = cloud.run(name, run)
    assert found["start"].task.data.seen == 1
    problem, late, killed = found["end"].task.data.told
    assert "KeyError" in problem
    assert "StepTimedOut" in late
    assert "out of memory at 256 MiB, the most that it may have" in killed
    (slow,) = cloud.attempts(name, run, "slow")
    assert slow.failed is None


def test_a_range_of_a_wide_foreach_is_one_job_and_a_retry_has_only_what_is_missing(
    cloud: Cloud, runs: Runs
) -> None:
    name, run = "JobsRange", runs["JobsRange"]
    assert cloud.end(name, run).state == "success"
    assert cloud.run(name, run)["join"].task.data.squares == [0, 1, 4, 9, 16, 25]
    attempts = {index: cloud.attempts(name, run, "each", str(index)) for index in range(6)}
    assert {index: len(found) for index, found in attempts.items()} == {0: 1, 1: 2, 2: 1, 3: 1, 4: 1, 5: 1}
    jobs = {one.job.id for found in attempts.values() for one in found if one.job is not None}
    assert len(jobs) == 4, "3 ranges of 2, and one retry"
    assert [one.begin.origin["try_number"] for one in attempts[1]] == [1, 2], "Airflow says when"


def test_an_image_that_does_not_exist_is_pulled_once(cloud: Cloud, runs: Runs) -> None:
    name, run = "JobsImage", runs["JobsImage"]
    assert cloud.end(name, run).state == "failed"
    (attempt,) = cloud.attempts(name, run, "start")
    assert attempt.failed is not None
    assert attempt.failed.failure == "image_pull"
    assert "CannotPullContainerError" in cloud.log(name, run, "start")


def test_an_image_without_python_is_told(cloud: Cloud, runs: Runs) -> None:
    name, run = "JobsNoPython", runs["JobsNoPython"]
    assert cloud.end(name, run).state == "failed"
    (attempt,) = cloud.attempts(name, run, "start")
    assert attempt.failed is not None
    assert attempt.failed.failure == "start_failed"
    assert "check that the image has python3" in cloud.log(name, run, "start")


def test_after_a_reclaimed_spot_instance_the_job_goes_to_the_other_queue(
    cloud: Cloud, runs: Runs, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run = cloud.start("JobsSpot", gate=str(gate))
    (first,) = wait_for(lambda: _with_jobs(cloud, "JobsSpot", run, 1), bool, 120)
    wait_for(lambda: cloud.aws.job(first), lambda job: job["status"] == "RUNNING", 60)
    assert cloud.aws.job(first)["jobQueue"].endswith("/spot")
    assert cloud.aws.interrupt(first)
    _, second = wait_for(lambda: _with_jobs(cloud, "JobsSpot", run, 2), bool, 120)
    gate.touch()
    assert cloud.end("JobsSpot", run).state == "success"
    assert cloud.aws.job(second)["jobQueue"].endswith("/on-demand")
    attempt, _ = cloud.attempts("JobsSpot", run, "start")
    assert attempt.failed is not None
    assert attempt.failed.failure == "spot_reclaimed"


def _with_jobs(cloud: Cloud, name: str, run: str, count: int) -> list[str]:
    """Ids of a step's jobs, as soon as there are so many."""
    found = [one.job.id for one in cloud.attempts(name, run, "start") if one.job is not None]
    return found if len(found) == count else []


def test_killed_workers_triggerer_and_scheduler_start_no_second_job(
    cloud: Cloud, runs: Runs, tmp_path: Path
) -> None:
    runs.ended()
    gates = {name: tmp_path / name for name in WAITING}
    started = {name: cloud.start(name, gate=str(gate)) for name, gate in gates.items()}
    ran = {name: tmp_path / f"{name}.ran" for name in WAITING}
    wait_for(lambda: [file.exists() for file in ran.values()], all, 120)
    for name, run in started.items():
        state = "deferred" if "Defer" in name else "running"
        wait_for(lambda name=name, run=run: _start(cloud, name, run).state, state.__eq__, 120)
        if state == "deferred":
            wait_for(lambda name=name, run=run: cloud.is_watched(name, run), bool, 120)
    for name in ("JobsWaitBatch", "JobsWaitEcs"):
        pid = _start(cloud, name, started[name]).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    for name in ("JobsWaitBatch", "JobsWaitEcs"):
        again = wait_for(lambda name=name: _start(cloud, name, started[name]), _runs_again, 120)
        assert again.state == "running"
    cloud.airflow.restart("triggerer")
    cloud.airflow.restart("scheduler")
    for gate in gates.values():
        gate.touch()
    assert {name: cloud.end(name, run).state for name, run in started.items()} == dict.fromkeys(
        WAITING, "success"
    )
    assert {name: file.read_text() for name, file in ran.items()} == dict.fromkeys(WAITING, "start\n")
    for name, run in started.items():
        (attempt,) = cloud.attempts(name, run, "start")
        assert attempt.job is not None


def test_a_cleared_task_submits_anew(cloud: Cloud, runs: Runs) -> None:
    name, run = "JobsPlaces", runs["JobsPlaces"]
    assert cloud.end(name, run).state == "success"
    before = len(cloud.attempts(name, run, "end"))
    cloud.airflow.api.clear(name, run, ["end"])
    wait_for(lambda: len(cloud.attempts(name, run, "end")), (before + 1).__eq__, 120)
    assert cloud.end(name, run).state == "success"
    jobs = {attempt.job.id for attempt in cloud.attempts(name, run, "end") if attempt.job is not None}
    assert len(jobs) == before + 1


def test_a_task_that_is_marked_failed_ends_its_job(cloud: Cloud, runs: Runs, tmp_path: Path) -> None:
    states = {"JobsWaitBatch": "running", "JobsDeferEcs": "deferred"}
    started = {name: cloud.start(name, gate=str(tmp_path / name)) for name in states}
    for name, run in started.items():
        (job,) = wait_for(lambda name=name, run=run: _with_jobs(cloud, name, run, 1), bool, 120)
        state = states[name]
        wait_for(lambda name=name, run=run: _start(cloud, name, run).state, state.__eq__, 120)
        if state == "deferred":  # before the triggerer has begun nobody would be told
            wait_for(lambda name=name, run=run: cloud.is_watched(name, run), bool, 120)
        cloud.airflow.api.set_task_state(name, run, "start", "failed")
        assert cloud.end(name, run).state == "failed"
        if state == "running":
            assert "Airflow ended the task" in cloud.aws.ended_job(job)["statusReason"]
        elif hasattr(BaseTrigger, "on_kill"):
            assert "Airflow ended the task" in cloud.aws.ended_task(job)["stoppedReason"]


def test_a_job_that_finds_no_place_ends_with_the_queues_reason(cloud: Cloud, runs: Runs) -> None:
    runs.ended()
    cloud.aws.stick("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - the queue has no such instance")
    try:
        run = cloud.start("JobsStuck")
        assert cloud.end("JobsStuck", run).state == "failed"
    finally:
        cloud.aws.calm()
        cloud.aws.free()
    (attempt,) = cloud.attempts("JobsStuck", run, "start")
    assert attempt.failed is not None
    assert attempt.failed.failure == "never_started"
    assert "the queue has no such instance" in attempt.failed.error.message


def test_loops_and_switches_run_as_jobs(cloud: Cloud, runs: Runs) -> None:
    ended = {name: cloud.end(name, runs[name]).state for name in AS_JOBS}
    assert ended == dict.fromkeys(AS_JOBS, "success")
    rounds = cloud.attempts("RoundsFlow", runs["RoundsFlow"], "double")
    assert [one.begin.iteration for one in rounds] == [0, 1, 2]
    assert len({one.job.id for one in rounds if one.job is not None}) == 3


def _runs_again(ti: TaskInstance) -> bool:
    return ti.try_number == 2 and ti.state == "running"


def _start(cloud: Cloud, name: str, run: str) -> TaskInstance:
    return next(ti for ti in cloud.airflow.api.task_instances(name, run) if ti.task_id == "start")
