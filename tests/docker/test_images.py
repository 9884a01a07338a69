"""Both images are built from nothing but the repository, and a flow runs in the one without Airflow."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGE = "python:3.11-slim-bookworm"
PULL_S = 60


@dataclass(frozen=True)
class Engine:
    """A container engine: its client, and how the client reaches it."""

    client: str
    environment: dict[str, str] = field(repr=False)

    def run(self, *arguments: str, timeout_s: float = 900, check: bool = True) -> str:
        ended = subprocess.run(
            [self.client, *arguments],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or ended.returncode == 0, f"docker {' '.join(arguments)}\n{ended.stdout[-4000:]}"
        return ended.stdout if ended.returncode == 0 else ""


def clients() -> Iterator[str]:
    """Clients that can build with BuildKit: old ones have it in them, newer ones need buildx."""
    for path in dict.fromkeys(filter(None, (shutil.which("docker"), "/usr/bin/docker"))):
        if Path(path).exists():
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            version = re.search(r"version (\d+)", said)
            buildx = subprocess.run([path, "buildx", "version"], capture_output=True, check=False)
            if buildx.returncode == 0 or (version and int(version[1]) < 23):
                yield path


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    client = next(clients(), None)
    if client is None:
        pytest.skip("there is no docker client with BuildKit")
    environment = {**os.environ, "DOCKER_BUILDKIT": "1", "COMPOSE_DOCKER_CLI_BUILD": "1"}
    found = Engine(client, environment)
    if found.run("info", check=False):
        yield found
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("no container engine answers, and none can be started here")
    folder = tmp_path_factory.mktemp("engine")
    command = [
        "dockerd",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "-H",
        f"unix://{folder}/s",
    ]
    command += [
        "--data-root",
        f"{folder}/data",
        "--exec-root",
        f"{folder}/exec",
        "--pidfile",
        f"{folder}/pid",
    ]
    own = Engine(client, {**environment, "DOCKER_HOST": f"unix://{folder}/s"})
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        try:
            deadline = time.monotonic() + 20
            while not own.run("info", check=False):
                if daemon.poll() is not None or time.monotonic() > deadline:
                    pytest.skip(f"dockerd does not start: {(folder / 'log').read_text()[-500:]}")
                time.sleep(0.2)
            yield own
        finally:
            daemon.terminate()
            daemon.wait(20)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def python_image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    wanted = os.environ.get("AIRLOOM_TEST_PYTHON_IMAGE", IMAGE)
    if engine.run("image", "inspect", wanted, check=False):
        return wanted
    try:
        pulled = engine.run("pull", wanted, timeout_s=PULL_S, check=False)
    except subprocess.TimeoutExpired:
        pulled = ""
    if pulled:
        return wanted
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        pytest.skip(f"the image {wanted} cannot be had, and there is no debootstrap to make one alike")
    return made_here(engine, tmp_path_factory.mktemp("rootfs"))


def made_here(engine: Engine, folder: Path) -> str:
    """A small Debian with Python, where no registry can be reached."""
    packages = "python3,python3-venv,python3-pip,ca-certificates"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"debootstrap cannot reach its packages: {made.stdout[-300:]}")
    with subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(
            [engine.client, "import", "-", "airloom-test-python"],
            env=engine.environment,
            stdin=tar.stdout,
            capture_output=True,
            check=True,
        )
    shutil.rmtree(folder, ignore_errors=True)
    return "airloom-test-python"


def build(engine: Engine, target: str, python_image: str) -> str:
    tag = f"airloom-test-{target}"
    arguments = ["build", "--network", "host", "-f", "docker/Dockerfile", "--target", target, "-t", tag]
    arguments += ["--build-arg", f"PYTHON_IMAGE={python_image}"]
    home = Path.home()
    settings = [os.environ.get("PIP_CONFIG_FILE", ""), home / ".config/pip/pip.conf", "/etc/pip.conf"]
    for name, files in (("ca", [ssl.get_default_verify_paths().cafile or ""]), ("pipconf", settings)):
        file = next((file for file in map(Path, filter(None, files)) if file.is_file()), None)
        if file is not None:
            arguments += ["--secret", f"id={name},src={file}"]
    engine.run(*arguments, ".")
    return tag


@pytest.mark.docker
@pytest.mark.slow
def test_the_task_image_runs_a_flow_without_airflow(engine: Engine, python_image: str) -> None:
    tag = build(engine, "task", python_image)
    alone = ["run", "--rm", "--network", "host"]
    flow = [f"{ROOT}/examples:/work:ro", tag]
    said = engine.run(*alone, "-v", *flow, "run", "/work/04_penguins/penguins_flow.py")
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
    compose = (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    needed = set(re.findall(r"\$\{(\w+):\?", compose))
    example = dict(
        line.split("=", 1)
        for line in (ROOT / "docker" / ".env.example").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert needed == {name for name, value in example.items() if not value}
    assert set(re.findall(r"\$\{(\w+)", compose)) - needed <= {*example, "POSTGRES_IMAGE"}
