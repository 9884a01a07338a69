"""Files that travel with a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airloom import IncludeFile
from airloom.digests import digest_of
from airloom.errors import ParameterError, Place
from airloom.flow.configs import ParameterContext
from airloom.flow.files import find_file

CONTEXT = ParameterContext("MyFlow", "table", "ada")


def test_the_plan_names_the_file_and_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"a,b\n")
    plan = IncludeFile("table", default="data.csv").to_plan(CONTEXT, tmp_path)
    assert (plan.type, plan.default, plan.digest) == ("file", "data.csv", digest_of([b"a,b\n"]))
    assert str(tmp_path) not in repr(plan)


def test_the_default_can_be_a_callable(tmp_path: Path) -> None:
    (tmp_path / "of_ada.csv").write_bytes(b"")
    plan = IncludeFile("table", default=lambda context: f"of_{context.user_name}.csv").to_plan(
        CONTEXT, tmp_path
    )
    assert plan.default == "of_ada.csv"


def test_a_callable_is_asked_once_for_digest_and_bytes(tmp_path: Path) -> None:
    names = iter(["first.csv", "second.csv"])
    for name in ("first", "second"):
        (tmp_path / f"{name}.csv").write_text(name)
    plan, data = IncludeFile("table", default=lambda context: next(names)).read(CONTEXT, tmp_path)
    assert (plan.default, plan.digest, data) == ("first.csv", digest_of([b"first"]), b"first")


def test_a_callable_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="its default raised ZeroDivisionError"):
        IncludeFile("table", default=lambda context: 1 // 0).to_plan(CONTEXT, tmp_path)


def test_without_a_default_there_is_no_file(tmp_path: Path) -> None:
    plan = IncludeFile("table").to_plan(CONTEXT, tmp_path)
    assert (plan.default, plan.digest, plan.required) == (None, None, False)


def test_text_is_decoded_as_utf8_or_as_said() -> None:
    assert IncludeFile("f").content("grün".encode()) == "grün"
    assert IncludeFile("f", encoding="latin-1").content("grün".encode("latin-1")) == "grün"
    assert IncludeFile("f", is_text=False).content(b"\xff\x00") == b"\xff\x00"


def test_a_parser_makes_the_value() -> None:
    assert IncludeFile("f", parser=json.loads).content(b'{"a": 1}') == {"a": 1}
    assert IncludeFile("f", is_text=False, parser=len).content(b"abc") == 3


def test_a_missing_file_is_refused_with_the_line_and_the_folders(tmp_path: Path) -> None:
    parameter = IncludeFile("table", default="none.csv")
    with pytest.raises(ParameterError, match=r"the file 'none\.csv' does not exist") as caught:
        parameter.to_plan(CONTEXT, tmp_path)
    assert isinstance(caught.value.where, Place)
    assert caught.value.where.file == __file__
    assert str(Path.cwd()) in caught.value.mend


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ParameterError, match="does not exist"):
        find_file("table", "folder", tmp_path, "--table")


def test_beside_the_flow_comes_before_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("flow", "work"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "both.csv").write_text(name)
    (tmp_path / "work" / "only.csv").write_text("work")
    monkeypatch.chdir(tmp_path / "work")
    assert find_file("t", "both.csv", tmp_path / "flow", "").read_text() == "flow"
    assert find_file("t", "only.csv", tmp_path / "flow", "").read_text() == "work"
    assert find_file("t", str(tmp_path / "work" / "both.csv"), tmp_path / "flow", "").read_text() == "work"


def test_a_path_from_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "at_home.csv").write_text("home")
    assert find_file("t", "~/at_home.csv", Path("/nowhere"), "").read_text() == "home"
