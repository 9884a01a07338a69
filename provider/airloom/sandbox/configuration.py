"""Environment and secrets of a sandbox: the whole of its Airflow's configuration."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

USER = "admin"
# Read from airflow.cfg or the host's Airflow they would make the sandbox part of another one.
_FOREIGN = ("AIRFLOW_", "_AIRFLOW", "AIRLOOM_DATASTORE_ROOT", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once a sandbox, so that a restart reads what it encrypted and signed before."""

    password: str
    fernet_key: str
    jwt_secret: str
    api_secret_key: str


def keep_secrets(file: Path) -> Secrets:
    """Read the secrets of a sandbox, or make them; the file is its owner's only."""
    if file.exists():
        return Secrets(**json.loads(file.read_text()))
    made = Secrets(
        password=secrets.token_urlsafe(12),
        fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        jwt_secret=secrets.token_urlsafe(48),
        api_secret_key=secrets.token_urlsafe(32),
    )
    write_private(file, json.dumps(asdict(made)))
    return made


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner reads, at no moment another."""
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)


_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def server_environment(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Environment of the API server, which must not wait long for the lock of the database.

    Notes
    -----
    Airflow 3.3.2 writes its audit log inside of the server's event loop
    (airflow/api_fastapi/logging/decorators.py, an ``async def`` with a blocking commit). When a
    task's request holds SQLite's lock then, it cannot end before that wait does: the whole server
    stands still for as long as the timeout is, and tasks that cannot report are given up.
    """
    if environment[_DATABASE] != _database(home, timeout_s=60):
        return dict(environment)
    return {**environment, _DATABASE: _database(home, timeout_s=1)}


def _database(home: Path, *, timeout_s: int) -> str:
    return f"sqlite:///{home / 'airflow.db'}?timeout={timeout_s}"


def airflow_environment(
    home: Path,
    python: Path,
    *,
    secret: Secrets,
    ports: tuple[int, int, int],
    parallelism: int,
    datastore_root: str,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """Environment of all programs of a sandbox.

    Parameters
    ----------
    ports
        Of the API server; then two on which nobody listens, for Airflow's log servers: they bind
        every address of the host, so they are not started, and reading the log of a
        running task must not reach the log server of another Airflow on this host.
    extra
        Wins over everything else.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    port, worker_logs, trigger_logs = ports
    url = f"http://127.0.0.1:{port}"
    ours = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(parallelism),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # A deploy soon after another one would keep its old DAG version for this long, 30 s by default.
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",  # no name server is asked
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__CORE__FERNET_KEY": secret.fernet_key,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        # Writers wait for each other: on a busy machine longer than the 5 s of sqlite3.
        _DATABASE: _database(home, timeout_s=60),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secret.api_secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": secret.jwt_secret,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "task_logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
            home / "task_logs" / "dag_processor"
        ),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",  # it would bind every address
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # After a kill -9 of a worker its task is given up: 300 s by default.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        # A finished task keeps its slot for up to one interval, 5 s by default.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # The API server stands still while it makes its routes for the first task: on a busy machine
        # for longer than the 5 s that a task waits by default.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # A task whose process is gone goes on for this long, 60 s by default, while something
        # that it started holds its output open.
        "AIRFLOW__WORKERS__SOCKET_CLEANUP_TIMEOUT": "5",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        # New and changed files are parsed at once all the same; the others cost 0.3 s of CPU each time.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL": "error",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__AIRLOOM__DATASTORE_ROOT": datastore_root,
        "PATH": os.pathsep.join([str(python.parent), inherited.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }
    for name in ("NO_PROXY", "no_proxy"):  # tasks talk to the API server
        ours[name] = ",".join(filter(None, [inherited.get(name), "127.0.0.1", "localhost"]))
    return {**inherited, **ours, **extra}
