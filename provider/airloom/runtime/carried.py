"""What travels to a container: Airloom's own modules, and the packages that an image may lack.

An image needs Python only. Airloom's modules are one archive, the packages of each Python and
machine another; both lie in the store under the SHA-256 of their bytes, which stands in the
command of every job: the container runs nothing of them before it has checked it::

    runtimes/<sha256>.zip                      an archive
    runtimes/<sha256 of the modules>.json      which archives of packages belong to these modules

`ensure` makes what the store does not have yet: at deploy, and in an operator whose Airloom is
another than the deployer's.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.util
import io
import json
import logging
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from airloom.errors import DeployError
from airloom.runtime.container import NEEDED, tag

if TYPE_CHECKING:
    from airloom.plan import StepPlan
    from airloom.settings import Settings
    from airloom.store.datastore import Datastore

logger = logging.getLogger(__name__)

_EPOCH = (1980, 1, 1, 0, 0, 0)
_AIRFLOW_SIDE = {"airflow_api", "decorators", "hooks", "operators", "sandbox", "sensors", "triggers", "ui"}
_IMPORTS_AIRFLOW = re.compile(rb"^\s*(from|import) airflow\b", re.MULTILINE)
_LEFT_OUT = ("__pycache__/", ".pyi", ".pyc", "tests/")
_DOWNLOAD_S = 300
_GLIBC = range(17, 29)


@dataclass(frozen=True, slots=True)
class Carried:
    """Digests (SHA-256, hexadecimal) of the archives that a container may need; those of packages by tag."""

    runtime: str
    wheels: dict[str, str] = field(default_factory=dict)


def carried_in(datastore: Datastore, settings: Settings) -> Carried:
    """Name what the store has for this version of Airloom; put it there when it has nothing."""
    known = datastore.runtime_index(modules()[1])
    return ensure(datastore, settings) if known is None else Carried(modules()[1], known)


def ensure(datastore: Datastore, settings: Settings) -> Carried:
    """Put what containers need into the store, as far as it is not there.

    Raises
    ------
    DeployError
        When there is no way to the packages of any of the wanted Pythons.
    """
    archive, runtime = modules()
    known = datastore.runtime_index(runtime)
    wanted = [f"cp{python.replace('.', '')}-{machine}" for python, machine in _targets(settings)]
    if known is not None and all(name in known for name in wanted):
        return Carried(runtime, known)
    datastore.save_runtime(runtime, archive)
    found = dict(known or {})
    refusals = []
    for name, (python, machine) in zip(wanted, _targets(settings), strict=True):
        if name in found:
            continue
        try:
            packed = _zip(_installed() if name == tag() and _is_portable() else _downloaded(python, machine))
        except DeployError as error:
            refusals.append(error)
            logger.warning("images with Python %s on %s will lack packages: %s", python, machine, error.what)
            continue
        found[name] = hashlib.sha256(packed).hexdigest()
        datastore.save_runtime(found[name], packed)
    if refusals and not found:
        raise refusals[0]
    datastore.save_runtime_index(runtime, found)
    return Carried(runtime, found)


def _targets(settings: Settings) -> list[tuple[str, str]]:
    return [(python, machine) for python in settings.pythons for machine in settings.machines]


@cache
def modules() -> tuple[bytes, str]:
    """Archive of Airloom's own modules without the Airflow side, and its SHA-256."""
    root = Path(__file__).parents[1]
    files = (
        (f"airloom/{path.relative_to(root).as_posix()}", path.read_bytes())
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in _AIRFLOW_SIDE
    )
    archive = _zip((name, data) for name, data in files if not _IMPORTS_AIRFLOW.search(data))
    return archive, hashlib.sha256(archive).hexdigest()


