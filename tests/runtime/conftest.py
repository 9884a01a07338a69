"""Small flows written by a test, run in processes of their own against a store of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import psutil  # type: ignore[import-untyped] # it comes with Airflow
import pytest

from airloom.client import Flow, Run
from airloom.settings import Settings
from airloom.store.datastore import Datastore

_HEAD = """\
import os, signal, subprocess, sys, threading, time
from pathlib import Path
from airloom import FlowSpec, IncludeFile, Parameter, catch, current, environment, retry, step, timeout

HERE = Path(__file__).parent
"""


class Project:
    """A folder with one flow, ``MyFlow`` in ``my_flow.py``, and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "store"
        self.file = folder / "my_flow.py"

    def write(self, body: str, *, top: str = "") -> None:
        """Write the flow: the body of its class, and what stands above it."""
        text = f"{_HEAD}{dedent(top)}\n\nclass MyFlow(FlowSpec):\n{indent(dedent(body), '    ')}\n"
        self.file.write_text(f'{text}\nif __name__ == "__main__":\n    MyFlow()\n')

    def write_traced(self, body: str, *, top: str = "") -> None:
        """Write a flow whose steps call ``ran("name")``; `ran` tells which did."""
        traced = (
            'def ran(name):\n    with (HERE / "ran").open("a") as file:\n        file.write(f"{name}\\n")\n'
        )
        self.write(body, top=f"{dedent(top)}\n{traced}")

    def ran(self) -> list[str]:
        """Give the names that steps have told since this was asked last, sorted."""
        file = self.folder / "ran"
        names = sorted(file.read_text().split()) if file.exists() else []
        file.unlink(missing_ok=True)
        return names

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Begin to run the flow, in a session of its own as on a terminal of its own."""
        environment = {name: text for name, text in os.environ.items() if not name.startswith("AIRLOOM_")}
        environment |= {"AIRLOOM_DATASTORE_ROOT": str(self.root)} | options.pop("env", {})
        command = [sys.executable, str(self.file), *arguments]
        pipe = subprocess.PIPE
        options = {"stdin": subprocess.DEVNULL, "cwd": self.folder, "stdout": pipe, "stderr": pipe, **options}
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, env=environment, start_new_session=True, **options
        )
        return process

    def run(self, *arguments: str, code: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the flow to its end, which must have this exit code."""
        given, verb = options.pop("input", None), options.pop("verb", "run")
        if given is not None:
            options["stdin"] = subprocess.PIPE
        with self.start(verb, *arguments, **options) as process:
            out, err = process.communicate(given, timeout=60)
        texts = [data.decode("utf-8", "replace") for data in (out, err)]
        assert process.returncode == code, "\n".join(texts)
        return subprocess.CompletedProcess(process.args, process.returncode, *texts)

    def resume(self, *arguments: str, code: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Resume the flow's latest run, or the one that is named."""
        return self.run(*arguments, code=code, verb="resume", **options)

    @property
    def latest(self) -> Run:
        """The run that began last."""
        run = Flow("MyFlow", datastore=str(self.root), _namespace_check=False).latest_run
        assert run is not None
        return run

    @property
    def datastore(self) -> Datastore:
        return Datastore.open(Settings(datastore_root=str(self.root)))

    def value(self, step: str, name: str, task: str = "0") -> Any:
        """Value of an artifact of the latest run."""
        return self.latest[step][task][name].data


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A folder for a flow; a test that fails leaves no process of it behind."""
    yield Project(tmp_path)
    for process in psutil.process_iter(["cmdline", "environ"]):
        if (process.info["environ"] or {}).get("AIRLOOM_DATASTORE_ROOT") == str(tmp_path / "store"):
            process.kill()


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Wait until something is true, and give it."""
    import time

    def wait(look: Callable[[], Any], seconds: float = 20) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.02)
        return found

    return wait
