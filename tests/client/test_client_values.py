"""Values whose class lies in the flow's own code."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from airloom.client import Run, Task
from airloom.errors import ArtifactError

if TYPE_CHECKING:
    from tests.client.conftest import Recorder

MODEL = """
class Model:
    version = {version}
    def __init__(self, weight):
        self.weight = weight
"""


@pytest.fixture(autouse=True)
def modules_restored() -> Iterator[None]:
    before, path = dict(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - set(before):
        if "." not in name and name in ("train_code", "helper_code"):
            del sys.modules[name]
    sys.path[:] = path


def import_text(folder: Path, text: str, name: str = "train_code") -> ModuleType:
    """Import a module as the process that runs a step does."""
    folder.mkdir()
    (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def forget(folder: Path, *names: str) -> None:
    """Be a process that never had the modules."""
    for name in names or ("train_code",):
        sys.modules.pop(name, None)
    sys.path.remove(str(folder))


def record(recorder: Recorder, run: str, folder: Path, version: int) -> None:
    text = MODEL.format(version=version)
    module = import_text(folder, text)
    recorder.code(train_code=text)
    recorder.run(run)
    recorder.done(run, "start", width=0, model=module.Model(version * 10))
    forget(folder)


def test_a_class_of_the_flow_is_found_in_the_code_package(recorder: Recorder, tmp_path: Path) -> None:
    record(recorder, "7", tmp_path / "code", 1)
    path = list(sys.path)
    model = Task("Train/7/start/0").data.model
    assert (model.weight, model.version) == (10, 1)
    assert sys.path == path


def test_a_value_that_was_loaded_so_can_be_pickled_again(recorder: Recorder, tmp_path: Path) -> None:
    record(recorder, "7", tmp_path / "code", 1)
    model = Task("Train/7/start/0").data.model
    assert pickle.loads(pickle.dumps(model)).weight == 10


def test_values_of_one_run_have_one_class(recorder: Recorder, tmp_path: Path) -> None:
    record(recorder, "7", tmp_path / "code", 1)
    data = Task("Train/7/start/0").data
    assert isinstance(data.model, type(data.model))


def test_two_runs_load_each_with_their_own_code(recorder: Recorder, tmp_path: Path) -> None:
    record(recorder, "7", tmp_path / "one", 1)
    record(recorder, "8", tmp_path / "two", 2)
    first, second = Task("Train/7/start/0").data, Task("Train/8/start/0").data
    assert [first.model.version, second.model.version, first.model.version] == [1, 2, 1]
    assert isinstance(first.model, type(first.model))


def test_a_module_of_the_caller_is_used_where_it_has_the_class(recorder: Recorder, tmp_path: Path) -> None:
    record(recorder, "7", tmp_path / "code", 1)
    mine = import_text(tmp_path / "mine", MODEL.format(version=5))
    assert type(Task("Train/7/start/0").data.model) is mine.Model


def test_a_module_of_the_caller_without_the_class_stays_the_caller_s(
    recorder: Recorder, tmp_path: Path
) -> None:
    record(recorder, "7", tmp_path / "code", 1)
    mine = import_text(tmp_path / "mine", "something = 'else'\n")
    assert Task("Train/7/start/0").data.model.version == 1
    assert sys.modules["train_code"] is mine


def test_what_neither_has_is_told_with_the_package_that_was_tried(recorder: Recorder, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    module = import_text(folder, MODEL.format(version=1), "helper_code")
    recorder.code(train_code="x = 1\n")
    recorder.run("7")
    recorder.done("7", "start", width=0, model=module.Model(1))
    forget(folder, "helper_code")
    with pytest.raises(ArtifactError, match=r"(?s)also with the run's code package.*'helper_code'") as caught:
        Task("Train/7/start/0").data.model
    assert caught.value.where == "Train/7/start/0/model"


def test_a_failed_attempt_is_loaded_with_the_code_of_the_run(recorder: Recorder, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    text = MODEL.format(version=1)
    module = import_text(folder, text)
    recorder.code(train_code=text)
    recorder.run("7")
    recorder.failed("7", "start", model=module.Model(3))
    forget(folder)
    assert Run("Train/7")["start"].task.data.model.weight == 3
