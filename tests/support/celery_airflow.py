"""An Airflow with the CeleryExecutor, PostgreSQL and Redis: what a sandbox is, in the size of a company.

Components and workers are processes of one host; a worker with all that it runs is one session of
processes, so that it can be lost as a host is lost.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from airloom.airflow_api.api import AirflowApi
from airloom.airflow_api.http import ApiError
from airloom.sandbox.configuration import USER, airflow_environment, keep_secrets, write_private
from airloom.sandbox.processes import Process, end, end_all, free_ports, spawn, table, tail

WORKERS = ("worker1", "worker2")
SLOTS = 4  # of each worker
# Some always wait in Redis, so that every slot is filled.
_ON_THE_WAY = 2 * SLOTS * len(WORKERS)
# How long a worker may be silent until its tasks are given up; its tasks speak every second.
SILENCE_S = 20
_COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    # Without --skip-serve-logs each would answer on every address of the host.
    **{
        name: ["celery", "worker", "--skip-serve-logs", "-c", str(SLOTS), "--celery-hostname", f"{name}@%h"]
        for name in WORKERS
    },
}
_START_S = 180.0


class CeleryAirflow:
    """A running Airflow whose tasks go through Redis to two workers.

    Parameters
    ----------
    home
        Folder of its own.
    database
        Address of an empty PostgreSQL database: ``user:password@host:port/name``.
    broker
        Address of a Redis.
    """

    def __init__(self, home: Path, *, database: str, broker: str) -> None:
        self.home, self.store = home / "airflow", home / "store"
        self.dags_folder, self._logs = self.home / "dags", home / "logs"
        for folder in (self.dags_folder, self.home / "plugins", self._logs):
            folder.mkdir(parents=True)
        secret = keep_secrets(home / "secrets.json")
        port, worker_logs, trigger_logs = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        self.api = AirflowApi(self.url, USER, secret.password)
        write_private(self.home / "passwords.json", json.dumps({USER: secret.password}))
        self.environment = airflow_environment(
            self.home,
            Path(sys.executable),
            secret=secret,
            ports=(port, worker_logs, trigger_logs),
            parallelism=_ON_THE_WAY,
            datastore_root=str(self.store),
            extra={
                "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
                "AIRFLOW__CELERY__BROKER_URL": broker,
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
                # They tell other workers and Flower what goes on: nobody here wants to know.
                "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL": "False",
                "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "3600",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(SILENCE_S),
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
                "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
                "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3",
                "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(_ON_THE_WAY),
            },
        )
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Create the tables, start everything, wait until tasks can be scheduled and taken."""
        deadline = time.monotonic() + _START_S
        migration = self._spawn("migrate", ["db", "migrate"])
        try:
            code = migration.wait(_START_S)
        finally:
            end_all([migration.pid], self.home)
            migration.wait()
        if code:
            raise RuntimeError(f"the migration ended with {code}\n{self.log_tail('migrate')}")
        for name, arguments in _COMPONENTS.items():
            self._running[name] = self._spawn(name, arguments)
        while late := self._not_yet():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{late} does not work in time\n{self.log_tail(late)}")
            time.sleep(0.2)

    def _spawn(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "airflow", *arguments]
        return spawn(command, self.environment, self.home, self._logs / f"{name}.log")

    def _not_yet(self) -> str | None:
        for name, program in self._running.items():
            if program.poll() is not None:
                raise RuntimeError(f"{name} ended with {program.returncode}\n{self.log_tail(name)}")
        try:
            health = self.api.health()
        except ApiError:
            return "api-server"
        for name in ("scheduler", "dag-processor"):
            part = name.replace("-", "_")
            beat = health.get(part, {}).get(f"latest_{part}_heartbeat")
            if beat is None or not datetime.fromisoformat(beat):
                return name
        return next((name for name in WORKERS if " ready." not in self.log_tail(name, 1000)), None)

    def worker_of(self, pid: int) -> str | None:
        """Name of the worker to which a living process belongs."""
        process = table().get(pid)
        sessions = {program.pid: name for name, program in self._running.items()}
        name = sessions.get(process.session) if process else None
        return name if name in WORKERS else None

    def lose(self, worker: str) -> None:
        """Kill a worker and everything that it runs at once, as when its host is gone."""
        session = self._running[worker].pid
        while left := self._session(session):
            end(left, signal.SIGKILL)
            time.sleep(0.02)
        self._running.pop(worker).wait()

    @staticmethod
    def _session(leader: int) -> list[Process]:
        return [process for process in table().values() if process.session == leader]

    def log_tail(self, component: str, lines: int = 30) -> str:
        """Last lines that a component has printed."""
        return tail(self._logs / f"{component}.log", lines)

    def stop(self) -> None:
        """End everything at once: nobody needs what it would still write."""
        leaders = [program.pid for program in self._running.values()]
        left = end_all(leaders, self.home, timeout_s=20)
        for program in self._running.values():
            program.wait()
        self._running.clear()
        assert not left


@contextmanager
def celery_airflow(home: Path, *, database: str, broker: str) -> Iterator[CeleryAirflow]:
    """Start a `CeleryAirflow`, and end it."""
    made = CeleryAirflow(home, database=database, broker=broker)
    try:
        made.start()
        yield made
    finally:
        made.stop()
