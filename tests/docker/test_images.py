"""Both images are built from nothing but the repository, and a flow runs in the one without Airflow."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from support.docker import Engine, build

ROOT = Path(__file__).parents[2]


@pytest.mark.docker
@pytest.mark.slow
def test_the_task_image_runs_a_flow_without_airflow(engine: Engine, task_image: str) -> None:
    tag = task_image
    alone = ["run", "--rm", "--network", "host"]
    flow = [f"{ROOT}/examples:/work:ro", tag]
    said = engine.run(*alone, "-v", *flow, "airloom", "run", "/work/04_penguins/penguins_flow.py")
    assert "the flipper tells the mass of Chinstrap best" in said
    look = "import importlib.util as u; print(u.find_spec('airflow'), u.find_spec('airloom') is not None)"
    assert engine.run(*alone, "--entrypoint", "python3", tag, "-c", look).strip() == "None True"
    assert engine.run(*alone, "--entrypoint", "id", tag, "-u").strip() == "50000"
    assert not engine.run(*alone, "--entrypoint", "ls", tag, "/run/build/ca.pem", check=False)


@pytest.mark.docker
@pytest.mark.slow
def test_the_airflow_image_has_airflow_and_knows_the_provider(engine: Engine, python_image: str) -> None:
    tag = build(engine, "airflow", python_image)
    alone = ["run", "--rm", "--network", "host", tag]
    assert re.search(r"^3\.\d+\.\d+$", engine.run(*alone, "version"), re.MULTILINE)
    assert "airflow-provider-airloom" in engine.run(*alone, "providers", "list")


def test_the_task_image_has_the_requirements_but_airflow() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].strip().splitlines()
    lines = (ROOT / "docker" / "task-requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        requirement for requirement in wanted if not requirement.startswith("apache-airflow")
    ]


def test_compose_asks_for_each_secret_and_the_example_names_them_without_values() -> None:
    compose = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "docker").glob("*.yaml"))
    needed = set(re.findall(r"\$\{(\w+):\?", compose))
    example = dict(
        line.split("=", 1)
        for line in (ROOT / "docker" / ".env.example").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert needed == {name for name, value in example.items() if not value}
    assert set(re.findall(r"\$\{(\w+)", compose)) - needed <= {*example}
