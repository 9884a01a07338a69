"""A task in a container: an interpreter without any package gets Airloom from the store, checked."""

from __future__ import annotations

import configparser
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from airloom.client import Task
from airloom.failures import EXIT_CODES, FailureKind
from airloom.runtime.carried import carried_in, container_command, ensure, modules
from airloom.runtime.command import Command, text_of
from airloom.runtime.container import NEEDED, lacking, tag
from airloom.runtime.task import TaskRequest
from airloom.settings import Settings
from airloom.store.datastore import Datastore

ROOT = Path(__file__).parents[2]
CODES = {kind: code for code, kind in EXIT_CODES.items()}
# An image with nothing but Python: the standard library, no site-packages.
BARE = [sys.executable, "-S", "-E"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Datastore:
    """A store with a flow, a run of it, and the runtime for this very Python."""
    folder = tmp_path_factory.mktemp("container")
    flow = ROOT / "tests" / "flows" / "good" / "linear.py"
    settings = Settings(
        datastore_root=str(folder / "store"),
        container_pythons="{}.{}".format(*sys.version_info),
        container_machines=os.uname().machine,
    )
    command = [sys.executable, str(flow), "--datastore-root", settings.datastore_root, "run"]
    subprocess.run(command, capture_output=True, check=True)
    found = Datastore.open(settings)
    ensure(found, settings)
    return found


def command_of(store: Datastore, *requests: TaskRequest) -> list[str]:
    (flow,) = store.flows()
    run = store.latest_run(flow)
    assert run is not None
    text = text_of(Command(flow, store.run(flow, run).plan, requests or (request_of(store),)))
    command = container_command(carried_in(store, Settings()), store.root, text)
    assert command[0] == "python3"
    return command


def request_of(store: Datastore, step: str = "start") -> TaskRequest:
    (flow,) = store.flows()
    return TaskRequest(str(store.latest_run(flow)), step, "0", generation=1)


def run(
    store: Datastore, command: list[str], cache: Path, *, before: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.defpath,
        "AIRLOOM_DATASTORE_ROOT": store.root,
        "AIRLOOM_CACHE_DIR": str(cache),
    }
    line = [*BARE, command[1], before + command[2], command[3]]
    return subprocess.run(line, capture_output=True, text=True, env=environment, check=False)


def test_a_python_without_packages_runs_tasks_and_the_client_reads_them(
    store: Datastore, tmp_path: Path
) -> None:
    (flow,) = store.flows()
    begun = store.runs(flow)
    before = len(Task(f"{flow}/{next(iter(begun))}/start/0", datastore=store).attempts)
    ended = run(store, command_of(store), tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    task = Task(f"{flow}/{store.latest_run(flow)}/start/0", datastore=store)
    assert len(task.attempts) == before + 1
    assert task.successful


def test_nothing_of_a_runtime_with_other_bytes_is_run(store: Datastore, tmp_path: Path) -> None:
    command = command_of(store)
    told = json.loads(command[3])
    copy = tmp_path / "store"
    (copy / "runtimes").mkdir(parents=True)
    (copy / "runtimes" / f"{told['runtime']}.zip").write_bytes(b"print('pwned')")
    command[3] = json.dumps({**told, "root": str(copy)})
    ended = run(store, command, tmp_path / "cache")
    assert ended.returncode == CODES[FailureKind.START_FAILED]
    assert "has other bytes than were saved" in ended.stderr
    assert "pwned" not in ended.stdout


def test_a_python_that_is_too_old_is_told_before_anything_is_fetched(
    store: Datastore, tmp_path: Path
) -> None:
    old = "import sys;sys.version_info=(3,8,1,'final',0);"
    ended = run(store, command_of(store), tmp_path, before=old)
    assert ended.returncode == CODES[FailureKind.VERSION_SKEW]
    assert "the image has Python 3.8, and 3.10 is the oldest" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_an_image_for_which_there_are_no_packages_is_told_what_to_do(
    store: Datastore, tmp_path: Path
) -> None:
    command = command_of(store)
    told = json.loads(command[3])
    command[3] = json.dumps({**told, "wheels": {"cp39-mips": "0" * 64}})
    ended = run(store, command, tmp_path)
    assert ended.returncode == CODES[FailureKind.VERSION_SKEW]
    assert f"for its {tag()} the store has none of them (it has cp39-mips)" in ended.stderr


def test_a_store_that_is_not_mounted_is_told(store: Datastore, tmp_path: Path) -> None:
    command = command_of(store)
    command[3] = json.dumps({**json.loads(command[3]), "root": str(tmp_path / "elsewhere")})
    ended = run(store, command, tmp_path / "cache")
    assert ended.returncode == CODES[FailureKind.START_FAILED]
    assert "is the store's folder mounted into the container?" in ended.stderr


def test_an_image_that_has_all_packages_fetches_none() -> None:
    assert lacking() == []


def test_the_command_fits_into_what_ecs_takes(store: Datastore) -> None:
    command = command_of(store)
    told = json.loads(command[3])
    told["wheels"] = {
        f"cp31{minor}-{machine}": "0" * 64 for minor in range(4) for machine in ("x86_64", "aarch64")
    }
    command[3] = json.dumps(told)
    assert len(json.dumps(command)) < 5000, "8,192 for all overrides together, variables and sizes too"


def test_what_is_needed_is_what_the_package_requires() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for line in setup["options"]["install_requires"].strip().splitlines():
        wanted = Requirement(line)
        elsewhere = ("apache-airflow", "click", "jinja2", "rich")
        if not wanted.name.startswith(elsewhere):
            assert str(wanted.specifier) == f">={NEEDED[wanted.name]}"


def test_nothing_that_imports_airflow_travels() -> None:
    with zipfile.ZipFile(io.BytesIO(modules()[0])) as files:
        texts = {name: files.read(name).decode() for name in files.namelist()}
    assert "airloom/runtime/container.py" in texts
    found = [name for name, text in texts.items() if re.search(r"^\s*(from|import) airflow\b", text, re.M)]
    assert not found


def test_what_is_needed_needs_nothing_else() -> None:
    for name in NEEDED:
        for line in metadata.requires(name) or ():
            needed = Requirement(line)
            if needed.marker is None or "extra" not in str(needed.marker):
                assert needed.name.lower() in NEEDED, f"{name} needs {needed.name}"
