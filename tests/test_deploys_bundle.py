"""Versions on this machine: whole or not there, changed files get a new time, old ones go; Airflow's side."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from airloom import settings
from airloom.compiler.dagfile import render
from airloom.compiler.planner import Compiled, compile_flow
from airloom.deploys.checking import check_dag, unlike
from airloom.deploys.checkouts import check_out, is_whole, prune, touch
from airloom.errors import CorruptBlob, DeployError, NotFound
from airloom.runtime.code import import_flow
from airloom.store.deployments import DeployedFile, Deployments, Version
from airloom.store.local import LocalObjects
from support.stores import Server, only


def a_file(name: str) -> DeployedFile:
    return DeployedFile(f"{name}.py", name, name, "module", "b3:" + "0" * 64, "")


@pytest.fixture
def store(tmp_path: Path) -> Deployments:
    return Deployments(LocalObjects(tmp_path / "store"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "versions"


def put(store: Deployments, name: str, text: str) -> str:
    store.deploy(a_file(name), text.encode())
    record = store.newest()
    assert record is not None
    return record.version


def test_a_version_is_there_as_a_whole_or_not_at_all(store: Deployments, folder: Path) -> None:
    put(store, "one", "text of one")
    version = put(store, "two", "text of two")
    assert check_out(store, folder) == version
    assert {path.name for path in (folder / version).glob("*.py")} == {"one.py", "two.py"}
    assert (folder / version / "two.py").read_text() == "text of two"
    assert {path.name for path in folder.iterdir()} == {version}
    # What Airflow, or a crash, has left a part of is made anew.
    (folder / version / "two.py").unlink()
    assert not is_whole(folder / version)
    assert check_out(store, folder, version) == version
    assert is_whole(folder / version)
    assert {path.name for path in folder.iterdir()} == {version}


def test_a_version_that_is_here_needs_no_store(store: Deployments, folder: Path, tmp_path: Path) -> None:
    version = put(store, "one", "text")
    check_out(store, folder)
    shutil.rmtree(tmp_path / "store")
    assert check_out(store, folder, version) == version
    with pytest.raises(NotFound, match="has no version"):
        check_out(store, folder, "0" * 64)
    assert check_out(store, folder) == Version().id
    assert list((folder / Version().id).glob("*.py")) == []


def test_a_text_that_was_changed_in_the_store_is_refused(
    store: Deployments, folder: Path, tmp_path: Path
) -> None:
    put(store, "one", "harmless")
    (blob,) = [path for path in (tmp_path / "store" / "blobs").rglob("*") if path.is_file()]
    blob.chmod(0o644)
    blob.write_text("harmful!")
    with pytest.raises(CorruptBlob):
        check_out(store, folder)
    assert list(folder.iterdir() if folder.exists() else ()) == []


def test_only_files_that_changed_look_changed(store: Deployments, folder: Path) -> None:
    put(store, "same", "text")
    first = put(store, "other", "before")
    check_out(store, folder)
    for path in (folder / first).glob("*.py"):
        os.utime(path, (1000, 1000))
    second = put(store, "other", "after")
    check_out(store, folder, before=first)
    times = {path.name: path.stat().st_mtime for path in (folder / second).glob("*.py")}
    assert times["same.py"] == 1000
    assert times["other.py"] > 1000
    # Back again: the folder is there, and its file counts as changed all the same.
    os.utime(folder / first / "other.py", (1000, 1000))
    store.roll_back(next(record for record in store.history() if record.number == 2))
    assert check_out(store, folder, before=second) == first
    assert (folder / first / "other.py").stat().st_mtime > 1000
    assert (folder / first / "same.py").stat().st_mtime == 1000
    assert (folder / first / "other.py").read_text() == "before"


def test_old_versions_go_and_those_in_use_stay(store: Deployments, folder: Path) -> None:
    versions = [put(store, "one", f"text {number}") for number in range(6)]
    now = time.time()
    for number, version in enumerate(versions):
        check_out(store, folder, version)
        os.utime(folder / version, (now - 1000 + number,) * 2)
    (folder / ".making-x").mkdir()
    os.utime(folder / ".making-x", (0, 0))
    touch(folder / versions[1])
    gone = prune(folder, {versions[0]}, 1, 500)
    # The first is kept, the second was asked for just now, and one of the others stays.
    assert sorted(gone) == sorted(versions[2:])
    assert {path.name for path in folder.iterdir()} == {versions[0], versions[1]}
    assert prune(folder, set(), 0, 5000) == []


# -- Airflow's side --------------------------------------------------------------------------

BUNDLE = """
import json, os, sys
from airloom.bundles import AirloomDagBundle
from airloom.errors import AirloomError
found = []
for version in sys.argv[1:]:
    kwargs = json.loads(os.environ.get("BUNDLE_KWARGS", "{}"))
    bundle = AirloomDagBundle(name="airloom", version=version or None, refresh_interval=1, **kwargs)
    assert bundle.supports_versioning
    try:
        bundle.initialize()
    except AirloomError as error:
        found.append(f"{type(error).__name__}: {error}")
        continue
    now = bundle.get_current_version()
    texts = {path.name: path.read_text() for path in bundle.path.glob("*.py")}
    found.append([getattr(now, "version", now), texts])
