"""Read runs with Airloom's client: ``runs_airloom.py seed|read STORE``."""

from __future__ import annotations

import sys
from pathlib import Path

import made

from airloom import Flow
from airloom.settings import Settings
from airloom.store.datastore import Datastore


def seed(root: str) -> None:
    """Make copied runs be listed, as the creation of each would have."""
    datastore = Datastore.open(Settings(datastore_root=root))
    for folder in Path(root, "flows", "Hello", "runs").iterdir():
        assert not datastore.create_run(datastore.run("Hello", folder.name))
    print("{}")


def read(root: str) -> None:
    """List all runs; ask each whether it succeeded."""

    def work() -> None:
        found = [run.successful for run in Flow("Hello", datastore=root)]
        assert len(found) == 500
        assert all(found)

    made.measured(work)


if __name__ == "__main__":
    {"seed": seed, "read": read}[sys.argv[1]](sys.argv[2])
