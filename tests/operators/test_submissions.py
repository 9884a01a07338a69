"""Operators of jobs against an emulated AWS, without an Airflow that runs: what is asked, and who pays.

Only what Airflow gives to a task is made up here: its context. What the jobs would do is never run:
they stay in their queue, or AWS answers with errors.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")

from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from botocore.exceptions import ClientError

from airloom.compiler.planner import compile_flow
from airloom.deploy import save
from airloom.operators.batch import BatchStepOperator
from airloom.operators.execution import Execution
from airloom.operators.jobs import run
from airloom.operators.step import StepOperator
from airloom.plan import Plan
from airloom.runtime.code import import_flow
from airloom.settings import load
from airloom.store.datastore import Datastore, TaskKey
from support.aws.emulator import REGION, Emulator
from support.aws.fixtures import BARE_IMAGE

pytestmark = pytest.mark.aws

WIDTH = 500
WIDE = """
from airloom import FlowSpec, batch, retry, step

class SubmissionsWide(FlowSpec):
    @step
    def start(self):
        self.items = list(range({width}))
        self.next(self.each, foreach="items")

    @retry(times=3)
    @batch(memory=512, host_volumes=["{folder}:{folder}"])
    @step
    def each(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass
"""


class Submitting:
    """A deployed flow whose jobs are submitted from here, and stay in their queue."""

    def __init__(self, aws: Emulator, plan: Plan, datastore: Datastore) -> None:
        self.aws = aws
        self.plan = plan
        self.datastore = datastore
        self._own = threading.local()

    def hook(self) -> Any:
        """One client a thread, as a worker has one a process: making it costs more than what it does."""
        if not hasattr(self._own, "hook"):
            self._own.hook = BatchStepOperator(task_id="hook", flow="", plan="", **self._aws()).hook
        return self._own.hook

    def operator(self, index: int, **more: Any) -> BatchStepOperator:
        told: dict[str, Any] = {"flow": self.plan.flow, "plan": self.plan.digest, "step": "each"}
        told |= {"index": str(index), "job_queue": self.aws.account.queue, "image": BARE_IMAGE}
        return BatchStepOperator(
            task_id="each", retries=13, deferrable=True, **{**told, **self._aws(), **more}
        )

    def submit(self, index: int) -> str:
        """Submit the job of one index; give what is kept of it."""
        operator = self.operator(index)
        operator.hook = self.hook()
        with pytest.raises(TaskDeferred):
            run(operator, _context(operator, index), resumed=False)
        record = self.datastore.job(self.key(index), 0)
        assert record is not None
        return record.id

    def key(self, index: int) -> TaskKey:
        return TaskKey(self.plan.flow, "manual__1", "each", str(index))

    @staticmethod
    def _aws() -> dict[str, Any]:
        return {"aws_conn_id": None, "region_name": REGION}


@pytest.fixture
def submitting(aws: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Submitting]:
    store = tmp_path / "store"
    settings = {
        **aws.environment,
        "AIRLOOM_DATASTORE_ROOT": str(store),
        "AIRLOOM_CONTAINER_PYTHONS": "{}.{}".format(*sys.version_info),
        "AIRLOOM_CONTAINER_MACHINES": os.uname().machine,
        "AIRLOOM_CACHE_DIR": str(tmp_path / "cache"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "submissions_wide.py"
    file.write_text(WIDE.format(width=WIDTH, folder=store))
    compiled = compile_flow(import_flow(file), load())
    datastore = Datastore.open(load())
    save(compiled, datastore)
    start = StepOperator(task_id="start", flow=compiled.plan.flow, plan=compiled.plan.digest, retries=0)
    Execution(start, _context(start, -1)).execute("")
    aws.stick("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - there is no place")
    yield Submitting(aws, compiled.plan, datastore)
    aws.calm()


def _context(operator: Any, map_index: int, try_number: int = 1, max_tries: int | None = None) -> Any:
    """What Airflow gives to a try of a task, as far as an operator reads it."""
    ti = SimpleNamespace(
        id=f"ti-{operator.task_id}-{map_index}",
        task_id=operator.task_id,
        map_index=map_index,
        try_number=try_number,
        max_tries=(operator.retries or 0) if max_tries is None else max_tries,
        xcom_push=lambda **_: None,
    )
    started = dt.datetime(2026, 11, 2, tzinfo=dt.timezone.utc)
    dag_run = SimpleNamespace(
        dag_id="SubmissionsWide",
        run_id="manual__1",
        start_date=started,
        logical_date=started,
        run_type="manual",
        conf={},
        triggering_user_name="somebody",
    )
    return {"ti": ti, "task_instance": ti, "dag_run": dag_run, "task": operator, "params": {}}


def test_a_wide_foreach_asks_once_a_job_and_little_beyond(submitting: Submitting) -> None:
    aws, refused = submitting.aws, 10
    aws.throttle("batch.SubmitJob", refused)
    aws.requests(clear=True)
    with ThreadPoolExecutor(16) as threads:
        jobs = list(threads.map(submitting.submit, range(WIDTH)))
    asked = {verb: count for verb, count in aws.requests().items() if not verb.startswith("s3.")}
    for job in jobs:
        aws.client("batch").terminate_job(jobId=job, reason="the test has ended")
    assert len(set(jobs)) == WIDTH
    assert asked["batch.SubmitJob"] == WIDTH + refused
    assert sum(asked.values()) <= WIDTH + refused + 10, asked


def test_tries_that_end_by_no_failed_attempt_are_paid_as_lost_hosts(submitting: Submitting) -> None:
    aws, operator = submitting.aws, submitting.operator(3, botocore_config={"retries": {"max_attempts": 0}})
    with pytest.raises(TaskDeferred):
        run(operator, _context(operator, 3), resumed=False)
    job = submitting.datastore.job(submitting.key(3), 0)
    assert job is not None
    aws.fail("batch.DescribeJobs", 3, code="ServerException", message="not now", status=500)
    for number in (1, 2):
        with pytest.raises(ClientError, match="not now"):
            run(operator, _context(operator, 3, number), resumed=True)
    with pytest.raises(AirflowFailException, match="all 2 losses are used up"):
        run(operator, _context(operator, 3, 3), resumed=True)
    assert aws.ended_job(job.id)["status"] == "FAILED", "nobody waits for it any more"
    assert submitting.datastore.attempts(submitting.key(3)) == [0], "the user's code has not failed"