print(json.dumps([found, sorted({"obstore", "boto3"} & set(sys.modules))]))
"""


def bundles(home: Path, root: str, *versions: str, **variables: str) -> list[Any]:
    """What bundles of these versions show in a process of Airflow's; the empty text is the newest."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__AIRLOOM__DATASTORE_ROOT": root,
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        **variables,
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", BUNDLE, *versions]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "secret-of-the-test" not in ended.stdout + ended.stderr
    found, clients = json.loads(ended.stdout.splitlines()[-1])
    assert clients == [], "a process that forks has loaded the client of a cloud"
    shown: list[Any] = found
    return shown


@pytest.mark.airflow
def test_the_bundle_shows_the_newest_and_older_versions(store: Deployments, tmp_path: Path) -> None:
    pytest.importorskip("airflow", reason="Airflow is not installed")
    home, root = tmp_path / "home", str(tmp_path / "store")
    first = put(store, "one", "before")
    assert bundles(home, root, "") == [[first, {"one.py": "before"}]]
    second = put(store, "one", "after")
    kwargs = json.dumps({"datastore_root": root})
    newest, older, nothing = bundles(home, "", "", first, "0" * 64, BUNDLE_KWARGS=kwargs)
    assert newest == [second, {"one.py": "after"}]
    assert older == [first, {"one.py": "before"}]
    assert nothing.startswith("NotFound: the store has no version")
    assert (home / "bundles" / "airloom" / "current").resolve().name == second


@pytest.mark.airflow
@pytest.mark.store
def test_a_bucket_is_read_in_a_process_of_its_own(s3_server: Server, tmp_path: Path) -> None:
    pytest.importorskip("airflow", reason="Airflow is not installed")
    url = s3_server.bucket()
    cloud = only(s3_server, AIRLOOM_STORE_ENDPOINT=s3_server.url)
    version = deployed_by_another(url, cloud)
    home = tmp_path / "home"
    assert bundles(home, url, "", **cloud) == [[version, {"one.py": "text"}]]
    silent = {**cloud, "AIRLOOM_STORE_RETRIES": "0", "AIRLOOM_STORE_DEADLINE_S": "5"}
    silent["AIRLOOM_STORE_ENDPOINT"] = silent["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    # The store does not answer: what was there before is served on.
    served, older = bundles(home, url, "", "0" * 64, **silent)
    assert served == [version, {"one.py": "text"}]
    assert "the deployed DAG files cannot be read" in older


def deployed_by_another(url: str, cloud: Mapping[str, str]) -> str:
    program = f"""
from airloom import settings
from airloom.store.deployments import DeployedFile, Deployments
store = Deployments.open(settings.load({{"datastore_root": {url!r}}}))
file = DeployedFile("one.py", "one", "one", "module", "b3:" + "0" * 64, "")
print(store.deploy(file, b"text").version)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=dict(cloud), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


# -- the static check ------------------------------------------------------------------------


@pytest.fixture
def compiled(alone: Callable[..., Path], clean_imports: None) -> Compiled:
    return compile_flow(import_flow(alone("foreach_join.py")), settings.load())


@pytest.mark.airflow
def test_airflow_loads_a_dag_file_without_a_database(
    compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("airflow", reason="Airflow is not installed")
    plan, text = compiled.plan, render(compiled.plan)
    team = Path(__file__).parents[1] / "examples" / "08_team_templates"
    monkeypatch.setenv("PYTHONPATH", str(team))
    of_team = render(plan, templates=team)
    assert "team_alerts" in of_team
    assert check_dag(plan, of_team, "x.py") == len(plan.steps)
    with pytest.raises(DeployError, match="No module named 'team_callbacks'"):
        check_dag(plan, f"import team_callbacks\n{text}", "x.py")
    wrong = text.replace('type="integer"', 'type="nothing"')
    assert wrong != text
    with pytest.raises(DeployError, match="has no JSON Schema"):
        check_dag(plan, wrong, "x.py")
    with pytest.raises(DeployError, match="Cycle"):
        check_dag(plan, text.replace(" >> end\n", " >> end\n    end >> start\n"), "x.py")


def test_dags_and_tasks_must_be_those_of_the_plan(compiled: Compiled) -> None:
    names = [step.name for step in compiled.plan.steps]
    assert unlike(compiled.plan, {"ForeachFlow": [*names, "exit_hook"]}) == []
    assert unlike(compiled.plan, {"Other": names}) == ["its DAGs are Other, and ForeachFlow is wanted"]
    assert unlike(compiled.plan, {"ForeachFlow": names[1:]}) == ["it has no task for the steps start"]


@pytest.mark.airflow
def test_an_airflow_that_is_too_old_is_told_which_one_is_needed() -> None:
    pytest.importorskip("airflow", reason="Airflow is not installed")
    program = 'import airflow\nairflow.__version__ = "3.0.6"\nimport airloom.operators.step'
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: Airloom needs Airflow 3.1 or newer, and this is Airflow 3.0.6")
