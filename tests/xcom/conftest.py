"""A datastore of its own for each test, and a task of Airflow's that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airloom.store.datastore import Datastore

pytest.importorskip("airflow", reason="Airflow is not installed")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Datastore]:
    """The datastore that a task process would open."""
    from airloom.operators import recording, references

    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", str(tmp_path / "store"))
    monkeypatch.setenv("AIRLOOM_USER", "ada")
    monkeypatch.setenv("AIRFLOW_CTX_TRY_NUMBER", "1")
    references._opened.cache_clear()
    for kept in (recording._begun, recording._pushed, references._read):
        kept.clear()  # type: ignore[attr-defined]
    yield references.datastore()
    references._opened.cache_clear()
