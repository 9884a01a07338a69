"""The database of a sandbox: brought up to date, and told the truth after a hard end."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path

from airloom.errors import DeployError
from airloom.sandbox.processes import end_all, spawn, tail

_VERSION = "from importlib.metadata import version; print(version('apache-airflow-core'))"


def airflow_version(python: Path, environment: Mapping[str, str]) -> str:
    """Version of the Airflow that an interpreter has.

    Raises
    ------
    DeployError
        When it has none.
    """
    said = ""
    try:
        asked = subprocess.run(
            [python, "-c", _VERSION], env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        said = str(error)
    else:
        if asked.returncode == 0:
            return asked.stdout.strip()
        said = "".join(asked.stderr.strip().splitlines()[-1:])
    raise DeployError(
        f"Airflow is not installed for this interpreter: {said}",
        where=str(python),
        mend="install apache-airflow there.",
    )


def migrate(
    python: Path,
    environment: Mapping[str, str],
    *,
    database: Path,
    log: Path,
    timeout_s: float,
) -> None:
    """Create the tables that the installed Airflow needs, unless this version has done so here before.

    Raises
    ------
    DeployError
        When Airflow is not installed, or the migration fails or takes too long.
    """
    version, mark = airflow_version(python, environment), database.with_name("migrated.txt")
    if database.exists() and mark.exists() and mark.read_text() == version:
        return
    program = spawn([str(python), "-m", "airflow", "db", "migrate"], environment, database.parent, log)
    try:
        code = program.wait(timeout_s)
    except subprocess.TimeoutExpired:
        code = -signal.SIGKILL
    finally:
        end_all([program.pid], database.parent)
        program.wait()
    if code != 0:
        raise DeployError(
            f"the migration of Airflow's database ended with {code}\n{tail(log)}",
            where=str(log),
            mend="mend what the log says, then start again.",
        )
    with contextlib.closing(sqlite3.connect(database)) as connection:
        # Several processes write at once; with a rollback journal they lock each other out.
        connection.execute("PRAGMA journal_mode=WAL")
    mark.write_text(version)


def give_up_schedulers(database: Path) -> None:
    """Say that no scheduler of this database lives.

    After a hard end its row says running. The next scheduler would believe it for 30 s, and look
    only every 300 s; until then no task that ran there is tried again, nor its run ends.
    """
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE job SET state = 'failed' WHERE job_type = 'SchedulerJob' AND state = 'running'"
        )
