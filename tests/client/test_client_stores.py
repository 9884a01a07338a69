from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom import client
from airloom.client import Airloom, DataArtifact, Flow, Run, Step, Task
from airloom.errors import NotFound
from airloom.settings import Settings
from airloom.store.datastore import Datastore
from airloom.store.local import LocalObjects

if TYPE_CHECKING:
    from tests.client.conftest import Recorder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the store, in order."""
    asked: list[str] = []

    def count(name: str) -> None:
        plain = getattr(LocalObjects, name)

        def counted(self: LocalObjects, *args: object, **kwargs: object) -> object:
            asked.append(f"{name} {args}")
            return plain(self, *args, **kwargs)

        monkeypatch.setattr(LocalObjects, name, counted)

    for name in ("get", "get_range", "map", "list", "children", "exists", "size"):
        count(name)
    return asked


def test_the_settings_name_the_datastore(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.whole("7")
    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", recorder.datastore.root)
    with client.datastore(None):
        assert Task("Train/7/fit/2").data.score == 20


def test_a_relative_root_follows_the_working_folder(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.whole("7")
    root = Path(recorder.datastore.root)
    monkeypatch.setenv("AIRLOOM_DATASTORE_ROOT", root.name)
    with client.datastore(None):
        monkeypatch.chdir(root.parent)
        assert Task("Train/7/fit/2").data.score == 20
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        with pytest.raises(NotFound):
            Task("Train/7/fit/2")


def test_an_argument_names_the_datastore_and_children_inherit_it(recorder: Recorder, tmp_path: Path) -> None:
    recorder.whole("7")
    root = recorder.datastore.root
    with client.datastore(tmp_path / "other"):
        assert Flow("Train", datastore=root)["7"]["fit"]["2"].data.score == 20
        assert Run("Train/7", datastore=recorder.datastore).data is not None
        assert [flow.id for flow in Airloom(datastore=root).flows] == ["Train"]
        with pytest.raises(NotFound):
            Flow("Train")


def test_a_chosen_datastore_holds_until_another_is_chosen(recorder: Recorder, tmp_path: Path) -> None:
    recorder.whole("7")
    client.datastore(tmp_path / "other")
    assert Airloom().flows == []
    choice = client.datastore(recorder.datastore.root)
    assert choice.root == recorder.datastore.root
    assert Airloom().flows == [Flow("Train")]


def test_after_a_block_the_datastore_is_the_one_before(recorder: Recorder, tmp_path: Path) -> None:
    recorder.whole("7")
    with client.datastore(str(tmp_path / "other")):
        assert Airloom().flows == []
    assert Airloom().flows == [Flow("Train")]


def test_making_a_run_reads_one_record(recorder: Recorder, reads: list[str]) -> None:
    recorder.whole("7")
    reads.clear()
    run = Run("Train/7")
    assert (run.user, run.created_at.year) == ("ada", 2026)
    assert len(reads) == 1, reads


def test_listing_runs_reads_no_record(recorder: Recorder, reads: list[str]) -> None:
    for run in ("7", "8", "9"):
        recorder.run(run)
    flow = Flow("Train")
    reads.clear()
    assert next(iter(flow)).id == "9"
    assert len(reads) == 1, reads
    assert reads[0].startswith("list")


def test_the_value_of_an_artifact_takes_three_reads(recorder: Recorder, reads: list[str]) -> None:
    recorder.whole("7")
    reads.clear()
    assert DataArtifact("Train/7/fit/2/score").data == 20
    assert len([read for read in reads if read.startswith(("get", "map", "children"))]) <= 3, reads


def test_a_record_is_read_once_for_all_values_of_a_task(recorder: Recorder, reads: list[str]) -> None:
    recorder.whole("7")
    data = Task("Train/7/end/0").data
    reads.clear()
    assert (data.best, data.report) == (20, {"rows": 3})
    assert not [read for read in reads if "done.json" in read], reads


def test_objects_are_equal_by_pathspec(recorder: Recorder) -> None:
    recorder.whole("7")
    assert Run("Train/7") == Flow("Train")["7"]
    assert len({Run("Train/7"), Flow("Train")["7"], Step("Train/7/fit")}) == 2
    assert Run("Train/7") != "Train/7"


def test_an_object_shows_how_to_make_it(recorder: Recorder) -> None:
    recorder.whole("7")
    assert repr(Task("Train/7/fit/2")) == "Task('Train/7/fit/2')"
    assert repr(Task("Train/7/fit/2", attempt=0)) == "Task('Train/7/fit/2', attempt=0)"
    assert repr(Flow("Train")["7"]["fit"]) == "Step('Train/7/fit')"
    assert repr(Task("Train/7/fit/2").data) == "<TaskData of Train/7/fit/2: score>"


def test_objects_load_in_another_process(recorder: Recorder, tmp_path: Path) -> None:
    recorder.whole("7")
    recorder.done("7", "fit", "2", score=99)
    task = Task("Train/7/fit/2", attempt=0)
    pickled = pickle.dumps(
        [
            Airloom().flows[0],
            Run("Train/7"),
            Step("Train/7/fit"),
            task,
            task["score"],
            task.data,
            task.artifacts,
        ]
    )
    script = (
        "import pickle, sys, json\n"
        "flow, run, step, task, artifact, data, artifacts = pickle.load(sys.stdin.buffer)\n"
        "print(json.dumps([flow.latest_run.id, run.data.best, step.task.data.score, task.data.score,\n"
        "    artifact.data, data.score, artifacts.score.data]))\n"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    hers = {**os.environ, "AIRLOOM_USER": "ada"}
    answer = subprocess.run(command, input=pickled, capture_output=True, check=True, cwd=tmp_path, env=hers)
    assert json.loads(answer.stdout) == ["7", 20, 0, 20, 20, 20, 20]


def test_a_relative_datastore_pickles_as_an_absolute_one(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.whole("7")
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(Run("Train/7", datastore="store"))
    monkeypatch.chdir("/")
    assert pickle.loads(pickled).user == "ada"


def test_an_explicit_datastore_wins_over_the_chosen_one(recorder: Recorder, tmp_path: Path) -> None:
    recorder.whole("7")
    empty = Datastore.open(Settings(datastore_root=str(tmp_path / "empty")))
    assert Airloom(datastore=empty).flows == []