def _zip(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, data in files:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def _is_portable() -> bool:
    """Say whether the packages of this interpreter were not compiled for this machine alone."""
    texts = [metadata.distribution(name).read_text("WHEEL") or "" for name in NEEDED]
    return all("none-any" in text or "manylinux" in text for text in texts)


def _installed() -> Iterator[tuple[str, bytes]]:
    for name in NEEDED:
        for file in metadata.distribution(name).files or ():
            place = Path(str(file.locate()))
            if _belongs(str(file)) and place.is_file():
                yield f"{name}/{file}", place.read_bytes()


def _belongs(name: str) -> bool:
    # zstandard's second backend is for PyPy, and half of its size.
    unneeded = name.startswith(("..", "/")) or "/_cffi." in name
    return not unneeded and not any(part in name for part in _LEFT_OUT)


def _downloaded(python: str, machine: str) -> Iterator[tuple[str, bytes]]:
    if importlib.util.find_spec("pip") is None:
        raise _no_way("this environment has no pip", python, machine)
    with tempfile.TemporaryDirectory(prefix="airloom-wheels-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
        command += ["--disable-pip-version-check", "--dest", folder, "--implementation", "cp"]
        command += ["--python-version", python]
        # pip compares these names one by one: a wheel for glibc 2.24 is none for 2.28 to it.
        for kind in ("manylinux2014", *(f"manylinux_2_{minor}" for minor in _GLIBC)):
            command += ["--platform", f"{kind}_{machine}"]
        # Not all that is installed here is offered for older Pythons.
        command += [f"{name}>={oldest},<={metadata.version(name)}" for name, oldest in NEEDED.items()]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_S, check=False)
        except subprocess.TimeoutExpired:
            raise _no_way(f"pip took longer than {_DOWNLOAD_S} s", python, machine) from None
        if ended.returncode != 0:
            raise _no_way((ended.stderr.strip().splitlines() or ["pip failed"])[-1], python, machine)
        for wheel in sorted(Path(folder).glob("*.whl")):
            name = wheel.name.partition("-")[0].replace("_", "-").lower()
            with zipfile.ZipFile(wheel) as files:
                for entry in files.namelist():
                    if _belongs(entry) and not entry.endswith("/"):
                        yield f"{name}/{entry}", files.read(entry)


def _no_way(what: str, python: str, machine: str) -> DeployError:
    return DeployError(
        f"the packages that a task needs cannot be had for Python {python} on {machine}: {what}",
        where="pip download",
        mend="give pip a way to a package index, or name in container_pythons and container_machines "
        "only what your images are.",
    )


@cache
def bootstrap() -> str:
    """The text of `airloom.runtime.bootstrap` without comments and docstrings, as one short expression.

    Compressed, because ECS takes no more than 8,192 characters of overrides ("RunTask", Amazon ECS
    API reference).
    """
    tree = ast.parse(Path(__file__).with_name("bootstrap.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    packed = base64.b85encode(zlib.compress(ast.unparse(tree).encode(), 9)).decode()
    return f"import zlib,base64;exec(zlib.decompress(base64.b85decode({packed!r})))"


def container_command(carried: Carried, root: str, command: str) -> list[str]:
    """Command line of a container.

    Parameters
    ----------
    root
        Root of the datastore as the container sees it.
    command
        What `airloom.runtime.command` writes: the tasks.
    """
    told = {"root": root, "runtime": carried.runtime, "wheels": carried.wheels, "command": command}
    return ["python3", "-c", bootstrap(), json.dumps(told, separators=(",", ":"))]


def root_inside(step: StepPlan, root: str) -> str:
    """Root of the datastore as a step's container sees it.

    A URL is the same everywhere. A folder has to lie on a volume that the container mounts: one of the
    host's (EC2), or an EFS file system that is mounted at the same path here.

    Raises
    ------
    DeployError
        When the container cannot see it.
    """
    if "://" in root:
        return root
    said = step.batch or step.ecs
    for volume in step.batch.host_volumes if step.batch is not None else ():
        if Path(root).is_relative_to(volume.source):
            return str(Path(volume.path) / Path(root).relative_to(volume.source))
    for volume in said.efs_volumes if said is not None else ():
        if Path(root).is_relative_to(volume.path):
            return root
    raise DeployError(
        f"the step {step.name!r} runs in a container, which does not see the datastore's folder",
        where=root,
        mend="keep the store in an object store (datastore_root=s3://...), or mount the folder with "
        "host_volumes= or efs_volumes=.",
    )
