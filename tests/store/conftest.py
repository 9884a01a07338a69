"""Stores to test: every kind that Airloom offers, fresh for every test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from airloom.settings import Settings
from airloom.store.blobs import Blobs
from airloom.store.datastore import Datastore
from airloom.store.objects import MemoryObjects, Objects, open_objects

KINDS = (
    "local",
    "local with fsync",
    "memory",
    *(pytest.param(kind, marks=pytest.mark.store) for kind in ("s3", "az", "gs")),
)


@pytest.fixture(params=KINDS)
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """An empty store of each kind: what is tested with it holds for all of them."""
    if request.param in ("s3", "az", "gs"):
        root = request.getfixturevalue(request.param)
    else:
        root = f"memory://{uuid4()}" if request.param == "memory" else str(tmp_path / "store")
    fsync = "true" if request.param == "local with fsync" else "false"
    return open_objects(root, Settings(datastore_root=root, fsync=fsync))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a local store that nobody has written to."""
    return tmp_path / "store"


@pytest.fixture
def datastore(root: Path) -> Datastore:
    """An empty local datastore."""
    return Datastore.open(Settings(datastore_root=str(root)))


@pytest.fixture
def blobs(root: Path) -> Blobs:
    """The blobs of an empty local store."""
    return Blobs(open_objects(str(root), Settings()))


@pytest.fixture
def race(tmp_path: Path) -> Callable[[str], list[str]]:
    """Run a script in eight processes that start at once; gives what each printed.

    The script calls ``wait()`` when it is ready, and finds the store's folder in ``root``.
    """
    gate = tmp_path / "gate"
    prelude = (
        "import os, pathlib, sys, time\n"
        f"root = {str(tmp_path / 'store')!r}\n"
        "def wait():\n"
        "    print('ready', flush=True)\n"
        f"    while not os.path.exists({str(gate)!r}): pass\n"
    )

    def run(script: str) -> list[str]:
        started = [
            subprocess.Popen([sys.executable, "-c", prelude + script], stdout=subprocess.PIPE, text=True)
            for _ in range(8)
        ]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        gate.touch()
        answers = [process.communicate(timeout=60)[0] for process in started]
        assert [process.returncode for process in started] == [0] * 8
        return answers

    return run


@pytest.fixture(autouse=True)
def _no_memory_left() -> Iterator[None]:
    before = set(MemoryObjects._spaces)
    yield
    for name in set(MemoryObjects._spaces) - before:
        MemoryObjects(name).forget()
