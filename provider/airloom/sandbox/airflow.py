"""One Airflow below one folder: its database, its components, their start and end.

::

    <home>/
        secrets.json            login, keys; its owner's only
        lock, processes.json    see record.py
        logs/<component>.log    what each program printed
        airflow/                AIRFLOW_HOME: airflow.db, dags/, plugins/, task_logs/
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

from airloom.airflow_api.api import AirflowApi
from airloom.airflow_api.http import ApiError
from airloom.errors import DeployError, InternalError
from airloom.sandbox.configuration import (
    USER,
    airflow_environment,
    keep_secrets,
    server_environment,
    write_private,
)
from airloom.sandbox.database import give_up_schedulers, migrate
from airloom.sandbox.processes import end_all, free_ports, spawn, tail
from airloom.sandbox.record import Record

logger = logging.getLogger(__name__)

_GRACE_S = 10.0
_SERVER_GRACE_S = 1.0  # with all requests answered it takes 2 s more to end, for nothing
_POLL_S = 0.1


class Sandbox:
    """An Airflow of one's own: SQLite, LocalExecutor, 127.0.0.1, free ports, all below one folder.

    Parameters
    ----------
    home
        The folder; a second start in it goes on with the same database and login, on other ports.
    datastore_root
        Setting ``[airloom] datastore_root`` of all its processes.
    parallelism
        How many tasks run at once: 1 or more.
    python
        Interpreter in which Airflow is installed; this one when None.
    environment
        Variables of its processes that win over all others. Of this process's own variables
        they inherit all but Airflow's.
    triggerer
        Whether to start a triggerer, which only deferrable operators need.

    Notes
    -----
    ``airflow standalone`` is not used: it always starts the triggerer, and the log servers,
    which answer on every address of the host (Airflow 3.3.2, cli/commands/standalone_command.py).
    """

    def __init__(
        self,
        home: Path,
        *,
        datastore_root: str,
        parallelism: int = 4,
        python: Path | None = None,
        environment: Mapping[str, str] | None = None,
        triggerer: bool = False,
    ) -> None:
        self.home = home.absolute()
        self.airflow_home = self.home / "airflow"
        self._database = self.airflow_home / "airflow.db"
        self.dags_folder = self.airflow_home / "dags"
        self.plugins_folder = self.airflow_home / "plugins"
        self.logs_folder = self.home / "logs"
        self.user = USER
        # Not resolved: the link in a virtual environment is what makes it one.
        self._python = (python or Path(sys.executable)).absolute()
        self._datastore_root = datastore_root
        self._parallelism = parallelism
        self._extra = dict(environment or {})
        self._components = {
            "api-server": ["api-server"],
            "scheduler": ["scheduler", "--skip-serve-logs"],
            "dag-processor": ["dag-processor"],
            **({"triggerer": ["triggerer", "--skip-serve-logs"]} if triggerer else {}),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._former_handler: object = None
        # Folders first: a plugins folder made after a component's start is not on its path.
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.airflow_home, self.dags_folder, self.plugins_folder, self.logs_folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._record = Record(self.home)
        self._secrets = keep_secrets(self.home / "secrets.json")
        self.password = self._secrets.password
        self._choose_ports()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout_s: float = 120.0) -> None:
        """Bring the database up to date, start all components, wait until they work.

        What an earlier sandbox of this folder has left running is ended first.

        Raises
        ------
        DeployError
            When Airflow is not installed, a component ends or does not work within
            ``timeout_s`` (with the last lines of its log), or the folder is in use.
        """
        if self._running:
            return
        began = time.monotonic()
        self._record.acquire()
        try:
            self._end_leftovers()
            self.migrate(timeout_s)
            give_up_schedulers(self._database)
            self._choose_ports()
            self._guard()
            since = datetime.now(timezone.utc)
            for name, arguments in self._components.items():
                self._running[name] = spawn(
                    [str(self._python), "-m", "airflow", *arguments],
                    self._environment_of(name),
                    self.airflow_home,
                    self._log(name, fresh=True),
                )
            self._record.write([program.pid for program in self._running.values()])
            self._wait(since, began + timeout_s)
        except BaseException:
            self.stop(grace_s=0)
            raise
        logger.info("started an Airflow at %s in %.1f s", self.url, time.monotonic() - began)

    def _environment_of(self, component: str) -> dict[str, str]:
        if component == "api-server":
            return server_environment(self.airflow_home, self.environment)
        return self.environment

    def migrate(self, timeout_s: float = 120.0) -> None:
        """Bring the database up to date without starting anything; enough for ``dag.test()``.

        Raises
        ------
        DeployError
            When Airflow is not installed in the interpreter, or its migration fails.
        """
        migrate(
            self._python,
            self.environment,
            database=self._database,
            log=self._log("migrate", fresh=True),
            timeout_s=timeout_s,
        )

    def stop(self, *, grace_s: float = _GRACE_S) -> None:
        """End all processes; with nothing running it does nothing.

        Parameters
        ----------
        grace_s
            How long running tasks may go on, in seconds. The scheduler waits for them; then it,
            they and all that they started are killed.

        Raises
        ------
        DeployError
            When another living process has started them.
        InternalError
            When a process cannot be ended.
        """
        self._record.acquire()
        try:
            # The API server last: tasks that end report to it.
            server = self._running.get("api-server")
            workers = [program for program in self._running.values() if program is not server]
            if grace_s > 0:
                _terminate(workers, grace_s)
                _terminate([server] if server else [], min(grace_s, _SERVER_GRACE_S))
            self._end_leftovers()
        finally:
            self._record.release()
            self._unguard()

    def restart(self, component: str) -> None:
        """Kill one component at once, as a crash would, and start it anew; what it had started lives on."""
        self._running[component].kill()
        self._running[component].wait()
        self._running[component] = spawn(
            [str(self._python), "-m", "airflow", *self._components[component]],
            self._environment_of(component),
            self.airflow_home,
            self._log(component, fresh=True),
        )
        self._record.write([program.pid for program in self._running.values()])

    def detach(self) -> None:
        """Leave it running when this process ends; ``Sandbox(home, ...).stop()`` ends it later."""
        for program in self._running.values():
            program.returncode = 0  # or Python warns of a process that nobody waits for
        self._running.clear()
        self._record.release()
        self._unguard()

    @property
    def running(self) -> bool:
        """Whether all components that were started live."""
        return bool(self._running) and all(program.poll() is None for program in self._running.values())

    def log_tail(self, component: str, lines: int = 20) -> str:
        """Last lines that a component has printed."""
        return tail(self._log(component), lines)

    def _choose_ports(self) -> None:
        port, worker_logs, trigger_logs = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        self.api = AirflowApi(self.url, self.user, self.password, request_timeout_s=120.0)
        self.environment = airflow_environment(
            self.airflow_home,
            self._python,
            secret=self._secrets,
            ports=(port, worker_logs, trigger_logs),
            parallelism=self._parallelism,
            datastore_root=self._datastore_root,
            extra=self._extra,
        )
        passwords = self.airflow_home / "passwords.json"
        if not passwords.exists():
            write_private(passwords, json.dumps({self.user: self.password}))

    def _wait(self, since: datetime, deadline: float) -> None:
        quick = AirflowApi(self.url, self.user, self.password, request_timeout_s=5.0)
        while True:
            for name, program in self._running.items():
                if program.poll() is not None:
                    self._fail(name, f"Airflow's {name} ended with {program.returncode}")
            late = self._not_yet(quick, since)
            if late is None:
                return
            if time.monotonic() > deadline:
                self._fail(late, f"Airflow's {late} does not work in time")
            time.sleep(_POLL_S)

    def _not_yet(self, api: AirflowApi, since: datetime) -> str | None:
        try:
            health = api.health()
        except ApiError:
            return "api-server"
        for name in self._components:
            part = name.replace("-", "_")
            # A database that was used before has heartbeats of components long ended.
            beat = health.get(part, {}).get(f"latest_{part}_heartbeat")
            if part != "api_server" and (beat is None or datetime.fromisoformat(beat) < since):
                return name
        return None

    def _fail(self, component: str, what: str) -> NoReturn:
        raise DeployError(
            f"{what}\n{self.log_tail(component)}",
            where=str(self._log(component)),
            mend="mend what the log says, then start again.",
        )

    def _end_leftovers(self) -> None:
        leaders = {*self._record.read(), *(program.pid for program in self._running.values())}
        left = end_all(leaders, self.airflow_home)
        for program in self._running.values():
            program.wait()
        self._running.clear()
        if left:
            raise InternalError(
                f"processes {[process.pid for process in left]} do not end",
                where=str(self.home),
                mend="end them by hand.",
            )
        self._record.forget()

    def _log(self, component: str, *, fresh: bool = False) -> Path:
        log = self.logs_folder / f"{component}.log"
        if fresh and log.exists():
            log.replace(log.with_suffix(".log.1"))
        return log

    def _guard(self) -> None:
        atexit.register(self.stop)
        # By default SIGTERM ends Python without atexit; a handler of the program's own is its business.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            self._former_handler = signal.signal(signal.SIGTERM, _exit)

    def _unguard(self) -> None:
        atexit.unregister(self.stop)
        if self._former_handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._former_handler = None


def _terminate(programs: list[subprocess.Popen[bytes]], grace_s: float) -> None:
    for program in programs:
        program.terminate()
    deadline = time.monotonic() + grace_s
    for program in programs:
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(max(0.0, deadline - time.monotonic()))


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
