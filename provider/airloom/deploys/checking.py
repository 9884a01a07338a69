"""A DAG file is loaded by Airflow before it is deployed: in a process of its own, without a database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from airloom.errors import DeployError
from airloom.plan import Plan

_LIMIT_S = 300


def check_dag(plan: Plan, text: str, name: str) -> int:
    """Have Airflow load the DAG file of a plan; gives the number of its tasks.

    Parameters
    ----------
    text
        The file's text.
    name
        The file's name.

    Notes
    -----
    Modules that templates import are looked for where this process looks: ``PYTHONPATH``.

    Raises
    ------
    DeployError
        With all that Airflow would show as an import error; when a DAG or task is not that of the
        plan; or when Airflow is not installed.
    """
    if find_spec("airflow") is None:
        raise DeployError(
            "Airflow is not installed where the DAG file is to be checked",
            where=sys.executable,
            mend="check in an environment that has the Airflow that it is deployed to.",
        )
    with tempfile.TemporaryDirectory(prefix="airloom-check-") as folder:
        file = Path(folder, "dags", name)
        file.parent.mkdir()
        file.write_text(text, encoding="utf-8")
        found = _loaded(file, Path(folder))
    errors = [str(error).replace(f"{folder}/dags/", "") for error in found["errors"]]
    if not errors:
        errors = list(unlike(plan, found["dags"]))
    if errors:
        raise DeployError(
            "Airflow cannot load the DAG file:\n" + "\n".join(errors),
            where=name,
            mend="mend the templates, or what they import; nothing was written.",
        )
    return len(found["dags"][plan.dag_id])


def _loaded(file: Path, home: Path) -> dict[str, dict[str, list[str]]]:
    foreign = ("AIRFLOW", "_AIRFLOW")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(file.parent),
        # A database that cannot be: whoever asked for it would fail.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/none/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    command = [sys.executable, "-m", "airloom.operators.loading", str(file)]
    ended = subprocess.run(
        command,
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    try:
        found: dict[str, dict[str, list[str]]] = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise DeployError(
            f"the check of the DAG file ended with {ended.returncode}:\n{ended.stderr.strip()[-3000:]}",
            where=str(file.name),
            mend="see whether this Airflow works: `airflow version`.",
        ) from None
    return found


def unlike(plan: Plan, dags: dict[str, list[str]]) -> list[str]:
    """Say what of the DAGs that Airflow found, with their tasks, is not as the plan wants it."""
    if list(dags) != [plan.dag_id]:
        return [f"its DAGs are {', '.join(dags) or 'none'}, and {plan.dag_id} is wanted"]
    missing = sorted({step.name for step in plan.steps} - set(dags[plan.dag_id]))
    return [f"it has no task for the steps {', '.join(missing)}"] if missing else []
