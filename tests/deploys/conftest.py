"""A flow that is deployed, to a folder and to a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from airloom import settings
from airloom.compiler.planner import Compiled, compile_flow
from airloom.runtime.code import import_flow
from airloom.settings import Settings
from airloom.store.deployments import Deployments
from support.shop import FLOW


@pytest.fixture
def flow_file(tmp_path: Path, clean_imports: None) -> Path:
    (tmp_path / "flow").mkdir()
    file = tmp_path / "flow" / "shop_flow.py"
    file.write_text(FLOW.format(least=1, memory=1024, word="one"))
    return file


@pytest.fixture
def compiled(flow_file: Path) -> Compiled:
    return compile_flow(import_flow(flow_file), settings.load())


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", str(tmp_path / "store"))
    monkeypatch.setenv("AIRLOOM_USER", "ann")
    return settings.load()


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    (tmp_path / "dags").mkdir()
    return tmp_path / "dags"


@pytest.fixture
def store(own: Settings) -> Deployments:
    return Deployments.open(own)
