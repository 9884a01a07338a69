"""One Airflow for all system tests, and one migrated database for those that need no more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airloom import client
from airloom.sandbox import Sandbox


def _python() -> Path:
    pytest.importorskip("airflow", reason="Airflow is not installed")
    return Path(sys.executable)


@pytest.fixture(scope="module", autouse=True)
def everybody() -> Iterator[None]:
    """Let the client show runs of all users: Airflow's user is another than the one who runs the tests."""
    client.namespace(None)
    yield
    client.default_namespace()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A running Airflow; put DAG files of unlike names into its ``dags_folder``."""
    home = tmp_path_factory.mktemp("sandbox")
    with Sandbox(home, datastore_root=str(home / "store"), python=_python()) as running:
        yield running


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A migrated Airflow of which nothing runs: its ``environment`` is for programs with ``dag.test()``."""
    home = tmp_path_factory.mktemp("airflow_home")
    idle = Sandbox(home, datastore_root=str(home / "store"), python=_python())
    idle.migrate()
    return idle
