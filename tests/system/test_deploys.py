"""Deployed DAG files: stable bytes and versions, no import that costs, nothing read at parse."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from airloom.client import Run
from airloom.sandbox import Sandbox

CommandLine = Callable[..., subprocess.CompletedProcess[str]]
Save = Callable[..., Path]

MAPPED = '''
from airloom import FlowSpec, step

class {flow}(FlowSpec):
    """Spreads {width} wide."""

    @step
    def start(self):
        self.numbers = [1, 2]
        self.next(self.each, foreach="numbers")

    @step
    def each(self):
        self.value = self.input * {factor}
        self.next(self.more)

    @step
    def more(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.values = [i.value for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    {flow}()
'''

# Run by the interpreter that has Airflow: the hash of every DAG of a folder, and what does not load.
HASHES = """
import inspect, json, sys
from pathlib import Path
from airflow.models.serialized_dag import SerializedDagModel
try:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # Airflow 3.1
    from airflow.models.dagbag import DagBag
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
folder = Path(sys.argv[1])
takes_name = "bundle_name" in inspect.signature(DagBag.__init__).parameters
named = {"bundle_name": "dags-folder"} if takes_name else {}
bag = DagBag(folder, bundle_path=folder, **named)
hashes = {name: SerializedDagModel.hash(DagSerialization.to_dict(dag)) for name, dag in bag.dags.items()}
json.dump([hashes, bag.import_errors], sys.stdout)
"""


@pytest.fixture
def saved(tmp_path: Path) -> Save:
    """Write a version of the mapped flow into a folder of its own."""

    def write(flow: str, factor: int = 10, width: int = 2) -> Path:
        folder = tmp_path / flow
        folder.mkdir(exist_ok=True)
        file = folder / f"{flow.lower()}.py"
        file.write_text(MAPPED.format(flow=flow, factor=factor, width=width))
        return file

    return write


@pytest.fixture
def deploy(sandbox: Sandbox, command_line: CommandLine) -> Iterator[Callable[..., Path]]:
    made: set[Path] = set()

    def run(file: Path, *options: str) -> Path:
        folder = str(sandbox.dags_folder)
        command_line(file, "deploy", "--dags-folder", folder, *options, root=sandbox.home / "store")
        dag_file = sandbox.dags_folder / f"{file.parent.name}.py"
        made.add(dag_file)
        return dag_file

    yield run
    for file in made:
        file.unlink(missing_ok=True)


def versions(sandbox: Sandbox, dag_id: str) -> list[int]:
    return sorted(version["version_number"] for version in sandbox.api.dag_versions(dag_id))


def run_to_the_end(sandbox: Sandbox, dag_id: str) -> str:
    run = sandbox.api.trigger(dag_id)
    assert sandbox.api.wait_for_run(dag_id, run, 300).state == "success"
    return run


def parsed_again(sandbox: Sandbox, dag_id: str, since: datetime) -> None:
    sandbox.api.wait_for_dag(dag_id, 300, parsed_after=since)


def touch(file: Path) -> datetime:
    """Have Airflow parse a file again; returns the moment to wait for."""
    time.sleep(0.01)
    since = datetime.now(timezone.utc)
    file.touch()
    return since


@pytest.mark.system
def test_a_deploy_without_a_change_changes_nothing(
    sandbox: Sandbox, saved: Save, deploy: Callable[[Path], Path]
) -> None:
    flow = saved("DeploysSame")
    file = deploy(flow)
    sandbox.api.wait_for_dag("DeploysSame", 300)
    before = (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino)
    run_to_the_end(sandbox, "DeploysSame")
    assert deploy(flow) == file
    assert (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino) == before
    parsed_again(sandbox, "DeploysSame", touch(file))
    run_to_the_end(sandbox, "DeploysSame")
    parsed_again(sandbox, "DeploysSame", touch(file))
    assert versions(sandbox, "DeploysSame") == [1]


@pytest.mark.system
def test_a_change_of_code_only_makes_a_new_version(
    sandbox: Sandbox, saved: Save, deploy: Callable[[Path], Path]
) -> None:
    deploy(saved("DeploysCode", factor=10))
    sandbox.api.wait_for_dag("DeploysCode", 300)
    first = run_to_the_end(sandbox, "DeploysCode")
    since = datetime.now(timezone.utc)
    deploy(saved("DeploysCode", factor=100))
    parsed_again(sandbox, "DeploysCode", since)
    second = run_to_the_end(sandbox, "DeploysCode")
    assert versions(sandbox, "DeploysCode") == [1, 2]

    def values(run: str) -> object:
        return Run(f"DeploysCode/{run}", datastore=sandbox.home / "store")["join"].task["values"].data

    assert (values(first), values(second)) == ([10, 20], [100, 200])


@pytest.mark.system
def test_a_broken_file_hides_no_other(sandbox: Sandbox, saved: Save, deploy: Callable[..., Path]) -> None:
    good, broken = deploy(saved("DeploysGood")), deploy(saved("DeploysBroken"))
    broken.write_text(broken.read_text().replace("with DAG(", "with DAG)"))
    sandbox.api.wait_for_dag("DeploysGood", 300)
    deadline = time.monotonic() + 120
    while not any(name.endswith(broken.name) for name in sandbox.api.import_errors()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    run_to_the_end(sandbox, "DeploysGood")
    assert not any(name.endswith(good.name) for name in sandbox.api.import_errors())
    deploy(saved("DeploysBroken"), "--force")
    sandbox.api.wait_for_dag("DeploysBroken", 300)


@pytest.fixture(scope="module")
def deployed_folder(
    command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """All good flows deployed into a folder, with a store that is gone since."""
    folder, root = tmp_path_factory.mktemp("dags"), tmp_path_factory.mktemp("gone") / "store"
    flows = Path(__file__).parents[1] / "flows" / "good"
    names = []
    for file in sorted(flows.glob("*.py")):
        if "__main__" in file.read_text():
            command_line(file, "deploy", "--dags-folder", str(folder), root=root)
            names.append(file.read_text().rsplit("__main__", 1)[1].split("(")[0].split()[-1])
    root.rename(root.with_name("elsewhere"))
    return folder, names


def load(home: Sandbox, folder: Path, seed: str) -> tuple[dict[str, str], dict[str, str]]:
    environment = {
        **home.environment,
        "PYTHONHASHSEED": seed,
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
        "AIRFLOW__AIRLOOM__DATASTORE_ROOT": str(folder.parent / "no" / "such" / "store"),
    }
    ran = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", HASHES, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    hashes, errors = json.loads(ran.stdout.splitlines()[-1])
    return hashes, errors


@pytest.mark.airflow
def test_every_process_serializes_a_dag_alike(
    airflow_home: Sandbox, deployed_folder: tuple[Path, list[str]]
) -> None:
    folder, names = deployed_folder
    first, errors = load(airflow_home, folder, "0")
    assert errors == {}
    assert sorted(first) == sorted(names)
    for seed in ("1", "77"):
        assert load(airflow_home, folder, seed) == (first, {})


@pytest.mark.airflow
def test_parsing_touches_no_store_and_no_flow(
    airflow_home: Sandbox, deployed_folder: tuple[Path, list[str]]
) -> None:
    folder, _ = deployed_folder
    # Once for what Airflow itself imports late; the second time it is the files alone.
    program = f"""
import runpy, sys
from pathlib import Path
from airflow.sdk import Asset
Asset("any://scheme")  # the first one has Airflow load what all providers say of assets
before, events, files = set(sys.modules), [], sorted(Path({str(folder)!r}).glob("*.py"))
for file in files:
    runpy.run_path(str(file))
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
heavy = {{"numpy", "pandas", "boto3", "obstore", "cloudpickle", "jinja2", "blake3", "zstandard"}} & new
assert not heavy, heavy
ours = {{name for name in sys.modules if name.startswith("airloom.")}}
wrong = [name for name in ours if name.split(".")[1] in ("store", "runtime", "compiler", "client", "cli")]
assert not wrong, wrong
def hook(event, arguments):
    if event == "open" or event.startswith(("socket.", "subprocess.", "os.listdir", "os.scandir")):
        # Airflow 3.1 puts a timetable into words when it is made, by files of cron_descriptor.
        if "cron_descriptor" not in str(arguments[0]):
            events.append((event, str(arguments[0])))
sys.addaudithook(hook)
for file in files:
    runpy.run_path(str(file))
mine = {{("open", str(file)) for file in files}}
assert set(events) == mine, set(events) ^ mine
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=airflow_home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
