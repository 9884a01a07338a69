"""How a flow's file is imported, and what is said when it cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.errors import FlowError, VersionSkew
from airloom.runtime.code import import_flow

if TYPE_CHECKING:
    from tests.runtime.conftest import Project

FLOW = "@step\ndef start(self):\n    self.next(self.end)\n\n@step\ndef end(self):\n    pass\n"
pytestmark = pytest.mark.usefixtures("clean_imports")


def airloom(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airloom", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, check=False)


def test_an_error_at_import_shows_the_users_traceback(project: Project) -> None:
    project.write(FLOW, top="def load():\n    return 1 / 0\n\nload()")
    done = project.run(code=1)
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert 'my_flow.py", line' in done.stderr
    assert "return 1 / 0" in done.stderr
    assert not project.root.exists()


def test_an_error_at_import_shows_it_through_airloom_run_too(project: Project) -> None:
    project.write(FLOW, top="def load():\n    return 1 / 0\n\nload()")
    done = airloom("run", "my_flow.py", cwd=project.folder)
    assert done.returncode == 1
    assert "return 1 / 0" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_an_error_when_imported_by_its_name_only_is_told_with_the_traceback(project: Project) -> None:
    project.write(FLOW, top="if __name__ != '__main__':\n    raise RuntimeError('only as a script')")
    done = project.run(code=2)
    assert "RuntimeError: only as a script" in done.stderr
    assert "raise RuntimeError" in done.stderr
    assert "importable by its name" in done.stderr


def test_a_module_named_like_a_loaded_package_is_refused(project: Project) -> None:
    project.write(FLOW)
    (project.folder / "click").mkdir()
    (project.folder / "click" / "__init__.py").touch()
    done = airloom("run", "my_flow.py", cwd=Path("/"))
    assert done.returncode != 0
    done = airloom("run", str(project.file), cwd=Path("/"))
    assert done.returncode == VersionSkew.exit_code
    assert "'click' has the name of an installed package" in done.stderr
    assert "mend:  rename the flow's module." in done.stderr


def test_a_flow_named_like_a_loaded_package_is_refused(project: Project) -> None:
    project.write(FLOW)
    clash = project.folder / "pytest.py"
    project.file.rename(clash)
    with pytest.raises(VersionSkew, match="'pytest' has the name of an installed package"):
        import_flow(clash)


def test_a_file_in_the_working_folder_does_not_hide_a_package(project: Project) -> None:
    project.write(FLOW)
    elsewhere = project.folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("blake3", "zstandard", "airloom", "selectors"):
        (elsewhere / f"{name}.py").write_text("raise RuntimeError('hides a package')")
    project.run(cwd=elsewhere)


def test_modules_beside_the_flow_are_found_wherever_it_is_started(project: Project) -> None:
    project.write(FLOW.replace("pass", "self.x = helper.X"), top="import helper")
    (project.folder / "helper.py").write_text("X = 7\n")
    (project.folder / "deep").mkdir()
    project.run(cwd=project.folder / "deep")
    assert project.value("end", "x") == 7


def test_a_module_of_that_name_from_elsewhere_is_forgotten(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "twin_helper.py").write_text(f"NAME = {folder!r}\n")
        (tmp_path / folder / "twin_flow.py").write_text(
            "import twin_helper\nfrom airloom import FlowSpec, step\n\n"
            "class Twin(FlowSpec):\n    NAME = twin_helper.NAME\n\n"
            "    @step\n    def start(self):\n        pass\n"
        )
    names = [import_flow(tmp_path / folder / "twin_flow.py").NAME for folder in "ab"]  # type: ignore[attr-defined]
    assert names == ["a", "b"]


def test_a_file_without_a_flow_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no_flow_here.py").write_text("from airloom import FlowSpec\n")
    with pytest.raises(FlowError, match="defines 0 flows") as caught:
        import_flow(tmp_path / "no_flow_here.py")
    assert "subclasses FlowSpec" in str(caught.value)


def test_a_file_name_that_is_no_module_is_refused(project: Project) -> None:
    project.write(FLOW)
    odd = project.folder / "my-flow.py"
    project.file.rename(odd)
    project.file = odd
    done = project.run(code=2)
    assert "rename it, e.g. to my_flow.py" in done.stderr
    assert not (project.root / "flows").exists()


def test_sys_argv_of_a_task_names_the_flow(project: Project) -> None:
    project.write(FLOW.replace("pass", "self.argv = sys.argv"))
    project.run()
    assert project.value("end", "argv") == [str(project.file)]
