"""A container engine for tests: the one that answers, or one of our own; and the images that tests need.

Where no registry can be reached, the image with Python is a small Debian, made once and kept in a cache.
"""

from __future__ import annotations

import contextlib
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

from support.aws.emulator import Emulator

ROOT = Path(__file__).parents[2]
IMAGE = "python:3.11-slim-bookworm"
MADE_IMAGE = "airloom-test-python"
CACHE = Path(os.environ.get("AIRLOOM_TEST_CACHE", Path.home() / ".cache" / "airloom-tests"))
PULL_S = 60


@dataclass(frozen=True)
class Engine:
    """A container engine: its client, and how the client reaches it."""

    client: str
    environment: dict[str, str] = field(repr=False)

    @property
    def address(self) -> str:
        return self.environment.get("DOCKER_HOST", "unix:///var/run/docker.sock")

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
    with own_engine(client, environment, tmp_path_factory.mktemp("engine")) as own:
        yield own


@contextlib.contextmanager
def own_engine(client: str, environment: dict[str, str], folder: Path) -> Iterator[Engine]:
    """Start an engine on a socket of its own: no bridge, no firewall rules, nothing shared with others."""
    command = [
        *("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false"),
        *("-H", f"unix://{folder}/s"),
        *("--data-root", f"{folder}/data"),
        *("--exec-root", f"{folder}/exec"),
        *("--pidfile", f"{folder}/pid"),
    ]
    own = Engine(client, {**environment, "DOCKER_HOST": f"unix://{folder}/s"})
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        try:
            deadline = time.monotonic() + 60
            while not own.run("info", check=False):
                if daemon.poll() is not None or time.monotonic() > deadline:
                    pytest.skip(f"dockerd does not start: {(folder / 'log').read_text()[-500:]}")
                time.sleep(0.2)
            yield own
        finally:
            daemon.terminate()
            daemon.wait(60)
    # The namespace of containers on the host's network stays mounted, and nobody could remove the folder.
    subprocess.run(["umount", str(folder / "exec" / "netns" / "default")], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def python_image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with Python, from a registry or made here."""
    wanted = os.environ.get("AIRLOOM_TEST_PYTHON_IMAGE", IMAGE)
    if engine.run("image", "inspect", wanted, check=False):
        return wanted
    kept = CACHE / f"{MADE_IMAGE}-bookworm.tar"
    if not kept.exists():
        try:
            pulled = engine.run("pull", wanted, timeout_s=PULL_S, check=False)
        except subprocess.TimeoutExpired:
            pulled = ""
        if pulled:
            return wanted
        if shutil.which("debootstrap") is None or os.geteuid() != 0:
            pytest.skip(f"the image {wanted} cannot be had, and there is no debootstrap to make one alike")
        make_root(kept, tmp_path_factory.mktemp("rootfs"))
    engine.run("import", str(kept), MADE_IMAGE)
    return MADE_IMAGE


def make_root(archive: Path, folder: Path) -> None:
    """Archive the files of a small Debian with Python, where no registry can be reached."""
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
    archive.parent.mkdir(parents=True, exist_ok=True)
    new = archive.with_name(f"{archive.name}.{os.getpid()}")
    leave_out = [
        f"--exclude=./{path}" for path in ("var/cache/apt/*", "var/lib/apt/lists/*", "usr/share/doc/*")
    ]
    subprocess.run(["tar", "-C", str(folder), *leave_out, "-cf", str(new), "."], check=True)
    new.rename(archive)
    shutil.rmtree(folder, ignore_errors=True)


def build(engine: Engine, target: str, python_image: str) -> str:
    """Build a target of docker/Dockerfile; how the machine reaches its packages is passed on as secrets."""
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


@pytest.fixture(scope="session")
def task_image(engine: Engine, python_image: str) -> str:
    """The image of docker/Dockerfile's target task."""
    return build(engine, "task", python_image)


@pytest.fixture(scope="session")
def aws_docker(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An AWS whose jobs run as containers, of the images that the engine has."""
    running = Emulator.start(tmp_path_factory.mktemp("aws"), engine=engine.address)
    yield running
    running.close()
