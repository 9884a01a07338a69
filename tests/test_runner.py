"""Flows run from Python, each in a program of its own, and from a notebook's cell."""

from __future__ import annotations

import asyncio
import linecache
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airloom import FlowSpec, NBRunner, Runner
from airloom.errors import FlowError, NotFound, ParameterError, SettingsError
from airloom.runner.notebook import cell_of
from airloom.runner.program import options

FLOW = """
import json, os, sys, time
from pathlib import Path
from airloom import FlowSpec, IncludeFile, JSONType, Parameter, step


class RunFlow(FlowSpec):
    count = Parameter("count", default=1)
    loud = Parameter("loud", default=True)
    names = Parameter("names", separator=",", default="a,b")
    tree = Parameter("tree", type=JSONType, default=None)
    rate = Parameter("learning-rate", default=0.1)
    notes = IncludeFile("notes")
    wait = Parameter("wait", default=0.0)
    fails = Parameter("fails", default=False)

    @step
    def start(self):
        print("hello from start")
        print("a warning", file=sys.stderr)
        self.given = (self.count, self.loud, self.names, self.tree, self.rate, self.notes)
        self.variable = os.environ.get("OF_THE_TEST")
        self.folder = os.getcwd()
        time.sleep(self.wait)
        self.next(self.end)

    @step
    def end(self):
        if self.fails and not Path("mended").exists():
            raise ValueError("it fails")
        self.done = True


if __name__ == "__main__":
    RunFlow()
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("AIRLOOM_", "METAFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run_flow.py"
    path.write_text(FLOW)
    return path


def test_a_run_is_waited_for_and_read(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Runner(file, show_output=False).run() as executed:
        assert (executed.status, executed.returncode) == ("successful", 0)
        assert executed.run.successful
        assert executed.run.data is not None
        assert executed.run.data.done is True
        assert "hello from start" in executed.stdout + executed.stderr
    assert "hello from start" not in "".join(capfd.readouterr())


def test_parameters_keep_their_types(file: Path) -> None:
    (file.parent / "notes.txt").write_text("of a file")
    runner = Runner(str(file), show_output=False)
    given: dict[str, Any] = {"count": 3, "loud": False, "names": ["x,y", "z"], "tree": {"a": [None, 1.5]}}
    given |= {
        "learning_rate": 1,
        "notes": file.parent / "notes.txt",
        "tags": ["one", "two"],
        "max_workers": 1,
    }
    run = runner.run(**given).run
    assert run.data is not None
    assert run.data.given == (3, False, ["x,y", "z"], {"a": [None, 1.5]}, 1.0, "of a file")
    assert {"one", "two"} <= set(run.user_tags)


def test_the_output_is_shown_when_asked_for(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Runner(file).run()
    out, err = capfd.readouterr()
    assert "hello from start" in out + err


def test_folder_variables_and_top_level_options_reach_the_run(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    env = {"OF_THE_TEST": "yes"}
    executed = Runner(file, show_output=False, env=env, cwd=folder, datastore_root="store", quiet=True).run()
    data = executed.run.data
    assert data is not None
    assert (data.variable, data.folder) == ("yes", str(folder))
    assert (folder / "store").is_dir()
    assert "run" not in executed.stdout


def test_the_store_of_a_variable_is_found(file: Path, tmp_path: Path) -> None:
    executed = Runner(file, show_output=False, env={"AIRLOOM_DATASTORE_ROOT": str(tmp_path / "other")}).run()
    assert executed.run.successful
    assert (tmp_path / "other" / "flows").is_dir()


def test_a_failed_run_is_resumed(file: Path) -> None:
    runner = Runner(file, show_output=False)
    failed = runner.run(fails=True)
    assert (failed.status, failed.returncode) == ("failed", 1)
    assert not failed.run.successful
    assert "ValueError: it fails" in failed.stdout + failed.stderr
    (file.parent / "mended").touch()
    resumed = runner.resume(origin_run_id=failed.run.id)
    assert resumed.status == "successful"
    assert resumed.run.origin_pathspec == failed.run.pathspec
    again = runner.resume("start")
    assert again.run["start"].task.stdout == "hello from start\n"


def test_a_run_that_does_not_begin_says_why(file: Path) -> None:
    with pytest.raises(FlowError, match=r"(?s)did not begin.*no parameter 'cout'.*did you mean 'count'"):
        Runner(file, show_output=False).run(cout=3)
    with pytest.raises(FlowError, match="No such option"):
        Runner(file, show_output=False, datastor_root="x").run()
    with pytest.raises(FlowError, match="whole number"):
        asyncio.run(Runner(file, show_output=False).async_run(count="many"))


def test_what_is_not_in_order_is_refused_at_once(file: Path) -> None:
    with pytest.raises(FlowError, match="there is no such file"):
        Runner(file.with_name("nowhere.py"))
    with pytest.raises(SettingsError, match="profile"):
        Runner(file, profile="prod")
    with pytest.raises(ParameterError, match="not JSON"):
        Runner(file).run(tree=object())


def test_a_run_is_followed_while_it_runs(file: Path) -> None:
    async def follow() -> None:
        async with await Runner(file, show_output=False).async_run(wait=1.0) as executing:
            assert executing.status == "running"
            assert executing.returncode is None
            assert executing.run.id
            assert not executing.run.finished
            told = [(number, line) async for number, line in executing.stream_log("stdout")]
            assert [number for number, _ in told] == list(range(1, len(told) + 1))
            assert any("hello from start" in line for _, line in told)
            later = [line async for _, line in executing.stream_log("stdout", position=2)]
            assert later == [line for _, line in told][2:]
            await executing.wait()
            assert executing.status == "successful"
            with pytest.raises(NotFound, match="no stream"):
                _ = [one async for one in executing.stream_log("log")]

    asyncio.run(follow())


def test_runs_go_side_by_side(file: Path) -> None:
    async def both() -> list[int]:
        runner = Runner(file, show_output=False)
        runs = await asyncio.gather(*(runner.async_run(count=number) for number in (1, 2)))
        await asyncio.gather(*(run.wait() for run in runs))
        return [run.run.data.given[0] for run in runs if run.run.data is not None]

    assert asyncio.run(both()) == [1, 2]


def test_wait_prints_a_stream_and_ends_what_is_late(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def hurry() -> None:
        executing = await Runner(file, show_output=False).async_run(wait=60.0)
        began = time.monotonic()
        await executing.wait(timeout=0.5, stream="stdout")
        assert time.monotonic() - began < 15
        assert executing.status == "timeout"
        assert not executing.run.successful

    asyncio.run(hurry())
    assert "start" in capsys.readouterr().out


def test_the_end_of_the_block_ends_the_run(file: Path) -> None:
    async def leave() -> Any:
        with await Runner(file, show_output=False).async_run(wait=60.0) as executing:
            assert executing.status == "running"
        return executing

    executing = asyncio.run(leave())
    assert executing.status == "failed"
    assert executing.run.pathspec.startswith("RunFlow/")
    (file.parent / "mended").touch()


def test_an_interrupt_ends_the_run(file: Path) -> None:
    program = textwrap.dedent("""
        from airloom import Runner
        print("going", flush=True)
        Runner("run_flow.py").run(wait=60.0)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as started:
        assert started.stdout is not None
        for line in started.stdout:
            if "hello from start" in line:
                break
        started.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in started.stdout.read()
    alive = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(file) not in alive


