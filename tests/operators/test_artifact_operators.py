"""What LoadArtifactOperator and SaveArtifactOperator do, on a datastore with runs."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from airloom.errors import ArtifactError, FlowError, NotFound
from airloom.store.datastore import Datastore, TaskKey
from airloom.store.records import BeginRecord, DoneRecord, Outcome, RunRecord, Usage

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Datastore]:
    from airloom.operators import references

    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", str(tmp_path / "store"))
    references._opened.cache_clear()
    yield references.datastore()
    references._opened.cache_clear()


def commit(store: Datastore, run: str, **values: object) -> None:
    at = f"2026-11-25T03:00:0{run}+00:00"
    store.create_run(RunRecord("Train", run, "b3:0", at, "ada"))
    key = TaskKey("Train", run, "end", "0")
    attempt = store.claim(key, lambda _: BeginRecord(at, "host", 1))
    saved = store.save_artifacts(values)
    store.commit(key, attempt, DoneRecord(at, saved, Outcome(), Usage(0.0, 0.0, 0.0)))


def test_an_artifact_is_found_by_its_pathspec(store: Datastore) -> None:
    from airloom.operators.transfers import find

    commit(store, "7", model=[1, 2])
    commit(store, "7", model=[3, 4])
    reference, load = find("Train/7/end/0/model")
    assert (reference["pathspec"], reference["attempt"]) == ("Train/7/end/0/model", 1)
    assert load() == [3, 4]


def test_latest_is_the_newest_run_that_was_successful(store: Datastore) -> None:
    from airloom.operators.transfers import find

    for run, successful in (("1", True), ("2", True), ("3", False)):
        commit(store, run, model=run)
        store.end_run("Train", run, successful)
    reference, load = find("Train/latest/end/0/model")
    assert reference["pathspec"] == "Train/2/end/0/model"
    assert load() == "2"


@pytest.mark.parametrize(
    ("pathspec", "what"),
    [
        ("Train/1/end/0/modle", "has no artifact 'modle'"),
        ("Train/1/end/0", "is not the pathspec of an artifact"),
        ("Train/8/end/0/model", "the task Train/8/end/0 was not begun|no run '8'"),
        ("Train/latest/end/0/model", "no run of Train was successful"),
        ("a b", "is not a pathspec"),
    ],
)
def test_what_there_is_not_is_told(store: Datastore, pathspec: str, what: str) -> None:
    from airloom.operators.transfers import find

    commit(store, "1", model=1)
    with pytest.raises(NotFound, match=what):
        find(pathspec)


@pytest.mark.parametrize(
    ("value", "data"),
    [("größe", "größe".encode()), (b"bytes", b"bytes"), (bytearray(b"b"), b"b")],
)
def test_bytes_and_text_become_files_as_they_are(value: object, data: bytes, tmp_path: Path) -> None:
    from airloom.operators.transfers import read, write

    file = tmp_path / "new" / "file"
    assert write(str(file), value) == str(file)
    assert read(str(file), "t") == data
    assert [one.name for one in file.parent.iterdir()] == ["file"]


def test_other_values_are_pickled(tmp_path: Path) -> None:
    from airloom.operators.transfers import write

    write(str(tmp_path / "file"), {"a": [1, (2, 3)]})
    assert pickle.loads((tmp_path / "file").read_bytes()) == {"a": [1, (2, 3)]}


def test_a_file_that_cannot_be_written_or_read_is_told(tmp_path: Path) -> None:
    from airloom.operators.transfers import read, write

    (tmp_path / "file").write_text("")
    with pytest.raises(FlowError, match="cannot be written"):
        write(str(tmp_path / "file" / "below"), b"")
    with pytest.raises(ArtifactError, match="a generator, cannot be pickled"):
        write(str(tmp_path / "other"), (n for n in range(3)))
    with pytest.raises(FlowError, match="cannot be read"):
        read(str(tmp_path / "none"), "t")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_constructors_only_assign() -> None:
    from airloom.operators.artifacts import LoadArtifactOperator, SaveArtifactOperator

    load = LoadArtifactOperator(task_id="l", artifact="{{ a }}", file="{{ b }}")
    save = SaveArtifactOperator(task_id="s", artifact="model", value="{{ c }}")
    assert [getattr(load, name) for name in load.template_fields] == ["{{ a }}", "{{ b }}"]
    assert [getattr(save, name) for name in save.template_fields] == ["model", "{{ c }}", None]
    assert all(type(one.output).__name__ == "ArtifactsXComArg" for one in (load, save))
