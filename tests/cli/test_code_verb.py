"""``code``: list, diff, pull; and the code of a run in the client."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airloom.client import Flow, Run
from airloom.errors import NotFound

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]
Write = Callable[..., Path]

FLOW = """
class Shop(FlowSpec):
    @step
    def start(self):
        self.x = 1
"""


@pytest.fixture
def shop(airloom: Airloom, write: Write) -> Airloom:
    """A store with one run, and a helper beside the flow."""
    write("shop.py", FLOW)
    Path("helper.py").write_text("A = 1\n")
    assert airloom("run", "shop.py").code == 0
    return airloom


def latest() -> Run:
    run = Flow("Shop").latest_run
    assert run is not None
    return run


def test_the_code_of_a_run_is_read(shop: Airloom) -> None:
    code = latest().code
    assert code.flowspec == Path("shop.py").read_text()
    assert list(code) == ["helper.py", "shop.py"]
    assert code.info["script"] == code.script_name == "shop.py"
    assert code.info["user"] == latest().user
    assert code == latest()["start"].task.code
    assert zipfile.ZipFile(BytesIO(code.archive)).read("helper.py") == b"A = 1\n"
    assert Path(code.path).exists()
    with pytest.raises(NotFound, match=r"has no file 'helpr\.py'"):
        code.read("helpr.py")


def test_code_is_unpacked(shop: Airloom, tmp_path: Path) -> None:
    code = latest().code
    assert (code.extract(tmp_path / "there") / "helper.py").read_text() == "A = 1\n"
    with code.extract() as folder:
        assert (Path(folder) / "shop.py").exists()
    assert not Path(folder).exists()


def test_files_are_listed(shop: Airloom) -> None:
    out = shop("code", "list", latest().pathspec).out
    assert latest().code_digest in out
    assert "    helper.py  (6 bytes)" in out


def test_unchanged_code_has_no_difference(shop: Airloom) -> None:
    done = shop("code", "diff", latest().pathspec, "--exit-code")
    assert (done.code, done.out) == (0, "")


def test_what_was_changed_since_is_shown(shop: Airloom) -> None:
    Path("helper.py").write_text("A = 2\n")
    Path("new.py").write_text("B = 1\n")
    spec = latest().pathspec
    done = shop("code", "diff", spec)
    assert done.code == 0
    assert done.out.splitlines() == [
        f"--- {spec}:helper.py",
        "+++ .:helper.py",
        "@@ -1 +1 @@",
        "-A = 1",
        "+A = 2",
        "--- /dev/null",
        "+++ .:new.py",
        "@@ -0,0 +1 @@",
        "+B = 1",
    ]
    assert shop("code", "diff", spec, "--exit-code").code == 1


def test_the_code_of_two_runs_is_compared(shop: Airloom) -> None:
    first = latest().pathspec
    Path("helper.py").write_text("A = 3\n")
    assert shop("run", "shop.py").code == 0
    out = shop("code", "diff", first, latest().pathspec).out
    assert f"+++ {latest().pathspec}:helper.py" in out
    assert "+A = 3" in out


def test_code_is_pulled_into_a_new_folder(shop: Airloom) -> None:
    run = latest()
    assert shop("code", "pull", run.pathspec).code == 0
    assert (Path(f"Shop-{run.id}") / "helper.py").read_text() == "A = 1\n"
    again = shop("code", "pull", run.pathspec)
    assert again.code == 5
    assert "the folder is not empty" in again.err
    assert shop("code", "pull", run.pathspec, "--folder", "other/place").code == 0
    assert Path("other/place/shop.py").exists()