def test_nothing_is_left_of_the_files_between(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = file.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    Runner(file, show_output=False).run(count=2)
    assert not list(temporary.glob("airloom-runner-*"))


def test_options_are_spelled_as_on_the_command_line() -> None:
    given = {"quiet": True, "production": False, "with_": ["retry", "catch"], "config": {"a": Path("b")}}
    assert options(given) == ["--quiet", "--with", "retry", "--with", "catch", "--config", "a", "b"]
    assert options({"config_value": [("a", "1")], "branch": None}) == ["--config-value", "a", "1"]


CELL = '''
import sys
from airloom import FlowSpec, NBRunner, Parameter, step

SIZE = 3
print("run when the cell is run")

def doubled(x):
    return 2 * x


class CellFlow(FlowSpec):
    """Stands in a cell."""

    count = Parameter("count", default=1)

    @step
    def start(self):
        self.x = doubled(self.count) + SIZE
        self.next(self.end)

    @step
    def end(self):
        self.module = __name__


runner = NBRunner(CellFlow)
run = runner.nbrun(count=4)
'''


@pytest.fixture
def cell() -> Iterator[Callable[[str], type[FlowSpec]]]:
    """Run the text of a cell up to its flow, as a notebook does: its source is in linecache only."""
    name = "/tmp/ipykernel_1/123.py"

    def run(text: str) -> type[FlowSpec]:
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        space: dict[str, Any] = {"__name__": "of_a_notebook"}
        exec(compile(text.partition("\nrunner = ")[0], name, "exec"), space)
        found: type[FlowSpec] = space["CellFlow"]
        return found

    yield run
    linecache.cache.pop(name, None)


def test_a_flow_of_a_cell_runs(file: Path, cell: Callable[[str], type[FlowSpec]]) -> None:
    runner = NBRunner(cell(CELL), show_output=False)
    run = runner.nbrun(count=4)
    assert run.data is not None
    assert (run.data.x, run.data.module) == (11, "cellflow_of_notebook")
    again = runner.nbresume("end", origin_run_id=run.id)
    assert again.origin_pathspec == run.pathspec
    written = runner.flow_file
    assert written.exists()
    runner.cleanup()
    assert not written.parent.exists()


def test_of_a_cell_only_what_the_flow_needs_is_kept(cell: Callable[[str], type[FlowSpec]]) -> None:
    text = cell_of(cell(CELL))
    assert "NBRunner(" not in text
    assert "run when" not in text
    assert text.splitlines()[: CELL.count("\n", 0, CELL.index("class CellFlow"))][-1] == ""
    assert text.splitlines()[CELL.count("\n", 0, CELL.index("class CellFlow"))] == "class CellFlow(FlowSpec):"
    assert text.endswith('if __name__ == "__main__":\n    CellFlow()\n')


def test_modules_beside_a_notebook_go_with_its_flow(
    file: Path, cell: Callable[[str], type[FlowSpec]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "beside_of_notebook.py").write_text("def doubled(x):\n    return 20 * x\n")
    monkeypatch.syspath_prepend(file.parent)
    text = CELL.replace("def doubled(x):\n    return 2 * x\n", "from beside_of_notebook import doubled\n")
    with NBRunner(cell(text), show_output=False, base_dir=file.parent) as runner:
        data = runner.nbrun(count=1).data
        assert data is not None
        assert data.x == 23
    assert [path.name for path in file.parent.glob("*notebook.py")] == ["beside_of_notebook.py"]


def test_a_class_whose_text_is_gone_is_refused(cell: Callable[[str], type[FlowSpec]]) -> None:
    flow = cell(CELL)
    linecache.cache.clear()
    with pytest.raises(FlowError, match="run the cell with the class again"):
        NBRunner(flow)
