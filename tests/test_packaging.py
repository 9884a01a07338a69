"""The distribution: what is in it, what importing it loads, and that it works where Airflow is not."""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest

import airloom
from airloom.provider_info import get_provider_info

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "provider" / "airloom"


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg")
    return found


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def tree() -> set[str]:
    """Every package of the source tree, by its name."""
    below = {file.parent.relative_to(PACKAGE.parent) for file in PACKAGE.rglob("__init__.py")}
    return {".".join(folder.parts) for folder in below} | {"airloom.dag_templates"}


def test_the_package_list_is_the_tree(setup: configparser.ConfigParser) -> None:
    listed = lines(setup["options"]["packages"])
    assert set(listed) == tree()
    assert listed == sorted(listed)
    assert (ROOT / "dag_templates" / "__init__.py").exists()


def test_every_folder_with_code_is_a_package() -> None:
    for file in PACKAGE.rglob("*.py"):
        assert (file.parent / "__init__.py").exists(), f"{file.parent} has no __init__.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The distribution, built from a copy of what it is built of, without network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("provider", "dag_templates", "tests"):
        rest = shutil.ignore_patterns("__pycache__", "*.egg-info", "flows", "golden")
        shutil.copytree(ROOT / name, source / name, ignore=rest)
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--wheel-dir", str(out)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.iterdir()
    return zipfile.ZipFile(file)


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    wanted = {
        file.relative_to(PACKAGE.parent).as_posix()
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    templates = {
        f"airloom/{file.relative_to(ROOT).as_posix()}" for file in (ROOT / "dag_templates").iterdir()
    }
    templates -= {name for name in templates if name.endswith("__pycache__")}
    assert files == wanted | templates
    assert "airloom/py.typed" in files
    assert "airloom/dag_templates/dag.py.j2" in files
    assert not [name for name in files if "tests/" in name or "test_" in name]


def test_the_wheel_says_what_it_needs_and_where_it_begins(wheel: zipfile.ZipFile) -> None:
    (metadata,) = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA")]
    assert "Name: airflow-provider-airloom\n" in metadata
    assert f"Version: {airloom.__version__}\n" in metadata
    assert "Requires-Python: >=3.10\n" in metadata
    assert "# " in metadata.partition("\n\n")[2], "the README is its description"
    (points,) = [wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    assert "provider_info = airloom.provider_info:get_provider_info" in points


HEAVY = {
    "airflow",
    "obstore",
    "jinja2",
    "click",
    "rich",
    "numpy",
    "pandas",
    "cloudpickle",
    "blake3",
    "zstandard",
}
HEAVY |= {"multiprocessing", "asyncio", "markdown_it"}
AIRFLOW_SIDE = {"bundles", "decorators", "hooks", "links", "operators", "plugin", "sensors", "triggers", "ui"}
AIRFLOW_SIDE |= {"xcom"}


def fresh(program: str, **variables: str) -> str:
    """Run a program in a new interpreter; give what it printed."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AIRLOOM_")}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**environment, **variables}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["airloom", "airloom.provider_info", "airloom.plan", "airloom.flow.spec"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    assert set(fresh(program).split()) & HEAVY == set()


@pytest.fixture
def without_airflow(tmp_path: Path) -> dict[str, str]:
    """Variables with which no interpreter finds Airflow, also none that a run starts."""
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sitecustomize.py").write_text(
        "import sys\n\n"
        "class Nowhere:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'airflow':\n"
        "            raise ImportError('Airflow is not installed here')\n\n"
        "sys.meta_path.insert(0, Nowhere())\n"
    )
    return {"PYTHONPATH": str(tmp_path / "block"), "AIRLOOM_DATASTORE_ROOT": str(tmp_path / "store")}


def test_where_airflow_is_not_all_but_the_operators_import(without_airflow: dict[str, str]) -> None:
    program = f"""
import importlib, pkgutil, airloom
names = []
for top in pkgutil.iter_modules(airloom.__path__, "airloom."):
    if top.name.partition(".")[2] in {sorted(AIRFLOW_SIDE)!r}:
        continue
    names.append(top.name)
    if top.ispkg:
        found = pkgutil.walk_packages(importlib.import_module(top.name).__path__, top.name + ".")
        names += [module.name for module in found]
for name in names:
    importlib.import_module(name)
print(*names)
"""
    names = fresh(program, **without_airflow).split()
    assert {"airloom.cli.main", "airloom.client.tasks", "airloom.compiler.dagfile"} <= set(names)
    assert {"airloom.runtime.nursery", "airloom.store.datastore", "airloom.sandbox.airflow"} <= set(names)


def test_where_airflow_is_not_a_whole_flow_runs_and_is_read(
    without_airflow: dict[str, str], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "tests" / "flows" / "good" / "foreach_join.py", tmp_path)
    command = [sys.executable, str(tmp_path / "foreach_join.py"), "run"]
    environment = {**os.environ, **without_airflow}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    program = "from airloom import Flow\nprint(Flow('ForeachFlow').latest_run.data.total)"
    assert fresh(program, **without_airflow) == "80\n"


def test_airflow_is_really_hidden(without_airflow: dict[str, str]) -> None:
    program = "try:\n    import airflow\nexcept ImportError as error:\n    print(error)"
    assert fresh(program, **without_airflow) == "Airflow is not installed here\n"


def test_the_face_is_sorted_and_every_name_of_it_exists() -> None:
    # As ruff sorts it: constants, classes, the rest.
    order = sorted(airloom.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert airloom.__all__ == order
    assert len(set(airloom.__all__)) == len(airloom.__all__)
    for name in airloom.__all__:
        assert getattr(airloom, name) is not None


def test_a_name_that_the_face_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'airloom' has no attribute 'nothing'"):
        airloom.nothing


def test_entry_points_import(setup: configparser.ConfigParser) -> None:
    for group in setup["options.entry_points"].values():
        for line in lines(group):
            module, _, name = line.partition("=")[2].strip().partition(":")
            assert callable(getattr(importlib.import_module(module), name))


def test_the_installed_program_tells_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airloom", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"airloom, version {airloom.__version__}\n"
    assert importlib.metadata.version("airflow-provider-airloom") == airloom.__version__


@pytest.mark.airflow
def test_airflow_takes_what_it_reads_about_the_provider() -> None:
    spec = importlib.util.find_spec("airflow")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("Airflow is not installed")
    schema = json.loads(Path(spec.submodule_search_locations[0], "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_provider_tells_its_name_and_what_can_be_set() -> None:
    info = get_provider_info()
    assert info["package-name"] == "airflow-provider-airloom"
    assert "datastore_root" in info["config"]["airloom"]["options"]
    json.dumps(info)
