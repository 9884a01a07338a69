"""An Airflow whose @batch and @ecs steps run on an emulated AWS, with the store in its S3."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airloom.airflow_api.api import DagRun
from airloom.client import Run
from airloom.compiler.planner import compile_flow
from airloom.deploy import deploy
from airloom.runtime.code import import_flow
from airloom.sandbox import Sandbox
from airloom.settings import load
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import BeginRecord, FailedRecord, JobRecord
from support.aws.emulator import Emulator

_TEMPLATE = """\
{%% extends "airloom/dag.py.j2" %%}
{%% block default_args %%}
        "poll_interval": 1,
        "deferrable": %s,
{%% endblock %%}
"""


@dataclass(frozen=True)
class Attempt:
    """What the store says about one attempt."""

    number: int
    begin: BeginRecord
    failed: FailedRecord | None
    job: JobRecord | None

    @property
    def memory_mib(self) -> int | None:
        return None if self.begin.size is None else self.begin.size.memory_mib


@dataclass
class Cloud:
    """An Airflow and the AWS that it sends jobs to."""

    airflow: Sandbox
    aws: Emulator
    folder: Path
    image: str
    datastore: Datastore

    def deploy(self, name: str, source: str | Path, *options: str, deferrable: bool = True) -> None:
        """Deploy a flow: the text of one, or a file with options of the command line."""
        templates = self.folder / ("deferrable" if deferrable else "waiting")
        templates.mkdir(exist_ok=True)
        (templates / "dag.py.j2").write_text(_TEMPLATE % deferrable)
        if isinstance(source, str):
            file = self.folder / f"{name}.py"
            file.write_text(source)
            deploy(
                compile_flow(import_flow(file), load()), load(), self.airflow.dags_folder, templates=templates
            )
            return
        command = [sys.executable, str(source), *options, "deploy", "--template-dir", str(templates)]
        command += ["--dags-folder", str(self.airflow.dags_folder)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.airflow.environment, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, name: str, **conf: Any) -> str:
        """Trigger a deployed flow; give the run's id."""
        self.airflow.api.wait_for_dag(name)
        return self.airflow.api.trigger(name, conf)

    def end(self, name: str, run: str, timeout_s: float = 400) -> DagRun:
        """Wait for the end of a run."""
        return self.airflow.api.wait_for_run(name, run, timeout_s)

    def run(self, name: str, run: str) -> Run:
        return Run(f"{name}/{run}", datastore=self.datastore, _namespace_check=False)

    def attempts(self, name: str, run: str, step: str, task: str = "0") -> list[Attempt]:
        key = TaskKey(name, run, step, task)
        store = self.datastore
        return [
            Attempt(number, store.begin(key, number), store.failed(key, number), store.job(key, number))
            for number in store.attempts(key)
        ]

    def is_watched(self, name: str, run: str) -> bool:
        """Whether the triggerer has begun to wait for a task of a run: its log tells it."""
        logs = self.airflow.airflow_home / "task_logs" / f"dag_id={name}" / f"run_id={run}"
        return any("starting" in file.read_text() for file in logs.rglob("*.trigger.*.log"))

    def log(self, name: str, run: str, task: str, try_number: int = 1, *, map_index: int = -1) -> str:
        return self.airflow.api.task_log(name, run, task, try_number, map_index=map_index)


@contextmanager
def running_cloud(
    aws: Emulator, folder: Path, image: str, *, more: Mapping[str, str] | None = None
) -> Iterator[Cloud]:
    """Start an Airflow beside an emulator; the store is a bucket of the emulator's S3."""
    pytest.importorskip("airflow", reason="Airflow is not installed")
    settings = {
        "AIRLOOM_DATASTORE_ROOT": f"s3://{aws.account.bucket}/{folder.name}",
        "AIRLOOM_STORE_ENDPOINT": aws.url,
        "AIRLOOM_STORE_REGION": "us-east-1",
        "AIRLOOM_CONTAINER_PYTHONS": "{}.{}".format(*sys.version_info),
        "AIRLOOM_CONTAINER_MACHINES": os.uname().machine,
        "AIRLOOM_BATCH_QUEUE": aws.account.queue,
        "AIRLOOM_BATCH_IMAGE": image,
        "AIRLOOM_BATCH_JOB_ROLE": aws.account.job_role,
        "AIRLOOM_ECS_CLUSTER": aws.account.cluster,
        "AIRLOOM_ECS_IMAGE": image,
        "AIRLOOM_ECS_TASK_ROLE": aws.account.job_role,
        "AIRLOOM_ECS_EXECUTION_ROLE": aws.account.execution_role,
        "AIRLOOM_ECS_SUBNETS": ",".join(aws.account.subnets),
        "AIRLOOM_ECS_SECURITY_GROUPS": aws.account.security_group,
        "AIRLOOM_ECS_LOG_GROUP": aws.account.log_group,
    }
    environment = {
        **aws.environment,
        **settings,
        "AIRFLOW_CONN_AWS_DEFAULT": aws.connection,
        "AIRFLOW__CORE__MAX_MAP_LENGTH": "4",  # a foreach over more is grouped into ranges
        # A busy machine may be late with its heartbeats; a new triggerer takes over after this long.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "180",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
        **(more or {}),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**aws.environment, **settings}.items():
            patch.setenv(name, value)
        root = settings["AIRLOOM_DATASTORE_ROOT"]
        home = folder / "airflow"
        with Sandbox(
            home, datastore_root=root, environment=environment, triggerer=True, parallelism=4
        ) as airflow:
            yield Cloud(airflow, aws, folder, image, Datastore.open(load()))
