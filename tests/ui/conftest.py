"""The pages over a datastore with runs in it, and somebody who asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from airloom.settings import Settings
from airloom.store.datastore import Datastore
from airloom.ui import server
from support.pages import ALL, Browser, Recorder, Somebody


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def recorder(root: Path) -> Recorder:
    return Recorder(Datastore.open(Settings(datastore_root=str(root))))


@pytest.fixture
def somebody() -> Somebody:
    who = Somebody()
    who.allowed["Train"] = set(ALL)
    return who


@pytest.fixture
def browser(root: Path, somebody: Somebody) -> Browser:
    """A browser at an Airflow whose pages are below /base."""
    return Browser(server.create_app(somebody.admit, lambda: Settings(datastore_root=str(root))))
